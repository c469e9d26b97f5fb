"""How anomalies and their settlements are told on a terminal, or as JSON."""

from datetime import datetime
from typing import Any, Final

import typer
from rich.table import Table

from domain.anomalie import LIBELLES
from domain.delai import PARIS
from domain.monnaie import euros
from guichet.reglement.proposer import Reglement, Suite
from projections.lectures.ligne_d_anomalie import LigneDAnomalie
from service.cli.application import PROBLEM, console, print_json
from service.cli.tables import whole

LIST_WIDE: Final = 180
"""Columns of a terminal from which the whole list has room as a table."""


def tell_list(rows: list[LigneDAnomalie], *, as_json: bool, settled: bool = False) -> None:
    """Tell these anomalies."""
    if as_json:
        print_json([row.en_detail() for row in rows])
        return
    if not rows:
        console.print("Aucune anomalie." if not settled else "Aucune anomalie réglée.")
        return
    if console.width < LIST_WIDE:
        for row in rows:
            _tell_narrowly(row)
        return
    table = Table(
        *map(whole, ("Anomalie", "Genre", "État", "Montant", "Créance ou paiement", "Caisse", "Assuré", "Depuis")),
        "Cause",
        "Gestes",
    )
    for row in rows:
        since = f"{row.depuis.astimezone(PARIS):%d/%m/%Y %H:%M}"
        amount = euros(row.montant) if row.montant else ""
        who = (row.reference or row.transaction or "", row.caisse or "", row.assure or "")
        table.add_row(row.id, row.genre, row.etat, amount, *who, since, row.cause, _gestures(row))
    console.print(table)


def _tell_narrowly(row: LigneDAnomalie) -> None:
    """A few lines: a table of this width would cut the words."""
    amount = f", {euros(row.montant)}" if row.montant else ""
    since = f"{row.depuis.astimezone(PARIS):%d/%m/%Y %H:%M}"
    console.print(f"{row.id} : {row.genre}, {row.etat}{amount}, {since}", soft_wrap=True, highlight=False)
    console.print(f"    {row.cause}", soft_wrap=True, highlight=False)
    named = (("créance", row.reference), ("paiement", row.transaction), ("caisse", row.caisse), ("assuré", row.assure))
    about = [f"{name} {value}" for name, value in named if value]
    if about:
        console.print(f"    {', '.join(about)}", soft_wrap=True, highlight=False)
    console.print(f"    gestes : {_gestures(row)}", soft_wrap=True, highlight=False)


def _gestures(row: LigneDAnomalie) -> str:
    """What may be done, as `creances anomalies settle --geste` takes it."""
    return ", ".join(gesture.value for gesture in row.gestes) or "aucun, elle se lèvera d'elle-même"


def tell_settlement(ident: str, done: Reglement, *, as_json: bool) -> None:
    """Tell what a settlement became; exit with 1 if the bank refused it."""
    if as_json:
        print_json(done.en_json(ident))
    else:
        console.print(done.phrase, markup=False, highlight=False)
    if done.suite is Suite.ABANDONNE:
        raise typer.Exit(PROBLEM)


def tell_one(row: LigneDAnomalie, told: list[dict[str, Any]]) -> None:
    """Tell one anomaly, and what persons did with it."""
    table = Table(show_header=False)
    for name, value in (
        ("Anomalie", row.id),
        ("Genre", row.genre),
        ("État", row.etat),
        ("Montant", euros(row.montant) if row.montant else ""),
        ("Cause", row.cause),
        ("Créance", row.reference or ""),
        ("Transaction", row.transaction or ""),
        ("Assuré", row.assure or ""),
        ("Caisse", row.caisse or ""),
        ("Depuis", f"{row.depuis.astimezone(PARIS):%d/%m/%Y %H:%M:%S}"),
        ("Gestes", "\n".join(f"{gesture.value} : {LIBELLES[gesture]}" for gesture in row.gestes)),
    ):
        table.add_row(name, value)
    console.print(table)
    for step in told:
        who = step.get("par") or " et ".join(filter(None, (step.get("saisi_par"), step.get("approuve_par"))))
        when = datetime.fromisoformat(step["le"]).astimezone(PARIS)
        console.print(f"{when:%d/%m/%Y %H:%M:%S}  {step['type']}  {who}", markup=False, highlight=False)
