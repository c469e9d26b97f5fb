"""The command line: `creances`; a module a kind of command, which registers its commands when imported."""

import io
import sys

from service.cli.entry import app


def main() -> None:
    """Entry point of the `creances` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # A terminal without our characters shows them escaped.
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
