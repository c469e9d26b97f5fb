"""The command that tells what the witnesses have seen of the sealed log."""

from typing import Final

import typer
from rich.table import Table

from service.cli.application import PROBLEM, DataDir, Json, app, connection, console, print_json
from service.cli.tables import whole
from service.terminal import styled

LATE_S: Final = 60.0
"""A signed state that waits longer for the witnesses that are asked to agree is a problem to tell (seconds)."""


@app.command()
def temoins(*, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Ce que chaque témoin a cosigné du journal, ou refuse ; sort avec 1 si l'un refuse, ou si trop peu l'ont vu."""
    from preuve.witnessing import last_point, standings, without_agreement_s
    from publication.epoques import epoque_courante
    from service.composition import sealing

    with connection(data_dir) as (settings, conn):
        key = sealing(settings).signer(epoque_courante(conn)).verifier
        asked = {temoin.verifier.name: temoin.url for temoin in settings.preuve_temoins}
        found = standings(conn, list(asked))
        signed = last_point(conn)
        late_s = without_agreement_s([one.seconds for one in found], settings.preuve_temoins_accord)
        seen = sum(one.size > 0 for one in found)
    agreed = not asked or (seen >= settings.preuve_temoins_accord and late_s <= LATE_S)
    refused = any(one.refuses for one in found)
    if as_json:
        rows = [{"temoin": one.witness, "url": asked[one.witness], "taille": one.size} for one in found]
        for row, one in zip(rows, found, strict=True):
            row |= {"retard_secondes": one.seconds, "refuse": one.refuses}
        log = {"journal": key.name, "cle": str(key), "publique": key.public.hex()}
        size = signed.size if signed else 0
        print_json({**log, "taille": size, "accord": agreed and not refused, "temoins": rows})
    else:
        table = Table(whole("Témoin"), "Cosigné jusqu'à", "Retard", "")
        for one in found:
            said = styled("refuse ce journal", "red") if one.refuses else ""
            table.add_row(one.witness, str(one.size), f"{one.seconds:.0f} s" if one.leaves else "", said)
        if found:
            console.print(table)
        console.print(
            f"{signed.size if signed else 0} feuilles signées. La clé de ce journal, pour qui en témoigne :\n{key}",
            markup=False,
            soft_wrap=True,
        )
    if refused or not agreed:
        raise typer.Exit(PROBLEM)
