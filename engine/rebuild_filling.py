"""Filling a view's shadow from the log: read and decode ahead, apply in batches, isolate what is at fault."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any, Final, NamedTuple

from eventsourcing.persistence import MapperDeserialisationError
from psycopg import Connection, sql
from psycopg.errors import InsufficientPrivilege

from engine.database import connect
from engine.follower import Follower, View, _Row
from engine.lease import LeadershipLost, Lease
from engine.mapper import EventMapper
from engine.migrations import SERVICE_ROLE_NAME
from engine.outages import is_outage
from engine.recorder import RecordedEvent

BATCH: Final = 5_000
"""Events read and applied in one transaction: a rebuild has nobody waiting for each."""

AHEAD: Final = 2
"""Batches read and decoded while one is applied."""

LEASES: Final = "vues.baux"

# Moves by comparison, like a follower.
_MOVE: Final = """
UPDATE vues.reconstructions SET position = %b, lus = lus + %b, battement_le = clock_timestamp()
WHERE rang = %b AND position = %b AND etat = 'en_cours'
"""

_WHERE: Final = "SELECT position, lus FROM vues.reconstructions WHERE rang = %b"
_ANY_ASIDE: Final = "SELECT FROM vues.ecartes WHERE suiveur = %b LIMIT 1"

Progress = Callable[[str, int, int], None]
"""Told what is done, how much of it, out of how much (0: unknown)."""


class RebuildRefused(Exception):
    """The rebuild does not begin, or does not take the view's place; the sentence says why."""


class Batch(NamedTuple):
    """What was read ahead."""

    rows: list[_Row]
    events: list[RecordedEvent] | None
    """None if one of them cannot be read."""
    until: int


class Filling(Follower):
    """Fills a shadow as a follower fills its view, with a position of its own (`vues.reconstructions`).

    Its connection redirects what the view writes, and what is set aside, to the shadow (`engine.shadow`).
    """

    def __init__(
        self,
        url: str,
        vue: View,
        *,
        mapper: EventMapper,
        derriere: str | None = None,
        lot_max: int = BATCH,
        progress: Progress = lambda _what, _done, _total: None,
        etape: Callable[[str], None] = lambda _: None,
    ) -> None:
        """As for a follower; it is led by a lease of its own, apart from the live view's."""
        super().__init__(url, vue, mapper=mapper, derriere=derriere, lot_max=lot_max, etape=etape)
        self.progress = progress
        self.lease = Lease(url, f"reconstruction:{vue.nom}", table=LEASES)
        self._rang = 0
        self._read_here = 0
        self._total = 0
        self._counted = 0

    def _connect(self) -> Connection[Any]:
        conn = connect(self.url, application=f"rebuild-{self.vue.nom}", silence_s=60.0)
        try:
            conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(SERVICE_ROLE_NAME)))
        except InsufficientPrivilege:
            (who,) = conn.execute("SELECT session_user").fetchone() or ("",)
            conn.close()
            raise RebuildRefused(
                f"{who} ne peut pas reconstruire une vue : il faut un login membre de {SERVICE_ROLE_NAME}."
            ) from None
        return conn

    def _fill(self, conn: Connection[Any]) -> None:
        """Apply all up to the head, until less than a batch came meanwhile: under traffic there is always something."""
        while True:
            since, _ = self._where(conn)
            until = self._head(conn)
            if until <= since:
                return
            before = self._read_here
            with self._reading_ahead(since, until) as batches:
                for batch in batches:
                    self.lease.require()
                    self._one(conn, batch, since)
                    since = batch.until
                    self._read_here += len(batch.rows)
                    self.progress("événements", self._read_here, max(self._total, self._read_here))
            if self._read_here - before < self.lot_max:
                return

    @contextmanager
    def _reading_ahead(self, since: int, until: int) -> Iterator[Iterator[Batch]]:
        """Read and decode in a thread of its own, on a connection of its own, while batches are applied."""
        ready: queue.Queue[Batch | BaseException | None] = queue.Queue(AHEAD)
        end = threading.Event()

        def put(one: Batch | BaseException | None) -> None:
            while not end.is_set():
                with suppress(queue.Full):
                    ready.put(one, timeout=0.1)
                    return

        def read() -> None:
            try:
                with closing(self._connect()) as conn:
                    at = since
                    while at < until and not end.is_set():
                        rows = self._fetch(conn, at, until)
                        at = rows[-1].position if len(rows) == self.lot_max else until
                        put(Batch(rows, self._decode(rows), at))
                put(None)
            except BaseException as fault:  # noqa: BLE001  (raised again by whoever waits for the batch)
                put(fault)

        def batches() -> Iterator[Batch]:
            while (one := ready.get()) is not None:
                if isinstance(one, BaseException):
                    raise one
                yield one

        thread = threading.Thread(target=read, name=f"rebuild-{self.vue.nom}", daemon=True)
        thread.start()
        try:
            yield batches()
        finally:
            end.set()
            thread.join()

    def _decode(self, rows: Sequence[_Row]) -> list[RecordedEvent] | None:
        """The events; None if one of them cannot be read."""
        read = self.mapper.lire
        try:
            return [
                RecordedEvent(position, read(stream, version, topic, state), cause, recorded_at)
                for position, stream, version, topic, state, cause, recorded_at in rows
            ]
        except MapperDeserialisationError:
            return None

    def _one(self, conn: Connection[Any], batch: Batch, since: int) -> None:
        """Apply a batch: at once if nothing is set aside, else as a follower does, which isolates what is at fault."""
        self.etape("lire")
        aside = conn.execute(_ANY_ASIDE, (self.vue.nom,)).fetchone()
        if batch.events is not None and aside is None:
            try:
                with conn.transaction():
                    self.etape("appliquer")
                    if batch.events:
                        self.vue.appliquer(conn, batch.events)
                    self._counted = len(batch.rows)
                    self._move(conn, since, batch.until)
                    self.etape("valider")
            except LeadershipLost:
                raise
            except Exception as error:
                if is_outage(error):
                    raise
            else:
                self.etape("suite")
                return
        self._apply_or_isolate(conn, batch.rows, since, batch.until)
        self.etape("suite")

    def _apply(self, conn: Connection[Any], rows: Sequence[_Row], since: int, until: int) -> None:
        self._counted = len(rows)
        super()._apply(conn, rows, since, until)

    def _set_aside(self, conn: Connection[Any], row: _Row, cause: str, unknown: str | None = None) -> None:
        self._counted = max(self._counted, 1)
        super()._set_aside(conn, row, cause, unknown)

    def _move(self, conn: Connection[Any], since: int, until: int) -> None:
        if conn.execute(_MOVE, (until, self._counted, self._rang, since)).rowcount != 1:
            raise LeadershipLost(self.lease.name)
        self._counted = 0

    def _where(self, conn: Connection[Any]) -> tuple[int, int]:
        """The shadow's position, and how many events it has read."""
        row = conn.execute(_WHERE, (self._rang,)).fetchone()
        return row or (0, 0)
