"""The application, whose commands are imported when they are asked for: `--help`, and any command, stay quick.

Exit codes: 0 well, 1 a problem was found, 2 wrong usage.
"""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer import main as typer_main
from typer.core import TyperCommand, TyperGroup

from service.cli.listing import COMMANDS
from service.controls import json_text

Json = Annotated[bool, typer.Option("--json", help="Écrire du JSON.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Dossier d'une démonstration en cours, à consulter.")]

PROBLEM: Final = 1
USAGE: Final = 2


class LazyGroup(TyperGroup):
    """Knows each command by its line in the list, and itself once it is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  as the library calls it
        """Every name, in the order of the list."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:  # noqa: ARG002  as the library calls it
        """What the list tells of a command; None if there is none of this name."""
        listed = COMMANDS.get(cmd_name)
        return None if listed is None else TyperCommand(cmd_name, help=listed.sentence)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that is called, imported; one that does not exist is refused, with those of a like name."""
        self.commands = {name: TyperCommand(name) for name in COMMANDS}
        name, found, rest = super().resolve_command(ctx, args)
        return name, None if name is None or found is None else command(name), rest


app = typer.Typer(
    name="creances",
    cls=LazyGroup,
    help="Paiement en ligne des créances : de la notification de la banque au solde prouvable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _all() -> None:
    """Make it a group, even before any command is imported."""


def command(name: str) -> Any:
    """The command of this name, imported. Raises KeyError for one that is not in the list."""
    import_module(f"service.cli.{COMMANDS[name].module}")
    return typer_main.get_group(app).commands[name]


def print_json(value: object) -> None:
    """Write JSON on standard output: accents as they are, control characters escaped."""
    text = json_text(value)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # A terminal without these characters: JSON has its own way to write them.
        text = json.dumps(value, indent=2)
    sys.stdout.write(text + "\n")
