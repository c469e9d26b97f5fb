"""The roles, and how they run together: each in a thread, stopped together, a dead one stops all."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import structlog

from guichet.guichet import Guichet
from kiosque.simulateur import ReglagesSimulateur, creer_simulateur
from kiosque.sips.sceau import Algorithme
from service import composition
from service.http import ConnectionLimits, serve
from service.kafka import Publisher
from service.logs import bind_role
from service.relance import NAME, RelanceRole
from service.settings import Settings


class Role(NamedTuple):
    """A name, and what runs until the event is set."""

    name: str
    run: Callable[[threading.Event], None]


def run(roles: Sequence[Role], stop: threading.Event, patience: timedelta) -> int:
    """Run all roles until `stop` is set or one ends; return 1 if one ended by itself or did not stop in time."""
    failed: list[str] = []

    def guarded(role: Role) -> None:
        bind_role(role.name)
        try:
            role.run(stop)
        except BaseException:  # noqa: BLE001  whatever ends a role ends the service, visibly
            structlog.get_logger().exception("role_tombe")
        if not stop.is_set():
            failed.append(role.name)
            stop.set()

    threads = [threading.Thread(target=guarded, args=(role,), name=role.name, daemon=True) for role in roles]
    for thread in threads:
        thread.start()
    stop.wait()
    deadline = datetime.now(UTC) + patience
    for thread in threads:
        thread.join(max(0.0, (deadline - datetime.now(UTC)).total_seconds()))
    late = [thread.name for thread in threads if thread.is_alive()]
    if late:
        structlog.get_logger().error("roles_en_retard", roles=late)
    return 1 if failed or late else 0


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; the former handlers come back at the end."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def http(application: object, settings: Settings) -> Callable[[threading.Event], None]:
    """A role that serves the API under the settings' limits."""
    limits = ConnectionLimits(
        header_s=settings.http_header_timeout.total_seconds(),
        body_s=settings.http_body_timeout.total_seconds(),
        answer_s=settings.http_answer_timeout.total_seconds(),
        keep_alive_s=settings.http_keep_alive.total_seconds(),
        connections=settings.http_connections_max,
        trusted_proxies=settings.trusted_proxies,
    )
    return serve(application, settings.api_host, settings.api_port, limits)


def simulator(settings: Settings, public_url: str | None = None) -> Role:
    """The bank's kiosk, simulated."""
    merchant = settings.merchant("")
    url = public_url or settings.simulator_url or f"http://{settings.simulator_host}:{settings.simulator_port}"
    application = creer_simulateur(
        ReglagesSimulateur(
            marchand=merchant.merchant_id,
            secret=merchant.secret_key,
            version=merchant.key_version,
            algorithme=Algorithme(settings.kiosque_seal_algorithm),
            url_publique=url,
        )
    )
    return Role("kiosque", serve(application, settings.simulator_host, settings.simulator_port))


def publisher(settings: Settings) -> Role:
    """Publishes the log to Kafka."""
    follower, emitter = composition.publication(settings)

    def publish(stop: threading.Event) -> None:
        try:
            follower.run(stop)
        finally:
            emitter.abandonner()

    return Role("publish", publish)


def janitor(settings: Settings, counter: Guichet, publisher: Publisher) -> Role:
    """Asks the kiosk about payments without an answer, expires those that it does not know; purges old messages."""
    return Role(NAME, RelanceRole(settings, counter, publisher.forward).run)
