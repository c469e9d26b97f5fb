"""What goes wrong: processes killed and frozen, connections cut, replies lost, messages given twice, a restore.

Each history draws which kinds may strike it and how often; a commit is struck more often than a read.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tests.simulation.broker import Broker, Unreachable
from tests.simulation.journal_statements import EVENTS
from tests.simulation.scheduler import Actor, Killed, Scheduler
from tests.simulation.server import Lost, Server, Session
from tests.simulation.view_statements import ASIDE, FOLLOWERS

STRIKES = {
    "killed": 0.004,
    "frozen": 0.003,
    "connection cut": 0.004,
    "reply lost": 0.01,
    "lead lost": 0.004,
    "broker unreachable": 0.01,
    "message given twice": 0.03,
}
"""Each kind, and how likely it is at any place where it can strike."""
AROUND_COMMIT = 6
IN_PROCESS = ("killed", "frozen")
AT_STATEMENT = ("connection cut", "lead lost")
AT_COMMITTED = ("reply lost", "connection cut", "lead lost")
FREEZES_S = (2.0, 8.0, 15.0, 30.0, 90.0)
UNREADABLE = b'{"unreadable"'


@dataclass
class Faults:
    """The faults of one history."""

    scheduler: Scheduler
    server: Server
    broker: Broker
    struck: Counter[str] = field(default_factory=Counter)
    calm: bool = False
    peaceful: bool = False
    """Whether nothing at all goes wrong."""

    def __post_init__(self) -> None:
        """Draw which kinds there are, and how many in all."""
        rng = self.scheduler.rng
        self.kinds = {kind: rate for kind, rate in STRIKES.items() if rng.random() < 0.6}
        self.left = rng.randint(2, 16)
        self.unreadable = rng.random() < 0.2
        self.restores = rng.random() < 0.3
        self.stops_for_restore = rng.random() < 0.5
        """Whether the service was stopped before the backup was restored; if not, its roles go on, all knowing more."""
        if self.peaceful:
            self.kinds, self.unreadable, self.restores = {}, False, False
        self._intact: dict[Any, bytes] = {}
        self.server.strike = self.at_statement
        self.broker.strike = self.at_poll
        self.broker.twice = lambda: bool(self._draw(("message given twice",)))

    def _draw(self, kinds: tuple[str, ...], weight: int = 1) -> str:
        """Which of these kinds strikes here; none, mostly."""
        if self.calm or self.left <= 0:
            return ""
        drawn = self.scheduler.rng.random()
        for kind in kinds:
            drawn -= self.kinds.get(kind, 0.0) * weight
            if drawn < 0:
                self.left -= 1
                self.struck[kind] += 1
                self.scheduler.tell(f"FAULT {kind}")
                return kind
        return ""

    # --- Where the product meets the outside -------------------------------------------------------------------------

    def at_statement(self, session: Session, where: str) -> None:
        """Between two statements, before a commit, or after it and before its reply."""
        around = AROUND_COMMIT if where in {"commit", "committed"} else 1
        actor = self.scheduler.current
        kinds: tuple[str, ...] = AT_STATEMENT if where != "committed" else AT_COMMITTED
        if actor is not None and actor.mortal:
            kinds += IN_PROCESS
        match self._draw(kinds, around):
            case "reply lost" | "connection cut":
                self.server.end(session, Lost("server closed the connection unexpectedly"))
            case "lead lost":
                self.lose_leads()
            case kind:
                self._in_process(kind)

    def lose_leads(self) -> None:
        """Every lease runs out though its holder lives: its renewals did not arrive."""
        rows = self.server.tables[FOLLOWERS].rows
        for key, row in list(rows.items()):
            if row.bail_expire_le is not None:
                rows[key] = row._replace(bail_expire_le=self.scheduler.now - timedelta(seconds=1))

    def at_step(self) -> None:
        """Anywhere in a process."""
        self._in_process(self._draw(IN_PROCESS))

    def at_poll(self) -> None:
        """Before Kafka is asked."""
        match self._draw((*IN_PROCESS, "broker unreachable")):
            case "broker unreachable":
                raise Unreachable
            case kind:
                self._in_process(kind)

    def _in_process(self, kind: str) -> None:
        actor = self.scheduler.current
        if actor is None:
            return
        if kind == "killed":
            self.kill(actor)
        if kind == "frozen":
            seconds = self.scheduler.rng.choice(FREEZES_S)
            self.scheduler.freeze(actor, seconds)
            self.server.outlast(actor, seconds)
            self.scheduler.sleep(0.0)

    def kill(self, actor: Actor) -> None:
        """The process that goes on now is gone; the server finds its connections closed."""
        self.scheduler.kill(actor)
        for session in self.server.of(actor):
            self.server.end(session)
        raise Killed

    # --- What a history does once ------------------------------------------------------------------------------------

    def spoil(self) -> None:
        """An event of the log becomes unreadable where it lies."""
        events = self.server.tables[EVENTS].rows
        streams = [key for key, event in events.items() if event.flux.startswith("creance-")]
        if not streams:
            return
        key = self.scheduler.rng.choice(streams)
        self._intact[key] = events[key].etat
        events[key] = events[key]._replace(etat=UNREADABLE)
        self.struck["event unreadable"] += 1
        self.scheduler.tell(f"FAULT unreadable {key}")

    def mend(self) -> None:
        """It is readable again."""
        events = self.server.tables[EVENTS].rows
        for key, state in self._intact.items():
            if key in events and events[key].etat == UNREADABLE:
                events[key] = events[key]._replace(etat=state)

    def release(self) -> None:
        """Somebody releases what followers had set aside, as the runbook says."""
        rows = self.server.tables[ASIDE].rows
        for key, row in list(rows.items()):
            if row.libere_le is None:
                rows[key] = row._replace(libere_le=self.scheduler.now)

    def rest(self) -> None:
        """No more of it: what was frozen goes on, what was spoilt is mended."""
        self.calm = True
        self.mend()
