"""What goes wrong: processes killed and frozen, connections cut, replies lost, twice the same message, a backup restored.

Each history draws which kinds may strike it and how often; a commit is struck more often than a read.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.broker import Broker, Unreachable
from tests.simulation.journal_statements import EVENTS
from tests.simulation.scheduler import Actor, Killed, Scheduler
from tests.simulation.server import Lost, Server, Session
from tests.simulation.view_statements import ASIDE

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

    def __post_init__(self) -> None:
        """Draw which kinds there are, and how many in all."""
        rng = self.scheduler.rng
        self.kinds = {kind: rate for kind, rate in STRIKES.items() if rng.random() < 0.6}
        self.left = rng.randint(2, 16)
        self.unreadable = rng.random() < 0.2
        self.restores = rng.random() < 0.25
        self._intact: dict[Any, bytes] = {}
        self.server.strike = self.at_statement
        self.broker.strike = self.at_poll
        self.broker.twice = lambda: self._happens("message given twice")

    def _happens(self, kind: str, weight: int = 1) -> bool:
        rate = self.kinds.get(kind)
        if rate is None or self.calm or self.left <= 0 or self.scheduler.rng.random() >= rate * weight:
            return False
        self.left -= 1
        self.struck[kind] += 1
        self.scheduler.tell(f"FAULT {kind}")
        return True

    # --- Where the product meets the outside -------------------------------------------------------------------------

    def at_statement(self, session: Session, where: str) -> None:
        """Between two statements, before a commit, or after it and before its reply."""
        around = AROUND_COMMIT if where in {"commit", "committed"} else 1
        if where == "committed" and self._happens("reply lost", around):
            self.server.end(session, Lost("server closed the connection unexpectedly"))
            return
        if self._happens("connection cut", around):
            self.server.end(session)
            return
        if self._happens("lead lost"):
            self.server.session_locks.clear()  # A lease that ran out, a pooler that forgets sessions.
        self.at_step(where)

    def at_step(self, where: str) -> None:
        """Anywhere in a process."""
        actor = self.scheduler.current
        if actor is None or not actor.mortal:
            return
        around = AROUND_COMMIT if where in {"commit", "committed"} else 1
        if self._happens("killed", around):
            self.kill(actor)
        if self._happens("frozen", around):
            seconds = self.scheduler.rng.choice(FREEZES_S)
            self.scheduler.freeze(actor, seconds)
            self.server.outlast(actor, seconds)
            self.scheduler.sleep(0.0)

    def at_poll(self, where: str) -> None:
        """Before Kafka is asked."""
        if self._happens("broker unreachable"):
            raise Unreachable
        self.at_step(where)

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
