"""A follower's witness: what it was given, in the database and outside."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from domain.creance import FAITS_DE_CREANCE
from domain.paiement import FAITS_DE_PAIEMENT
from engine.recorder import RecordedEvent
from tests.simulation.connection import Statement
from tests.simulation.view_statements import insert_into

WITNESS = "temoin"


class Seen(NamedTuple):
    """What the witness has been given."""

    position: int
    flux: str
    version: int


STATEMENT: Final = "the witness writes down what it was given"


class Witness:
    """A view that only writes down, in its transaction, what its follower gave it: no key of its own protects it."""

    nom: Final = WITNESS
    topics: Final = frozenset(fact.TOPIC for fact in (*FAITS_DE_CREANCE, *FAITS_DE_PAIEMENT))

    def __init__(self, published: list[Seen]) -> None:
        """`published`: what has left the database, once its follower said so."""
        self.published = published

    def reconcile(self, conn: Any) -> None:
        """Nothing to set right."""

    def preparer(self, faits: Sequence[RecordedEvent]) -> None:
        """Publishes, outside the transaction."""
        self.published += [_seen(fact) for fact in faits]

    def appliquer(self, conn: Any, faits: Sequence[RecordedEvent]) -> None:
        """Writes them down."""
        conn.execute(STATEMENT, tuple(zip(*map(_seen, faits), strict=True)))


def _seen(fact: RecordedEvent) -> Seen:
    return Seen(fact.position, fact.event.originator_id, fact.event.originator_version)


STATEMENTS: dict[str, tuple[str, Statement]] = {STATEMENT: ("witness", insert_into(WITNESS, Seen))}
