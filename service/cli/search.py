"""`creances search`: one field, as on support's page."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from domain.refus import Refus
from service.cli.application import (
    USAGE,
    DataDir,
    Json,
    app,
    console,
    database_of,
    fail,
    print_json,
    read_settings,
    readable_failures,
)
from service.cli.support import Reason, ask_reason
from service.cli.who import reader


@app.command()
def search(
    text: Annotated[str, typer.Argument(metavar="TEXTE", help="Une référence, « 20 € hier », une autorisation, …")],
    *,
    motif: Reason = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Cherche une créance, un paiement, un assuré ; dit pourquoi chacun répond ; sort avec 1 sans résultat."""
    from api.support import consultation
    from engine.database import Database
    from service.composition import recorder_on

    reason = ask_reason(motif)
    settings = read_settings(data_dir)
    with readable_failures(), Database(database_of(settings), application="creances-cli") as base:
        try:
            found = consultation.chercher(
                (base, recorder_on(base)), reader(settings), text, reason, maintenant=datetime.now(UTC)
            )
        except Refus as refused:
            fail(refused.phrase, USAGE)
    if as_json:
        print_json(found.en_json())
    elif found.trouves:
        table = Table("Trouvé", "Pourquoi")
        for one in found.trouves:
            table.add_row(one.titre, "; ".join(one.pourquoi))
        console.print(table)
        if found.tronques:
            console.print("Il y en a d'autres : précisez le jour, ou cherchez par un nom.")
    if not found.trouves:
        fail(f"Rien ne répond. Compris : {', ou '.join(found.compris)}.")
