"""What a reconciled report tells: a few lines and two tables for a person, one JSON object a report for a machine."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from domain.delai import jour_de_paris
from domain.monnaie import euros
from guichet.rapprochement.ecarts import Ecart
from guichet.rapprocher import Bilan, jour_attendu
from kiosque.rapports import LIBELLES
from service.cli.tables import whole
from service.controls import escaped_json
from service.files import unreadable

SHOWN_MAX: Final = 50
"""Differences printed for a person; `--json` has them all."""

ALWAYS_SHOWN: Final = 2
"""The sums that are always shown: what was taken, on both sides."""


def tell(summary: Bilan, console: Console, *, as_json: bool) -> None:
    """The summary of a report: with `as_json`, one line of JSON."""
    if as_json:
        _write_json(as_dict(summary))
        return
    again = " (déjà lu)" if summary.deja_lu else ""
    day = jour_de_paris(summary.genere_le)
    agree = "s'accordent" if summary.accordees > 1 else "s'accorde"
    _say(
        console,
        f"{summary.fichier} : rapport des {LIBELLES[summary.genre]} daté du {day:%d/%m/%Y}{again}, "
        f"{counted(summary.lignes, 'ligne')} dont {counted(summary.nouvelles, 'nouvelle')} ; "
        f"{counted(summary.accordees, 'transaction')} sur {summary.transactions} {agree}.",
    )
    if summary.sommes:
        console.print(_sums(summary))
    for transaction, why in list(summary.illisibles.items())[:SHOWN_MAX]:
        _say(console, f"Non jugée : {transaction}. Notre côté ne peut pas être lu : {' '.join(why.split())}")
    if summary.illisibles:
        _say(
            console, f"{counted(len(summary.illisibles), 'transaction')} à juger une fois réparée : relire ce rapport."
        )
    if summary.ecarts:
        console.print(_differences(summary.ecarts[:SHOWN_MAX]))
    if (more := len(summary.ecarts) - SHOWN_MAX) > 0:
        _say(console, f"… et {more} {'autres écarts' if more > 1 else 'autre écart'} (--json les dit tous).")
    _say(
        console,
        f"Écarts : {len(summary.ecarts)} ici, {summary.ouverts} {'nouveaux' if summary.ouverts > 1 else 'nouveau'}, "
        f"{counted(summary.leves, 'levé')}. "
        f"Banque interrogée : {counted(summary.transmises, 'réponse')} {_agreed('transmise', summary.transmises)}, "
        f"{counted(summary.inconnues, 'inconnue')}, {summary.sans_reponse} sans réponse.",
    )


def tell_refused(path: Path, cause: Exception, console: Console, errors: Console, *, as_json: bool) -> None:
    """A report that is not taken in, and why."""
    name = path.name.encode("utf-8", "replace").decode()
    why = unreadable(path, cause) if isinstance(cause, OSError) else str(cause)
    if as_json:
        _write_json({"fichier": name, "refuse": why})
    else:
        console.file.flush()
        errors.print(f"{name} : refusé, rien n'en est pris. {why}", markup=False, soft_wrap=True)


def due_sentences(missing: Sequence[str], now: datetime) -> list[str]:
    """Which merchants' reports are late, each with the day that it is about; that none is, if so."""
    day = f"{jour_attendu(now):%d/%m/%Y}"
    return [
        f"Marchand {merchant} : le rapport des transactions du {day} manque ; il est à demander à la banque."
        for merchant in missing
    ] or [f"Aucun rapport n'est attendu : chaque marchand en a un qui va au moins jusqu'au {day}."]


def _write_json(told: dict[str, object]) -> None:
    """One line; the name of a file may hold anything."""
    sys.stdout.write(escaped_json(json.dumps(told, ensure_ascii=False)) + "\n")
    sys.stdout.flush()


def _say(console: Console, sentence: str) -> None:
    """A sentence on one line, however narrow the terminal: a script looks for its words."""
    console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def _agreed(word: str, count: int) -> str:
    return f"{word}s" if count > 1 else word


def counted(count: int, word: str) -> str:
    """How many, the word agreed: 0 and 1 take no s."""
    return f"{count} {_agreed(word, count)}"


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
        "non_jugees": summary.illisibles,
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
