"""The command line: `creances`; a module a kind of command, which registers its commands when imported."""

import io
import sys

# In the order that `--help` lists them.
from service.cli import running  # noqa: F401

# isort: split
from service.cli import importing  # noqa: F401

# isort: split
from service.cli import publishing  # noqa: F401

# isort: split
from service.cli import partners  # noqa: F401

# isort: split
from service.cli import reconciling  # noqa: F401

# isort: split
from service.cli import health  # noqa: F401

# isort: split
from service.cli import checking  # noqa: F401

# isort: split
from service.cli import looking  # noqa: F401

# isort: split
from service.cli import clocking  # noqa: F401

# isort: split
from service.cli import support  # noqa: F401

# isort: split
from service.cli import search  # noqa: F401

# isort: split
from service.cli import auditing  # noqa: F401

# isort: split
from service.cli import proof  # noqa: F401

# isort: split
from service.cli import anomalies  # noqa: F401

# isort: split
from service.cli import dlq  # noqa: F401

# isort: split
from service.cli import partitions  # noqa: F401

# isort: split
from service.cli import rebuilding  # noqa: F401

# isort: split
from service.cli import restoring  # noqa: F401

# isort: split
from service.cli import sessions  # noqa: F401

# isort: split
from service.cli import security  # noqa: F401

# isort: split
from service.cli.application import app


def main() -> None:
    """Entry point of the `creances` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # A terminal without our characters shows them escaped.
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
