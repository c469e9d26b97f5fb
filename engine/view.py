"""What a follower needs of the view that it leads."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from psycopg import Connection

from engine.streams import RecordedEvent


class View(Protocol):
    """What a follower keeps up to date."""

    @property
    def nom(self) -> str:
        """The follower's name, ASCII."""

    @property
    def topics(self) -> frozenset[str]:
        """The topics of the events that concern it."""

    def appliquer(self, conn: Connection[Any], faits: Sequence[RecordedEvent]) -> None:
        """Apply these events, in order, in a number of statements that does not depend on how many they are."""


@runtime_checkable
class ViewWithLists(View, Protocol):
    """A view that keeps, beside its rows, tables that follow from them: lists of work, counts.

    A version of the service that does not know them may lead the view for a while: they are made again when one that
    does takes the lead (`vues.suiveurs.tenue` says up to where they are kept).
    """

    def refaire(self, conn: Connection[Any]) -> None:
        """Make these tables again from the rows, in the open transaction."""


@runtime_checkable
class ExternalView(View, Protocol):
    """A view that also acts outside the database: slowly, outside any transaction, and twice if need be.

    It raises `engine.outages.Outage` if a server is missing; any other exception accuses an event of the batch.
    """

    def reconcile(self, conn: Connection[Any]) -> None:
        """Called by the leader before each batch: here it may move its own position, in a transaction."""

    def preparer(self, faits: Sequence[RecordedEvent]) -> None:
        """Act outside for these events; `appliquer` follows, in the transaction that moves the position."""
