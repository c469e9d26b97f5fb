"""What a notification costs, role by role, in one process: batches decided, then every follower, by turns.

Nothing runs beside the role that is measured, and what is read is processor time: of the role's thread, and of the
PostgreSQL session that works for it (the kernel's own count, to the microsecond). So a busy machine hardly moves these
figures, and two bases can be compared batch by batch. Kafka's reading is left out: `pipeline` runs the whole processes.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from uuid import uuid4

import psycopg
from psycopg import AsyncConnection, Connection

from bench import data, life_loading
from bench.data import Scale
from bench.figures import Figures
from bench.plan import Plan
from bench.servers import Database, Servers
from bench.stage import Stage
from engine.batch import Advance, Partition
from engine.decision import decide
from engine.follower import Follower
from engine.messages import Message
from guichet.guichet import Guichet
from guichet.prendre_notification import prendre_notifications
from projections.lectures.delai import etat_du_delai
from service import composition
from service.composition import VIEWS
from service.run import spare_the_collector

BATCH: Final = 500
BATCHES: Final = 6
"""Batches of a turn, at most; the figure is that of the cheapest half."""

CLOCKS: Final = 3
"""Readings of the 24 h clock in a turn."""

_NAME: Final = "batches"
_POOL: Final = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s"


class Cost(NamedTuple):
    """Microseconds of processor a notification."""

    python: float
    postgresql: float


class Base:
    """A lived base, its consumer and its followers, all in this process."""

    def __init__(self, servers: Servers, database: Database, scale: Scale) -> None:
        """On a loaded database; to be entered."""
        stack = self._stack = ExitStack()
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

    def __enter__(self) -> Self:
        """For `with Base(…) as base`."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what is open."""
        self._stack.close()

    def clock_ms(self) -> float:
        """What a reading of the 24 h clock costs PostgreSQL."""

        async def read() -> int:
            async with await AsyncConnection.connect(str(self.settings.database_url)) as conn:
                before = session_ns(conn.info.backend_pid)
                for _ in range(CLOCKS):
                    await etat_du_delai(conn, datetime.now(UTC), timedelta(hours=24))
                return session_ns(conn.info.backend_pid) - before

        return asyncio.run(read()) / 1e6 / CLOCKS

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


def lived(servers: Servers, figures: Figures, plan: Plan, stage: Stage) -> None:  # noqa: ARG001  as every part
    """Processor time a notification by role, of a small and of a large base that both have a life behind them."""
    compare(servers, figures, {"small": plan.small, "large": plan.large}, plan.rounds)


def compare(servers: Servers, figures: Figures, scales: Mapping[str, Scale], rounds: int) -> None:
    """The same of any bases, by turns; each turn begins with a checkpoint, after one batch that warms the caches.

    PostgreSQL's own cache is as its settings say (128 MB by default): of a large base most pages come from the
    system's.
    """
    batches = min(BATCHES, min(scale.payments for scale in scales.values()) // BATCH // rounds - 1)
    with ExitStack() as stack:
        bases = {}
        for name, scale in scales.items():
            database = servers.create(f"lived_{name}")
            stack.callback(servers.drop, database)
            figures.fact(f"lived.{name}.créances", scale.creances)
            figures.fact(f"lived.{name}.events", life_loading.load(database, scale))
            bases[name] = stack.enter_context(Base(servers, database, scale))
            bases[name].turn(1)
        spare_the_collector()  # As in a role: Python's own thresholds walk a batch in vain.
        for _ in range(rounds):
            for name, base in bases.items():
                servers.checkpoint()
                costs = {role: quieter_half(found) for role, found in base.turn(batches).items()}
                for role, cost in costs.items():
                    figures.add(f"lived.{name}.python.{role}", cost.python, "µs a notification")
                    figures.add(f"lived.{name}.postgresql.{role}", cost.postgresql, "µs a notification")
                figures.add(f"lived.{name}.all", sum(map(sum, costs.values())), "µs a notification")
                figures.add(f"lived.{name}.clock", base.clock_ms(), "ms of PostgreSQL")
