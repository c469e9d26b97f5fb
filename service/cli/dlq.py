"""The dead letters, by their usual name: list them, show one, put one or all back on their topic."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from domain.geste import Geste
from guichet.acces import NON_DIT
from service.cli.anomalies import Why, note_reading, open_ones, replay, show
from service.cli.anomaly_tables import tell_list
from service.cli.application import DataDir, Json, app, connection
from service.cli.who import reader

commands = typer.Typer(name="dlq", help="Les messages refusés, et les rejouer.", no_args_is_help=True)
app.add_typer(commands)

commands.command("show")(show)


@commands.command("list")
def list_(*, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Les messages refusés, à la porte ou par un consommateur, que personne n'a encore rejoués ni classés."""
    with connection(data_dir) as (settings, conn):
        rows = [row for row in open_ones(settings, conn, datetime.now(UTC)) if Geste.REJOUER in row.gestes]
        note_reading(conn, reader(settings), "messages refusés", rows, NON_DIT)
    tell_list(rows, as_json=as_json)


@commands.command("replay")
def replay_(
    ident: Annotated[list[str] | None, typer.Argument(metavar="[ID]…")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Tous ceux qui ne seraient plus refusés.")] = False,
    why: Why,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Remet des messages sur leur topic ; sort avec 1 si l'un serait encore refusé."""
    if every == bool(ident):
        raise typer.BadParameter("donnez des anomalies, ou --all", param_hint="ID")
    idents = list(ident or ())
    if every:
        with connection(data_dir) as (settings, conn):
            rows = open_ones(settings, conn, datetime.now(UTC))
        idents = [row.id for row in rows if Geste.REJOUER in row.gestes]
    replay(idents, why, as_json=as_json, data_dir=data_dir)
