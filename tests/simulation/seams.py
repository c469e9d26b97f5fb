"""Where the product takes from the machine what is simulated here: connections, clocks, chance. Set from outside.

Everything else is handed to it by its own arguments. A statement or a clock that this list forgets shows at once: the
statement raises `UnknownStatement`, the clock makes two runs of one seed differ.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import datetime, timedelta, tzinfo
from functools import cache
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock
from uuid import UUID

import structlog

import domain.delai
import engine.consumer
import engine.follower
import engine.kafka_reader
import engine.lease
import engine.placement
import engine.role_state
from engine.backoff import Backoff
from tests.simulation.broker import Broker
from tests.simulation.connection import Connection
from tests.simulation.scheduler import Scheduler


@contextmanager
def simulated(scheduler: Scheduler, broker: Broker, connect: Callable[[], Connection]) -> Iterator[None]:
    """The product meets the simulated world, and no other."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return scheduler.now.astimezone(tz)

    seconds = SimpleNamespace(monotonic=lambda: scheduler.now_s)

    def open_connection(_url: str, **_options: Any) -> Connection:
        return connect()

    with ExitStack() as seams:
        for target, name, replacement in (
            (engine.kafka_reader, "ouvrir", broker.open),
            (engine.follower, "connect", open_connection),
            (engine.follower, "ExternalView", AnyExternalView),
            (engine.role_state, "connect", open_connection),
            (engine.lease, "_now_s", lambda: scheduler.now_s),
            (engine.lease, "uuid4", lambda: UUID(int=scheduler.rng.getrandbits(128))),
            (engine.lease.Lease, "renewed", lambda _: nullcontext()),
            (engine.role_state, "time", seconds),
            (engine.consumer, "time", seconds),
            (engine.role_state, "datetime", Clock),
            (engine.placement, "datetime", Clock),
            # One clock here, and restores within seconds.
            (domain.delai, "ECART_D_HORLOGE", timedelta(0)),
        ):
            seams.enter_context(mock.patch.object(target, name, replacement))
        yield


def steady(role: Any, scheduler: Scheduler) -> None:
    """A role whose waits between two attempts are drawn from the seed."""
    backoff: Backoff = role._reprise if hasattr(role, "_reprise") else role._backoff
    backoff._hasard = scheduler.rng.random


class External(type):
    """Knows a view that acts outside the database by its class, once: asking the protocol costs more than a batch."""

    def __instancecheck__(cls, view: object) -> bool:
        return _is_external(cast("Hashable", type(view)))


class AnyExternalView(metaclass=External):
    """Stands for `engine.follower.ExternalView`."""


@cache
def _is_external(kind: Hashable) -> bool:
    return all(hasattr(kind, name) for name in ("reconcile", "preparer", "appliquer"))


class Mute(structlog.BoundLoggerBase):
    """A logger that says nothing."""

    def _nothing(self, *_: Any, **__: Any) -> None:
        return

    debug = info = warning = error = exception = critical = _nothing


@contextmanager
def silent() -> Iterator[None]:
    """The product's log lines go nowhere: thousands of faults a minute are no news."""
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=Mute,
        logger_factory=structlog.ReturnLoggerFactory(),
        processors=[],
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
