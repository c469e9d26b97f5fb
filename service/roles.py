"""The roles, and how they run together: each in a thread, stopped together; one that falls is taken up again."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

import structlog
from psycopg import Connection

from engine.backoff import Backoff
from engine.role_state import RoleState
from guichet.guichet import Guichet
from service import bank, composition
from service.http import serve
from service.logs import bind_role
from service.publisher import Publisher
from service.relance import NAME, RelanceRole
from service.settings import Settings

STEADY_SECONDS: Final = 60.0
"""A role that ran this long before it fell starts over with the shortest pause."""

JOINED_WITHIN: Final = 0.7
"""The share of the time to stop that the roles have; the rest is for closing what they shared."""


BESIDE_WITHIN_S: Final = 1.0
"""How long a role waits, twice, for what it led beside its main work (seconds)."""


class RoleEnded(Exception):
    """A role returned though nobody had asked it to stop."""


class Role(NamedTuple):
    """A name, what runs until the event is set, and where its falls are told (None without a database)."""

    name: str
    run: Callable[[threading.Event], None]
    state: RoleState | None = None


def run(roles: Sequence[Role], stop: threading.Event, patience: timedelta) -> int:
    """Run all roles until `stop` is set; return 1 if one could not start or did not stop in time.

    A role that falls is told and taken up again after a growing pause; the others go on. Only one that cannot start at
    all (`SystemExit`: its port is taken) ends the others.
    """
    refused: list[str] = []

    def guarded(role: Role) -> None:
        bind_role(role.name)
        try:
            _keep_running(role, stop)
        except SystemExit:
            structlog.get_logger().exception("role_refuse")
            refused.append(role.name)
            stop.set()

    threads = [threading.Thread(target=guarded, args=(role,), name=role.name, daemon=True) for role in roles]
    for thread in threads:
        thread.start()
    stop.wait()
    deadline = time.monotonic() + patience.total_seconds() * JOINED_WITHIN
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = [thread.name for thread in threads if thread.is_alive()]
    if late:
        structlog.get_logger().error("roles_en_retard", roles=late)
    return 1 if refused or late else 0


def _keep_running(role: Role, stop: threading.Event) -> None:
    backoff = Backoff(structlog.get_logger(), "role_tombe")
    while not stop.is_set():
        began = time.monotonic()
        try:
            role.run(stop)
            fault: BaseException = RoleEnded(f"{role.name} s'est arrêté de lui-même.")
        except SystemExit:
            raise
        except BaseException as cause:  # noqa: BLE001  whatever ends a role is told, a library's panic too
            fault = cause
        if stop.is_set():
            return
        if time.monotonic() - began > STEADY_SECONDS:
            backoff.progress()
        if role.state is not None:
            role.state.interrupt(fault)
        stop.wait(backoff.fail(fault))


def simulator(settings: Settings, public_url: str | None = None) -> Role:
    """The bank's kiosk, simulated."""
    url = public_url or settings.simulator_url or f"http://{settings.simulator_host}:{settings.simulator_port}"
    application = bank.simulator(settings, url)
    return Role("kiosque", serve(application, settings.simulator_host, settings.simulator_port))


def publisher(settings: Settings, require_whole: Callable[[Connection[Any]], None]) -> Role:
    """Publishes the log to Kafka, as long as it is whole: its events, and behind them each créance's latest balance."""
    events, events_sender = composition.publication(settings, require_whole=require_whole)
    balances, balances_sender = composition.balances(settings, require_whole=require_whole)

    def publish(stop: threading.Event) -> None:
        # A follower never returns nor raises before `stop`: two of them need no watching of each other.
        beside = threading.Thread(target=balances.run, args=(stop,), name="soldes", daemon=True)
        beside.start()
        try:
            events.run(stop)
        finally:
            # Given up before it is joined: whoever waits for an absent broker's answer is let go; and again after, for
            # it may have opened another. What is not given up waits for that broker when the process ends.
            for _ in range(2):
                events_sender.abandonner()
                balances_sender.abandonner()
                beside.join(BESIDE_WITHIN_S)

    return Role("publish", publish)


def relance(settings: Settings, counter: Guichet, publisher: Publisher) -> Role:
    """Asks the kiosk about payments without an answer, expires those that it does not know; purges old messages."""
    return Role(NAME, RelanceRole(settings, counter, publisher.forward).run)
