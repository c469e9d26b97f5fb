"""The base of the followers: read the log in order, apply it in batches, move the position in the same transaction.

A follower serves a view, or the publication. One process at a time leads it, by a lease (`engine.lease`) under whose
number it writes. It wakes on NOTIFY, after a second at the latest. An event that it cannot apply is set aside with the
later ones of the same stream only; the others go on. An outage sets nothing aside: the follower waits and tries again.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, Final, NamedTuple

import structlog
from psycopg import Connection

from engine import instants, lists, set_aside, tracing
from engine.backoff import Backoff
from engine.database import connect
from engine.lease import LEASE_S, LeadershipLost, Lease
from engine.mapper import EventMapper
from engine.outages import describe, is_outage
from engine.recorder import CANAL, RecordedEvent
from engine.role_state import RoleState
from engine.view import ExternalView, View

LOT_MAX: Final = 2_000
"""Events read and applied in one transaction, at most."""

WAKE_MAX_S: Final = 1.0
"""The longest wait for a NOTIFY, which may be lost (seconds)."""

BACKOFF_MAX_S: Final = 5.0
"""The longest wait between two attempts (seconds): while a follower stands, what people see stands."""

CAUSE_MAX: Final = 2_000
"""Length of a cause that is kept, in characters."""

# Enters the follower if it is not there.
_ENTER: Final = "INSERT INTO vues.suiveurs (nom) VALUES (%b) ON CONFLICT DO NOTHING"

_POSITION: Final = "SELECT position FROM vues.suiveurs WHERE nom = %b"

# How far to read: the head of the log. Read before the events, never after, so that none is skipped.
_HEAD: Final = "SELECT coalesce(max(position), 0) FROM journal.evenements"

# The next events that concern the view, and those that only a newer version of the code knows: they may concern it too.
_NEXT: Final = """
SELECT position, flux, version, topic, etat, cause, enregistre_le FROM journal.evenements
WHERE position > %b AND position <= %b AND (topic = ANY (%b::text[]) OR topic <> ALL (%b::text[]))
ORDER BY position LIMIT %b
"""

# Moves by comparison: if somebody else moved it, or leads now, nothing is written.
_MOVE: Final = "UPDATE vues.suiveurs SET position = %b, tenue = %b WHERE nom = %b AND position = %b AND bail = %b"


class AheadOfLog(Exception):
    """The view has seen what the log does not hold: the log alone was restored, and would be passed over in silence."""


class _Row(NamedTuple):
    position: int
    stream: str
    version: int
    topic: str
    state: bytes
    cause: str
    recorded_at: Any


class Follower:
    """Leads a view along the log."""

    def __init__(
        self,
        url: str,
        vue: View,
        *,
        mapper: EventMapper,
        derriere: str | None = None,
        lot_max: int = LOT_MAX,
        wake_max_s: float = WAKE_MAX_S,
        lease_s: float = LEASE_S,
        etape: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`derriere`: never pass the committed position of that other follower.

        `lease_s`: how long a leader may be silent before it is replaced (seconds). `etape` is called between two steps.
        """
        self.url = url
        self.vue = vue
        self.derriere = derriere
        self.lot_max = lot_max
        self.wake_max_s = wake_max_s
        self.mapper = mapper
        self.etape = etape
        self.lease = Lease(url, vue.nom, lease_s)
        self._log = structlog.get_logger().bind(suiveur=vue.nom)
        self._state = RoleState(url, vue.nom)
        self._backoff = Backoff(self._log, "suiveur_interrompu", maximum_s=BACKOFF_MAX_S)
        self._topics = sorted(vue.topics)
        self._known = sorted(mapper.topics)

    # --- The loop ----------------------------------------------------------------------------------------------------

    def run(self, arret: threading.Event) -> None:
        """Follow the log until asked to stop; reconnect by itself, and say why it was interrupted."""
        while not arret.is_set():
            try:
                with closing(self._connect()) as conn:
                    if not self._lead(conn):
                        arret.wait(self.wake_max_s)
                        continue
                    try:
                        with self.lease.renewed():
                            self._follow(conn, arret)
                    finally:
                        self.lease.release(conn)
            except Exception as error:  # noqa: BLE001 (every failure is kept, then tried again)
                wait_s = self._backoff.fail(error)
                self._state.interrupt(error)
                arret.wait(wait_s)

    def catch_up(self) -> int:
        """Apply all that is pending, once; return how many events were read. Raises LeadershipLost."""
        with closing(self._connect()) as conn:
            if not self._lead(conn):
                raise LeadershipLost(self.vue.nom)
            total = 0
            try:
                with self.lease.renewed():
                    while read := self.avancer(conn):
                        total += read
            finally:
                self.lease.release(conn)
            return total

    def _connect(self) -> Connection[Any]:
        # Frozen in mid-transaction, it holds its rows no longer than its lease.
        return connect(self.url, application=f"follower-{self.vue.nom}", silence_s=self.lease.length_s)

    def _lead(self, conn: Connection[Any]) -> bool:
        conn.execute(_ENTER, (self.vue.nom,))
        leads = self.lease.take(conn)
        if leads:
            self._state.dire(conn, "actif")
            set_aside.release_known(conn, self.vue.nom, self.mapper.knows)
            lists.take_up(conn, self.vue, self.lease)
        return leads

    def _follow(self, conn: Connection[Any], arret: threading.Event) -> None:
        conn.execute(f"LISTEN {CANAL if self.derriere is None else _channel(self.derriere)}")
        while not arret.is_set():
            read = self.avancer(conn)
            self._backoff.progress()
            if read < self.lot_max:
                if self._state.is_due:
                    self._state.dire(conn, "actif")
                for _ in conn.notifies(timeout=self.wake_max_s, stop_after=1):
                    pass
        self._state.dire(conn, "inactif")

    # --- A batch -----------------------------------------------------------------------------------------------------

    def avancer(self, conn: Connection[Any]) -> int:
        """Read and apply one batch; return how many events were read (0: nothing pending).

        Raises LeadershipLost, or AheadOfLog.
        """
        self.lease.require()
        if isinstance(self.vue, ExternalView):
            self.vue.reconcile(conn)
        self._take_up_released(conn)
        since = self._position(conn)
        head = self._head(conn)
        if head < since and self.derriere is None:
            raise AheadOfLog(f"{self.vue.nom} est à la position {since}, et le journal finit à {head}.")
        if head <= since:
            return 0
        self.etape("lire")
        rows = self._fetch(conn, since, head)
        self._apply_or_isolate(conn, rows, since, rows[-1].position if len(rows) == self.lot_max else head)
        self.etape("suite")
        return len(rows)

    def _fetch(self, conn: Connection[Any], since: int, until: int) -> list[_Row]:
        wanted = (since, until, self._topics, self._known, self.lot_max)
        return list(map(_Row._make, instants.rows(conn, _NEXT, wanted)))

    def _apply_or_isolate(self, conn: Connection[Any], rows: Sequence[_Row], since: int, until: int) -> None:
        """Apply these events and move on; a faulty batch is cut in two until the faulty event is alone."""
        try:
            self._apply(conn, rows, since, until)
        except LeadershipLost:
            raise
        except Exception as error:
            if is_outage(error):
                raise
            # The trace comes with the faulty one, once alone; until then, one line a cut.
            trace = error if len(rows) <= 1 else None
            told = {"depuis": since, "jusqu_a": until, "evenements": len(rows)}
            self._log.error("lot_fautif", **told, cause=describe(error)[:CAUSE_MAX], exc_info=trace)
            if len(rows) > 1:
                middle = len(rows) // 2
                cut = rows[middle - 1].position
                self._apply_or_isolate(conn, rows[:middle], since, cut)
                self._apply_or_isolate(conn, rows[middle:], cut, until)
            elif rows:
                with conn.transaction():
                    self._set_aside(conn, rows[0], describe(error)[:CAUSE_MAX])
                    self._move(conn, since, until)
            else:
                raise

    def _apply(self, conn: Connection[Any], rows: Sequence[_Row], since: int, until: int) -> None:
        aside = set_aside.streams(conn, self.vue.nom, list({row.stream for row in rows}))
        known, held = set_aside.sort_out(rows, aside, self.mapper.unknown)
        read = self.mapper.read
        events = [
            RecordedEvent(position, read(stream, version, topic, state), cause, recorded_at)
            for position, stream, version, topic, state, cause, recorded_at in known
        ]
        with tracing.followed(self.vue.nom, conn, events):
            self._prepare(events)
            with conn.transaction():
                self.etape("appliquer")
                if events:
                    self.vue.appliquer(conn, events)
                for row, cause, kind in held:
                    self._set_aside(conn, row, cause, kind)
                self._move(conn, since, until)
                self.etape("valider")

    def _position(self, conn: Connection[Any]) -> int:
        (position,) = conn.execute(_POSITION, (self.vue.nom,)).fetchone() or (0,)
        return int(position)

    def _head(self, conn: Connection[Any]) -> int:
        if self.derriere is not None:
            (position,) = conn.execute(_POSITION, (self.derriere,)).fetchone() or (0,)
            return int(position)
        (head,) = conn.execute(_HEAD).fetchone() or (0,)
        return int(head)

    def _move(self, conn: Connection[Any], since: int, until: int) -> None:
        if conn.execute(_MOVE, (until, until, self.vue.nom, since, self.lease.number)).rowcount != 1:
            raise LeadershipLost(self.vue.nom)
        conn.execute(f"NOTIFY {_channel(self.vue.nom)}")

    def _prepare(self, events: Sequence[RecordedEvent]) -> None:
        if events and isinstance(self.vue, ExternalView):
            self.lease.require()  # What it does outside is guarded by no comparison.
            self.vue.preparer(events)

    def _read(self, row: _Row) -> RecordedEvent:
        event = self.mapper.read(row.stream, row.version, row.topic, row.state)
        return RecordedEvent(row.position, event, row.cause, row.recorded_at)

    # --- What could not be applied -----------------------------------------------------------------------------------

    def _set_aside(self, conn: Connection[Any], row: _Row, cause: str, unknown: str | None = None) -> None:
        self._log.error("evenement_ecarte", position=row.position, flux=row.stream, cause=cause)
        set_aside.add(conn, self.vue.nom, row.position, row.stream, cause=cause, unknown=unknown)

    def _take_up_released(self, conn: Connection[Any]) -> None:
        """Apply the streams that an operator released; one that fails again goes back to waiting."""
        rows = [_Row(*row) for row in set_aside.released(conn, self.vue.nom)]
        for stream in dict.fromkeys(row.stream for row in rows):
            try:
                read = [(row.topic, self._read(row)) for row in rows if row.stream == stream]
                # Of a kind that was unknown until now, it may not concern the view at all.
                events = [event for topic, event in read if topic in self.vue.topics]
                self._prepare(events)
                with conn.transaction():
                    self.lease.hold(conn)  # No position moves here: nothing else would refuse a late leader.
                    if events:
                        self.vue.appliquer(conn, events)
                    set_aside.forget(conn, self.vue.nom, stream)
                self._log.info("flux_reintegre", flux=stream)
            except LeadershipLost:
                raise
            except Exception as error:
                if is_outage(error):
                    raise
                set_aside.keep(conn, self.vue.nom, stream, describe(error)[:CAUSE_MAX])


def _channel(name: str) -> str:
    """The NOTIFY channel that says that a follower moved."""
    return f"suiveur_{name}"


__all__ = ["AheadOfLog", "ExternalView", "Follower", "LeadershipLost", "View"]
