"""`creances security-log`: the security events, exported."""

import csv
import json
import sys
from datetime import datetime
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from engine.security_log import Kind, Line, lines
from service.cli.application import DataDir, Json, app, connection, console
from service.cli.tables import whole
from service.controls import csv_cell, shown


@app.command("security-log")
def security_log(
    *,
    since: Annotated[datetime | None, typer.Option(help="Depuis cet instant (UTC).")] = None,
    after: Annotated[int, typer.Option(min=0, help="Après ce rang : pour reprendre un export.")] = 0,
    kind: Annotated[Kind | None, typer.Option(help="Ce genre seulement.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="En CSV, pour un tableur.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Ce qui touche à la sûreté : connexions, refus, réglages, époques, accès. --json : une ligne chacun."""
    with connection(data_dir) as (_, conn):
        found = lines(conn, after=after, since=since, kind=kind)
        if as_json:
            for line in found:
                print(json.dumps(_plain(line), ensure_ascii=True))  # noqa: T201
            return
        if as_csv:
            writer = csv.writer(sys.stdout)
            writer.writerow(Line._fields)
            writer.writerows(map(_cells, found))
            return
        table = Table(whole("Rang"), whole("Quand"), "Genre", "Acteur", "Réseau", "Objet", "Ce qui est arrivé", "Fois")
        for line in found:
            values = _plain(line) | {"enregistre_le": f"{line.enregistre_le:%d/%m/%Y %H:%M:%S}"}
            table.add_row(*(escape(str(value if value is not None else "")) for value in values.values()))
    console.print(table)


def _plain(line: Line) -> dict[str, object]:
    return line._asdict() | {"enregistre_le": line.enregistre_le.isoformat()}


def _cells(line: Line) -> list[str]:
    return [csv_cell(shown(str(value))) if value is not None else "" for value in _plain(line).values()]
