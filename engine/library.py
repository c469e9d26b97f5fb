"""The recorder as the library wants it (`ApplicationRecorder`): its own applications run on our log."""

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Final
from uuid import UUID

from eventsourcing.persistence import ApplicationRecorder, Notification, StoredEvent, Subscription
from psycopg import Connection
from psycopg.errors import UniqueViolation

from engine.conflicts import traduire

_SLICE: Final = """
SELECT flux, version, topic, etat FROM journal.evenements
WHERE flux = %s AND version > %s AND (%s::int8 IS NULL OR version <= %s::int8) ORDER BY version LIMIT %s
"""
_SLICE_BACKWARDS: Final = _SLICE.replace("ORDER BY version", "ORDER BY version DESC")

_LOG: Final = """
SELECT flux, version, topic, etat, position FROM journal.evenements
WHERE position >= %s AND (%s::int8 IS NULL OR position <= %s) AND (%s OR topic = ANY (%s))
ORDER BY position LIMIT %s
"""


class LibraryRecorder(ApplicationRecorder):
    """The library's interface over two things of ours: a transaction, and writing events in order."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Connection[Any]]:
        """A connection in a transaction of its own."""

    @abstractmethod
    def write_events(self, conn: Connection[Any], events: Sequence[StoredEvent], causes: Sequence[str]) -> list[int]:
        """Write these events, in order; return their positions."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """Write these events alone, in a transaction of their own; `cause` says why. Raises VersionConflict."""
        with self.transaction() as conn:
            try:
                return self.write_events(conn, stored_events, [kwargs.get("cause", "application")] * len(stored_events))
            except UniqueViolation as violation:
                raise traduire(violation) from violation

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Read a slice of a stream."""
        with self.transaction() as conn:
            rows = conn.execute(_SLICE_BACKWARDS if desc else _SLICE, (str(originator_id), gt or 0, lte, lte, limit))
            return [StoredEvent(*row) for row in rows]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Read a slice of the log."""
        first = (start or 0) + (0 if inclusive_of_start else 1)
        with self.transaction() as conn:
            rows = conn.execute(_LOG, (first, stop, stop, not topics, list(topics), limit))
            return [Notification(*row) for row in rows]

    def max_notification_id(self) -> int | None:
        """The last position of the log; None if it is empty."""
        with self.transaction() as conn:
            (last,) = conn.execute("SELECT max(position) FROM journal.evenements").fetchone() or (None,)
            return last

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        """Not offered: the followers of `engine.follower` read in batches."""
        raise NotImplementedError
