"""The recorder: write a batch as one block, in the order in which transactions commit; read streams.

**The order.** A follower reads the log by rising positions. Nothing is missed if positions appear in the order in which
transactions commit; an advisory lock guarantees it, taken just before the events are written and given back by the
commit. The library's `LOCK TABLE` would wait behind VACUUM and ask for more than the right to INSERT.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from eventsourcing.persistence import StoredEvent
from psycopg import Connection, Pipeline
from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from engine import positions as places
from engine import tracing, waiting_room
from engine.batch import Batch, Entry, Fate, IdempotencyKey, Partition
from engine.clocks import AT_MOST, latest, ours
from engine.conflicts import traduire
from engine.database import Database
from engine.event import Aggregate
from engine.library import LibraryRecorder
from engine.mapper import EventMapper
from engine.streams import RecordedEvent, Streams

ORDER_LOCK: Final = 0x6F72647265
"""Key of the advisory lock that orders the writes ('ordre' in ASCII)."""

CANAL: Final = "journal"
"""NOTIFY channel: wakes the followers."""

ORDER_HELD_MAX_S: Final = 10.0
"""How long a writer that is frozen or cut off may keep the others from writing (seconds)."""

# Takes the write order until the end of the transaction; apart, so that the next statement sees everything. From then
# on this session may not stay silent: PostgreSQL ends it, and so frees the order.
_ORDER: Final = """
SELECT pg_advisory_xact_lock(%b::int8), set_config('idle_in_transaction_session_timeout', %b, true),
       set_config('creances.au_plus_tard', %b, true)
"""

# The same from PostgreSQL 17 on, where a transaction itself has a bound, also while it waits in a pipeline.
_ORDER_17: Final = """
SELECT pg_advisory_xact_lock(%b::int8), set_config('transaction_timeout', %b, true),
       set_config('creances.au_plus_tard', %b, true)
"""
_VERSION_17: Final = 170_000

# Writes the events of a batch; the database gives them their position and their time (0020_droits.sql): PostgreSQL's,
# never before their predecessor's, and never further ahead of the writer's own clock than `clocks.AHEAD_MAX`.
_WRITE_EVENTS: Final = """
INSERT INTO journal.evenements (flux, version, topic, etat, cause)
SELECT e.flux, e.version, e.topic, e.etat, e.cause
FROM unnest(%b::text[], %b::int8[], %b::text[], %b::bytea[], %b::text[])
     WITH ORDINALITY AS e (flux, version, topic, etat, cause, rang)
ORDER BY e.rang
RETURNING position
"""

# Wakes the followers when it commits.
_WAKE: Final = f"NOTIFY {CANAL}"

# Records the fate of each message of the batch, and moves their counts.
_WRITE_FATES: Final = f"""
WITH ecrits AS (
    INSERT INTO journal.sorts (topic_id, topic, partition, decalage, sort, cause, objet, empreinte, champs)
    SELECT m.* FROM unnest(%b::uuid[], %b::text[], %b::int4[], %b::int8[], %b::text[], %b::text[], %b::text[],
                           %b::bytea[], %b::jsonb[]) AS m, {AT_MOST}
    RETURNING topic_id, topic, partition, sort
)
INSERT INTO vues.sorts AS s (topic_id, topic, partition, sort, messages)
SELECT topic_id, topic, partition, sort, count(*) FROM ecrits GROUP BY topic_id, topic, partition, sort
ORDER BY topic_id, partition, sort
ON CONFLICT (topic_id, partition, sort) DO UPDATE SET messages = s.messages + excluded.messages
"""  # noqa: S608 (constants)

# Records the answer given to a request.
_WRITE_KEY: Final = f"""
INSERT INTO journal.cles_idempotence (auteur, cle, empreinte, reponse, correlation)
SELECT %b, %b, %b, %b, %b FROM {AT_MOST}
"""  # noqa: S608

# Finds the answer given to a request.
_READ_KEY: Final = "SELECT empreinte, reponse FROM journal.cles_idempotence WHERE auteur = %b AND cle = %b"

# The next position to read of each partition of a topic.
_READ_POSITIONS: Final = """
SELECT partition, max(jusqu_a) FROM journal.positions WHERE topic_id = %b GROUP BY partition
"""

# A transaction number that is still free today.
_NEXT_NUMBER: Final = "SELECT nextval('journal.numeros_de_transaction')"


class Recorder(Streams, LibraryRecorder):
    """The service's recorder; it is also the one that the library expects (`ApplicationRecorder`).

    All its methods with `conn` take part in the caller's transaction.
    """

    def __init__(
        self,
        base: Database,
        mapper: EventMapper,
        *,
        order_held_max_s: float = ORDER_HELD_MAX_S,
        clock: Callable[[], datetime] = ours,
    ) -> None:
        """Write to and read from this database, with this mapper; see `take_order` for `order_held_max_s`."""
        self.base = base
        self._clock = clock
        self._held_max = f"{round(order_held_max_s * 1000)}ms"
        super().__init__(mapper)

    # --- Writing -----------------------------------------------------------------------------------------------------

    def record(self, conn: Connection[Any], lot: Batch) -> list[int]:
        """Write the batch, one statement a table; return the positions of the events.

        Each statement leaves without waiting for the answer to the one before: PostgreSQL writes the fates while the
        events are still being serialised.

        Raises PositionConflict, KeyConflict or VersionConflict; the transaction is then lost.
        """
        try:
            with conn.pipeline() as pipeline:
                moved = places.advance(conn, lot.advances, self._clock)
                self._write_fates(conn, lot.fates)
                self._write_key(conn, lot.cle)
                waiting_room.hold(conn, lot.held, self._clock)
                waiting_room.settle(conn, lot.settled, self._clock)
                tracing.recorded(conn, lot)
                written = self._write_entries(conn, lot.entries, pipeline)
        except UniqueViolation as violation:
            raise traduire(violation) from violation
        moved()
        return written

    def take_order(self, conn: Connection[Any], pipeline: Pipeline | None = None) -> None:
        """Take the write order now: until the transaction ends, no stream can advance any further.

        It is held for `order_held_max_s` at most: a writer that is frozen or cut off loses it. Inside a pipeline,
        before its Sync, PostgreSQL before 17 takes a silent client for a busy one and no time-out applies: Sync first.
        """
        at_most = latest(self._clock)
        if conn.info.server_version >= _VERSION_17:
            conn.execute(_ORDER_17, (ORDER_LOCK, self._held_max, at_most))
            return
        conn.execute(_ORDER, (ORDER_LOCK, self._held_max, at_most))
        if pipeline is not None:
            pipeline.sync()

    def next_number(self, conn: Connection[Any]) -> int:
        """A transaction number, from 1 to 999,999, in a cycle."""
        (number,) = conn.execute(_NEXT_NUMBER).fetchone() or (0,)
        return int(number)

    def write_events(self, conn: Connection[Any], events: Sequence[StoredEvent], causes: Sequence[str]) -> list[int]:
        """Write these events, in order and under it; return their positions. Raises UniqueViolation."""
        columns = (
            [event.originator_id for event in events],
            [event.originator_version for event in events],
            [event.topic for event in events],
            [event.state for event in events],
            causes,
        )
        return self._write_columns(conn, columns) if events else []

    def _write_entries(self, conn: Connection[Any], entries: Sequence[Entry], pipeline: Pipeline) -> list[int]:
        """The same of a batch's events, which become bytes here, before the order is taken."""
        if not entries:
            return []
        events: list[Any] = [entry.event for entry in entries]
        write = self.mapper.write
        columns = (
            [event.originator_id for event in events],
            [event.originator_version for event in events],
            [event.TOPIC for event in events],
            [write(event) for event in events],
            [entry.cause for entry in entries],
        )
        return self._write_columns(conn, columns, pipeline)

    def _write_columns(
        self, conn: Connection[Any], columns: tuple[Sequence[Any], ...], pipeline: Pipeline | None = None
    ) -> list[int]:
        self.take_order(conn, pipeline)
        rows = conn.execute(_WRITE_EVENTS, columns).fetchall()
        conn.execute(_WAKE)
        return [position for (position,) in rows]

    def _write_fates(self, conn: Connection[Any], fates: Sequence[Fate]) -> None:
        if fates:
            conn.execute(
                _WRITE_FATES,
                (
                    [fate.partition.topic_id for fate in fates],
                    [fate.partition.topic for fate in fates],
                    [fate.partition.partition for fate in fates],
                    [fate.offset for fate in fates],
                    [fate.sort for fate in fates],
                    [fate.cause for fate in fates],
                    [fate.objet for fate in fates],
                    [fate.empreinte for fate in fates],
                    [Jsonb(fate.champs, msgspec.json.encode) for fate in fates],
                    latest(self._clock),
                ),
            )

    def _write_key(self, conn: Connection[Any], cle: IdempotencyKey | None) -> None:
        if cle is not None:
            told = (cle.auteur, cle.cle, cle.empreinte, Jsonb(cle.reponse), cle.correlation)
            conn.execute(_WRITE_KEY, (*told, latest(self._clock)))

    # --- Reading -----------------------------------------------------------------------------------------------------

    def cle(self, conn: Connection[Any], auteur: str, cle: str) -> IdempotencyKey | None:
        """The answer already given to this author's key, if there is one."""
        row = conn.execute(_READ_KEY, (auteur, cle)).fetchone()
        return IdempotencyKey(auteur, cle, bytes(row[0]), row[1]) if row else None

    def positions(self, conn: Connection[Any], topic_id: UUID) -> dict[int, int]:
        """The next position to read of each partition of this topic that was read before."""
        return dict(conn.execute(_READ_POSITIONS, (topic_id,)).fetchall())

    @contextmanager
    def transaction(self) -> Iterator[Connection[Any]]:
        """A connection in a transaction of its own."""
        with self.base.transaction() as conn:
            yield conn


def collect(aggregates: Iterable[Aggregate], cause: str) -> list[Entry]:
    """Collect the events that these aggregates have just triggered, with their common cause."""
    entries = []
    for aggregate in aggregates:
        entries += [Entry(event, cause) for event in aggregate.pending_events]
        aggregate.pending_events.clear()
    return entries


__all__ = ["CANAL", "ORDER_LOCK", "Partition", "RecordedEvent", "Recorder", "collect"]
