"""What a notification costs, role by role, in one process: batches decided, then every follower, by turns.

Nothing runs beside the role that is measured, and what is read is processor time: of the role's thread, and of the
PostgreSQL session that works for it (the kernel's own count, to the microsecond). So a busy machine hardly moves these
figures, and two bases can be compared batch by batch. Kafka's reading is left out: `pipeline` runs the whole processes.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from uuid import uuid4

import psycopg
from psycopg import Connection

from bench import data
from bench.data import Scale
from bench.servers import Database, Servers
from engine.batch import Advance, Partition
from engine.decision import decide
from engine.follower import Follower
from engine.messages import Message
from guichet.guichet import Guichet
from guichet.prendre_notification import prendre_notifications
from service import composition
from service.composition import VIEWS

BATCH: Final = 500
BATCHES: Final = 6
"""Batches of a turn; the figure is that of the cheapest half."""

_NAME: Final = "batches"
_POOL: Final = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s"


class Cost(NamedTuple):
    """Microseconds of processor a notification."""

    python: float
    postgresql: float


class Base:
    """A lived base, its consumer and its followers, all in this process."""

    def __init__(self, servers: Servers, database: Database, scale: Scale, stack: ExitStack) -> None:
        """On a loaded database; what is opened is closed with the stack."""
        self.settings = servers.settings(database, f"batches-{database.name}")
        self.counter: Guichet = composition.guichet(self.settings, application=_NAME)
        stack.enter_context(self.counter.base)
        self._watch = stack.enter_context(psycopg.connect(database.owner_url, autocommit=True))
        self.partition = Partition(uuid4(), "notifications-mesurees", 0)
        self.offset = 0
        self._values = data.notifications(scale, scale.payments)
        self.followers = [
            (view, stack.enter_context(_Led(composition.follower(self.settings, self.counter.recorder, view))))
            for view in VIEWS
        ]

    def turn(self, batches: int) -> dict[str, list[Cost]]:
        """So many batches, each followed by all; what each cost."""
        costs: dict[str, list[Cost]] = {}
        for _ in range(batches):
            costs.setdefault("consumer", []).append(self._decide())
            for view, led in self.followers:
                costs.setdefault(view, []).append(led.catch_up())
        return costs

    def _messages(self) -> list[Message]:
        now = datetime.now(UTC)
        values = [value for _, (_, value) in zip(range(BATCH), self._values, strict=False)]
        if len(values) < BATCH:
            raise RuntimeError("no payment waits any more")
        return [Message(self.partition, self.offset + rank, None, value, now) for rank, value in enumerate(values)]

    def _decide(self) -> Cost:
        messages = self._messages()
        advance = Advance(self.partition, self.offset, self.offset + BATCH)
        self.offset += BATCH

        def decision(conn: Connection[Any]) -> None:
            outcome = prendre_notifications(self.counter, conn, messages, datetime.now(UTC))
            outcome.lot.advances = [advance]
            self.counter.recorder.record(conn, outcome.lot)

        return measured(self._pool, lambda: decide(self.counter.base, self.counter.recorder, decision))

    def _pool(self) -> int:
        return sum(session_ns(pid) for (pid,) in self._watch.execute(_POOL, (_NAME,)))


class _Led:
    """A follower led from here, a batch at a time."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower

    def __enter__(self) -> Self:
        self._conn = self._follower._connect()  # noqa: SLF001  what `run` does, but step by step
        if not self._follower._lead(self._conn):  # noqa: SLF001
            raise RuntimeError("somebody else leads")
        self._renewed = self._follower.lease.renewed()
        self._renewed.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._renewed.__exit__(None, None, None)
        self._follower.lease.release(self._conn)
        self._conn.close()

    def catch_up(self) -> Cost:
        """Apply all that is pending."""

        def apply() -> None:
            while self._follower.avancer(self._conn):
                pass

        return measured(lambda: session_ns(self._conn.info.backend_pid), apply)


def measured(session: Callable[[], int], work: Callable[[], Any]) -> Cost:
    """What this thread and those sessions of PostgreSQL used for a batch, a notification."""
    before, since = session(), time.thread_time_ns()
    work()
    used = time.thread_time_ns() - since
    return Cost(used / 1e3 / BATCH, (session() - before) / 1e3 / BATCH)


def session_ns(pid: int) -> int:
    """Nanoseconds of processor that a session used; PostgreSQL runs on this machine."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def quieter_half(costs: list[Cost]) -> Cost:
    """The mean of the cheapest half: what others do on the machine only ever adds."""
    kept = sorted(costs, key=sum)[: max(1, len(costs) // 2)]
    return Cost(*(sum(some) / len(kept) for some in zip(*kept, strict=True)))
