"""The command that tells what a restore lost."""

from functools import partial
from typing import Annotated, Any

import typer
from rich.table import Table

from domain.monnaie import euros
from service.cli.application import PROBLEM, DataDir, Json, app, connection, console, print_json, quiet
from service.cli.progress import progress_bar
from service.cli.tables import whole


@app.command()
def lost(
    *,
    as_json: Json = False,
    all_rows: Annotated[bool, typer.Option("--all", help="Toutes les lignes, et non les cent premières.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Ce qu'une restauration a fait perdre : publié, et absent du journal ; sort avec 1 s'il y en a.

    À lire une fois que les consommateurs ont tout relu : ce qui vient de Kafka revient de lui-même.
    """
    from service.lost import lost as read_lost

    quiet()
    with connection(data_dir) as (settings, conn), progress_bar("lecture", counted=True) as advance:
        rows = read_lost(settings, conn, partial(advance, "lecture"))
    if as_json:
        print_json([row.as_json() for row in rows])
    elif not rows:
        console.print("Rien de ce qui a été publié ne manque au journal.")
    else:
        table = Table("Le", "Événement", whole("Flux"), "Montant", "Paiement")
        for row in rows if all_rows else rows[:100]:
            table.add_row(row.at[:19], row.kind, row.stream, _amount(row.data), str(row.data.get("transaction", "")))
        console.print(table)
        console.print(f"{len(rows)} événements publiés manquent au journal.")
    if rows:
        raise typer.Exit(PROBLEM)


def _amount(data: dict[str, Any]) -> str:
    return next((euros(value) for key, value in data.items() if key.endswith("_centimes") and value is not None), "")
