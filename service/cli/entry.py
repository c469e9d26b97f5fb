"""The application, whose commands are imported when they are asked for: `--help`, and any command, stay quick."""

from importlib import import_module
from typing import Any

import typer
from typer import main as typer_main
from typer.core import TyperCommand, TyperGroup

from service.cli.listing import COMMANDS


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
