"""What the commands print for a person, fitted to a terminal."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from rich.console import Group
from rich.live import Live
from rich.table import Column, Table

from domain.delai import PARIS
from domain.monnaie import euros
from service.cli.application import console
from service.terminal import styled

if TYPE_CHECKING:
    from guichet.acces import Acces
    from projections.lectures.historique import Etape
    from projections.lectures.messages_recus import MessageRecu

SAME_TIME: Final = timedelta(seconds=1)
"""An event recorded within this time of its happening is told with one time."""


WIDE: Final = 110
"""Columns of a terminal from which a table of many cells has room."""


def history_table(steps: "Sequence[Etape]") -> Table:
    """One row an event; a column that would say nothing is left out, so that it fits a terminal."""
    overpaid = any(step.trop_percu for step in steps)
    late = any(abs(step.enregistre_le - step.survenu_le) >= SAME_TIME for step in steps)
    if (late or overpaid) and console.width < WIDE:
        return _narrow_history(steps, overpaid=overpaid)
    table = Table(whole("v"), whole("Événement"), "Enregistré le", *(["Survenu le"] if late else []))
    for name in ("Restant dû", "En cours", *(["Trop-perçu"] if overpaid else [])):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("Cause", overflow="fold")
    for step in steps:
        times = (step.enregistre_le, step.survenu_le) if late else (step.enregistre_le,)
        amounts = (step.restant_du, step.en_cours, *((step.trop_percu,) if overpaid else ()))
        table.add_row(
            str(step.version),
            step.type,
            *(f"{moment.astimezone(PARIS):%d/%m/%Y %H:%M:%S}" for moment in times),
            *("" if amount is None else euros(amount) for amount in amounts),
            step.cause,
        )
    return table


def _narrow_history(steps: "Sequence[Etape]", *, overpaid: bool) -> Table:
    """The same in 80 columns: the cause under the event, the date above the hour."""
    table = Table(whole("v"))
    table.add_column("Événement, et sa cause", overflow="fold")
    table.add_column("Enregistré (survenu)", overflow="fold", width=12)
    for name in ("Restant dû", "En cours", *(["Trop-perçu"] if overpaid else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for step in steps:
        amounts = (step.restant_du, step.en_cours, *((step.trop_percu,) if overpaid else ()))
        when = f"{step.enregistre_le.astimezone(PARIS):%d/%m/%Y %H:%M:%S}"
        if abs(step.enregistre_le - step.survenu_le) >= SAME_TIME:
            when += f" ({step.survenu_le.astimezone(PARIS):%d/%m/%Y %H:%M:%S})"
        told = ("" if amount is None else euros(amount) for amount in amounts)
        table.add_row(str(step.version), f"{step.type}\n{step.cause}", when, *told)
    return table


def messages_table(messages: "Sequence[MessageRecu]") -> Table:
    """One row a message that came in: the bank's answers, the caisse's messages."""
    table = Table(whole("Enregistré le"), whole("Sort"), "Autorisation", "Carte", "Code")
    table.add_column("Ce que cela veut dire, et d'où", overflow="fold")
    for message in messages:
        told = [str(message.champs.get(name) or "") for name in ("autorisation", "carte_masquee", "code")]
        moment = f"{message.enregistre_le.astimezone(PARIS):%d/%m/%Y %H:%M:%S}"
        table.add_row(moment, message.sort.value, *told, f"{message.phrase} ({message.cause}) {message.origine}")
    return table


def accesses_table(accesses: "Sequence[Acces]") -> Table:
    """One row a reading of a person's data."""
    table = Table(whole("Le"), "Qui", "Par", "Quoi")
    for name in ("Objet", "Assurés", "Motif"):
        table.add_column(name, overflow="fold")
    for one in accesses:
        moment = f"{one.enregistre_le.astimezone(PARIS):%d/%m/%Y %H:%M:%S}"
        table.add_row(moment, one.qui, one.voie, one.quoi, one.objet, ", ".join(one.assures), one.motif)
    return table


def whole(name: str) -> Column:
    """A column that is never cut."""
    return Column(name, no_wrap=True)


def lag_table(rows: Sequence[dict[str, Any]]) -> Group:
    """One row a role; under it what each failed on last, with its time: one that is over must not look current.

    Not a column: it would have five characters on a terminal of eighty, and is what one looks for at night.
    """
    table = Table(whole("Rôle"), "Événements", "Secondes", whole("État"), "Signe de vie", "Meneur")
    for row in rows:
        known = row["evenements"] is not None
        figures = (str(row["evenements"]), f"{row['secondes']:.1f}") if known else ("?", "?")
        age = "" if row["battement_secondes"] is None else f"{row['battement_secondes']:.0f} s"
        table.add_row(row["nom"], *figures, row["etat"], age, row["meneur"] or "")
    failed = [styled(f"{row['nom']}, dernière erreur : {_error(row)}", "") for row in rows if row["derniere_erreur"]]
    return Group(table, *failed)


def _error(row: dict[str, Any]) -> str:
    told = str(row["derniere_erreur"][:200])
    if not row["erreur_le"]:
        return told
    return f"{datetime.fromisoformat(row['erreur_le']).astimezone(PARIS):%d/%m/%Y %H:%M:%S} {told}"


def lag_alerts(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What happened to the topics that a person has to know of, a sentence each."""
    told = []
    for row in rows:
        if behind := row.get("journal_en_retard"):
            told.append(f"{behind} Aucun paiement ne s'ouvre avant `creances epoch --open RAISON`.")
        if row.get("partitions_arretees"):
            told.append(
                f"{row['topic']} : {row['partitions_arretees']} partition(s) arrêtée(s), raccourcies ou illisibles ;"
                " voir `creances partitions`."
            )
        if row.get("messages_perdus"):
            told.append(f"{row['topic']} : {row['messages_perdus']} messages effacés par la rétention avant lecture.")
        if row.get("topic_recree"):
            when = datetime.fromisoformat(row["topic_recree_le"]).astimezone(PARIS)
            told.append(f"{row['topic']} : recréé {row['topic_recree']} fois, la dernière le {when:%d/%m/%Y %H:%M:%S}.")
    return told


def redraw(draw: Any) -> None:
    """Draw again each second, until Ctrl-C."""
    import time

    with Live(draw(), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(1)
            live.update(draw(), refresh=True)
