"""Ce qui a été repris de paiements que la banque avait acceptés : ils restent acceptés, et ne comptent plus."""

from collections.abc import Collection
from typing import Any, Final

from eventsourcing.persistence import StoredEvent
from psycopg import Connection

from domain.creance import Créance
from domain.references import ReferenceCreance, ReferenceTransaction
from engine.recorder import Recorder

_LIRE: Final = "SELECT flux, version, topic, etat FROM journal.evenements WHERE flux = ANY (%s) AND topic = %s"


def reprises(
    conn: Connection[Any], recorder: Recorder, references: Collection[ReferenceCreance]
) -> dict[ReferenceTransaction, int]:
    """Par transaction, ce qui en a été repris sur ces créances (centimes) ; rien pour celles qui comptent encore."""
    repris: dict[ReferenceTransaction, int] = {}
    flux = [Créance.flux(reference) for reference in references]
    for ligne in conn.execute(_LIRE, (flux, Créance.PaiementContrepassé.TOPIC)):
        fait = recorder.mapper.to_domain_event(StoredEvent(*ligne))
        assert isinstance(fait, Créance.PaiementContrepassé)  # noqa: S101 (le topic le dit)
        repris[fait.transaction] = repris.get(fait.transaction, 0) + fait.part
    return repris
