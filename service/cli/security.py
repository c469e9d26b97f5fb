"""`creances security-log`: the security events, exported."""

import csv
import json
import sys
from datetime import datetime
from typing import Annotated

import typer
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
        table = Table(whole("Rang"), whole("Quand, et genre"))
        # At 80 columns as anywhere: what happened has the place, and is never cut.
        table.add_column("Qui, d'où, sur quoi", overflow="fold", max_width=20)
        table.add_column("Ce qui est arrivé", overflow="fold")
        for line in found:
            who = "\n".join(one for one in (line.acteur, line.reseau, line.objet) if one)
            what = line.detail + (f" (× {line.fois})" if line.fois > 1 else "")
            table.add_row(str(line.rang), f"{line.enregistre_le:%d/%m/%Y %H:%M:%S}\n{line.genre}", who, what)
    console.print(table)


def _plain(line: Line) -> dict[str, object]:
    return line._asdict() | {"enregistre_le": line.enregistre_le.isoformat()}


def _cells(line: Line) -> list[str]:
    return [csv_cell(shown(str(value))) if value is not None else "" for value in _plain(line).values()]
