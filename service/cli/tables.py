"""What the commands print for a person, fitted to a terminal."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from rich.live import Live
from rich.table import Column, Table

from domain.delai import PARIS
from domain.monnaie import euros
from projections.historique import Étape
from service.cli.application import console

SAME_TIME: Final = timedelta(seconds=1)
"""An event recorded within this time of its happening is told with one time."""


def history_table(steps: Sequence[Étape]) -> Table:
    """One row an event; a column that would say nothing is left out, so that it fits a terminal."""
    overpaid = any(step.trop_perçu for step in steps)
    late = any(abs(step.enregistré_le - step.survenu_le) >= SAME_TIME for step in steps)
    table = Table(whole("v"), whole("Événement"), "Enregistré le", *(["Survenu le"] if late else []))
    for name in ("Restant dû", "En cours", *(["Trop-perçu"] if overpaid else [])):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("Cause", overflow="fold")
    for step in steps:
        times = (step.enregistré_le, step.survenu_le) if late else (step.enregistré_le,)
        amounts = (step.restant_dû, step.en_cours, *((step.trop_perçu,) if overpaid else ()))
        table.add_row(
            str(step.version),
            step.type,
            *(f"{moment.astimezone(PARIS):%d/%m/%Y %H:%M:%S}" for moment in times),
            *map(euros, amounts),
            step.cause,
        )
    return table


def whole(name: str) -> Column:
    """A column that is never cut."""
    return Column(name, no_wrap=True)


def lag_table(rows: Sequence[dict[str, Any]]) -> Table:
    """One row a role; the errors only if there are any."""
    failed = any(row["derniere_erreur"] for row in rows)
    table = Table(whole("Rôle"), "Événements", "Secondes", whole("État"), "Meneur")
    if failed:
        table.add_column("Dernière erreur", overflow="fold")
    for row in rows:
        error = [(row["derniere_erreur"] or "")[:200]] if failed else []
        cells = (row["nom"], str(row["evenements"]), f"{row['secondes']:.1f}", row["etat"], row["meneur"] or "")
        table.add_row(*cells, *error)
    return table


def redraw(draw: Any) -> None:
    """Draw again each second, until Ctrl-C."""
    import time

    with Live(draw(), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(1)
            live.update(draw(), refresh=True)
