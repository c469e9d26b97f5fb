"""What a reconciled report tells: a few lines and two tables for a person, one JSON object a report for a machine."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from domain.delai import jour_de_paris
from domain.monnaie import euros
from guichet.rapprochement.ecarts import Ecart
from guichet.rapprocher import Bilan
from kiosque.rapports import Genre
from service.cli.tables import whole
from service.files import unreadable

SHOWN_MAX: Final = 50
"""Differences printed for a person; `--json` has them all."""

ALWAYS_SHOWN: Final = 2
"""The sums that are always shown: what was taken, on both sides."""

KINDS: Final = {
    Genre.TRANSACTIONS: "transactions",
    Genre.OPERATIONS: "opérations",
    Genre.RAPPROCHEMENTS: "rapprochements",
    Genre.IMPAYES: "impayés",
}
"""What a person reads of each kind of report."""


def tell(summary: Bilan, console: Console, *, as_json: bool) -> None:
    """The summary of a report: with `as_json`, one line of JSON."""
    if as_json:
        sys.stdout.write(json.dumps(as_dict(summary), ensure_ascii=False) + "\n")
        sys.stdout.flush()
        return
    again = " (déjà lu)" if summary.deja_lu else ""
    day = jour_de_paris(summary.genere_le)
    console.print(
        f"{summary.fichier} : rapport des {KINDS[summary.genre]} daté du {day:%d/%m/%Y}{again}, "
        f"{summary.lignes} lignes dont {summary.nouvelles} nouvelles ; "
        f"{summary.accordees} transactions sur {summary.transactions} s'accordent.",
        markup=False,
        highlight=False,
    )
    console.print(_sums(summary))
    if summary.ecarts:
        console.print(_differences(summary.ecarts[:SHOWN_MAX]))
    if len(summary.ecarts) > SHOWN_MAX:
        console.print(f"… et {len(summary.ecarts) - SHOWN_MAX} autres écarts (--json les dit tous).")
    console.print(
        f"Écarts : {len(summary.ecarts)} ici, {summary.ouverts} nouveaux, {summary.leves} levés. "
        f"Banque interrogée : {summary.transmises} réponses transmises, {summary.inconnues} inconnues, "
        f"{summary.sans_reponse} sans réponse.",
        highlight=False,
    )


def tell_refused(path: Path, cause: Exception, console: Console, errors: Console, *, as_json: bool) -> None:
    """A report that is not taken in, and why."""
    name = path.name.encode("utf-8", "replace").decode()
    why = unreadable(path, cause) if isinstance(cause, OSError) else str(cause)
    if as_json:
        sys.stdout.write(json.dumps({"fichier": name, "refuse": why}, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    else:
        console.file.flush()
        errors.print(f"{name} : refusé, rien n'en est pris. {why}", markup=False, soft_wrap=True)


def as_dict(summary: Bilan) -> dict[str, object]:
    """The summary as JSON holds it; amounts in cents."""
    return {
        "fichier": summary.fichier,
        "empreinte": summary.empreinte,
        "genre": summary.genre.value,
        "genere_le": summary.genere_le.isoformat(),
        "deja_lu": summary.deja_lu,
        "lignes": summary.lignes,
        "nouvelles": summary.nouvelles,
        "transactions": summary.transactions,
        "accordees": summary.accordees,
        "sommes": [
            {"marchand": merchant or None, "jour": day.isoformat(), **asdict(summary.sommes[merchant, day])}
            for merchant, day in sorted(summary.sommes)
        ],
        "ecarts": [_as_dict(difference) for difference in summary.ecarts],
        "ouverts": summary.ouverts,
        "leves": summary.leves,
        "banque_interrogee": {
            "transmises": summary.transmises,
            "inconnues": summary.inconnues,
            "sans_reponse": summary.sans_reponse,
        },
    }


def _as_dict(difference: Ecart) -> dict[str, object]:
    return difference._asdict() | {"jour": difference.jour.isoformat()}


def _sums(summary: Bilan) -> Table:
    """The sums by merchant and day; what nobody gave back, took back or charged has no column."""
    named = ("Banque, pris", "Nous, pris", "Banque, rendu", "Nous, repris", "Frais")
    rows = []
    for merchant, day in sorted(summary.sommes):
        sums = summary.sommes[merchant, day]
        amounts = (sums.banque_pris, sums.nous_pris, sums.banque_rendu, sums.nous_repris, sums.frais)
        rows.append((merchant or "?", f"{day:%d/%m/%Y}", amounts))
    shown = [rank for rank in range(len(named)) if rank < ALWAYS_SHOWN or any(row[2][rank] for row in rows)]
    table = Table(whole("Marchand"), whole("Jour"))
    for rank in shown:
        table.add_column(named[rank], justify="right", no_wrap=True)
    for who, when, amounts in rows:
        table.add_row(who, when, *(euros(amounts[rank]) for rank in shown))
    return table


def _differences(differences: list[Ecart]) -> Table:
    table = Table(whole("Écart"), whole("Transaction"), whole("Montant"), "Cause")
    for difference in differences:
        table.add_row(difference.genre.value, difference.transaction, euros(difference.montant), difference.cause)
    return table
