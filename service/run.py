"""From role names to running roles."""

import gc
import hashlib
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Final, NamedTuple, assert_never

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from engine.database import Database
from engine.outages import describe
from engine.role_state import RoleState
from engine.security_log import Kind, SecurityEvent, note
from guichet.guichet import Guichet
from service import closing_duty, composition, points, roles, watch
from service.lag import WAIT_SECONDS
from service.production import require_ready
from service.publisher import Publisher
from service.rewind import Gate
from service.role_names import SIMULATOR, RoleKind, RoleName, role_named
from service.settings import Settings, settings_table
from service.stopping import stop_on_signals
from service.tracing import open_tracing

COLLECTED_AFTER_OBJECTS: Final = 50_000
"""A batch of 500 messages allocates about half of it; Python's own 700 walks the batch dozens of times in vain."""


class Equipped(NamedTuple):
    """What every role but the kiosk works with."""

    counter: Guichet
    gate: Gate


def run_roles(settings: Settings, names: Sequence[str]) -> int:
    """Run these roles until a signal; return the exit code. Raises ProductionRefused before anything starts."""
    with stop_on_signals(settings.shutdown_timeout) as stop:
        return run_until(settings, names, stop)


def run_until(
    settings: Settings,
    names: Sequence[str],
    stop: threading.Event,
    *,
    demo: bool = False,
    more: Sequence[roles.Role] = (),
) -> int:
    """Run these roles until the event is set; return the exit code.

    Raises UnknownRole or ProductionRefused before anything starts.
    """
    wanted = [role_named(name) for name in names]
    require_ready(settings, {role.kind for role in wanted})
    with ExitStack() as stack:
        traced = open_tracing(settings, names)
        if traced is not None:
            stack.callback(traced.close)
        equipped = None
        if any(role != SIMULATOR for role in wanted):
            counter = composition.guichet(settings, application="creances")
            gate = Gate(settings, counter.base.url)
            equipped = Equipped(replace(counter, exiger_ouvrable=gate.require_open), gate)
            stack.callback(counter.base.fermer)
            stack.callback(counter.kiosque.close)
        publisher = Publisher(settings, traced)
        stack.callback(publisher.close)
        if RoleName(RoleKind.API) in wanted and equipped is not None:
            note_settings(settings, equipped.counter.base)
        running = [
            _role(settings, name, equipped, publisher, demo=demo)._replace(state=_state(settings, name))
            for name in wanted
        ]
        if equipped is not None:
            gate = equipped.gate
            running = [gate.held(role) if role.name == RoleKind.PUBLISH else role for role in running] + [gate.role()]
            if RoleName(RoleKind.RELANCE) in wanted:
                running.append(roles.Role(watch.NAME, watch.Watch(settings, equipped.counter).run))
                running.append(roles.Role(closing_duty.NAME, closing_duty.ClosingDuty(settings, equipped.counter).run))
            if RoleName(RoleKind.SCELLER) in wanted:
                # A producer of its own: one that is refused costs nobody else theirs.
                sending = Publisher(settings)
                stack.callback(sending.close)
                running += _witnessed(settings, sending)
        if stop.is_set():  # Asked to stop while it was put together: what it would start would only have to end.
            return 0
        spare_the_collector()
        return roles.run([*running, *more], stop, settings.shutdown_timeout)


def _witnessed(settings: Settings, sending: Publisher) -> list[roles.Role]:
    """What has the sealed log cosigned, and its states published."""
    asked = composition.witnesses(settings, points.recaller(settings))
    return [
        *(roles.Role(role.name, role.run) for role in asked),
        roles.Role(points.NAME, points.PointsRole(settings, sending).run),
    ]


def note_settings(settings: Settings, base: Database) -> None:
    """Write to the security log with which settings this process starts, if they are not those noted last."""
    given = {row.variable: row.value for row in settings_table(settings) if not row.is_default}
    digest = hashlib.sha256(repr(sorted(given.items())).encode()).hexdigest()[:16]
    try:
        with base.transaction(delai_s=WAIT_SECONDS) as conn:
            last = conn.execute(
                "SELECT objet FROM journal.securite WHERE genre = 'reglages' ORDER BY rang DESC LIMIT 1"
            )
            if last.fetchone() != (digest,):
                detail = f"démarrage en {settings.mode}, réglages donnés : {', '.join(sorted(given)) or 'aucun'}"
                note(conn, SecurityEvent(Kind.SETTINGS, conn.info.user, detail, digest))
    except (psycopg.Error, PoolTimeout) as cause:  # Told, and no reason not to serve.
        structlog.get_logger().warning("reglages_non_consignes", cause=describe(cause))


def _state(settings: Settings, name: RoleName) -> RoleState | None:
    """Where a role's falls are told."""
    if settings.database_url is None or name.signs is None:
        return None
    return RoleState(settings.database_url, name.signs)


def spare_the_collector() -> None:
    """Leave what is loaded by now out of every collection, and collect after a batch's worth of objects, not within."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER_OBJECTS, *gc.get_threshold()[1:])


def _role(
    settings: Settings, name: RoleName, equipped: Equipped | None, publisher: Publisher, *, demo: bool
) -> roles.Role:
    if name.kind is RoleKind.KIOSQUE:
        return roles.simulator(settings)
    assert equipped is not None  # noqa: S101  every other role is
    counter = equipped.counter
    run: Callable[[threading.Event], None]
    match name.kind:
        case RoleKind.API:
            from service import web

            apart = settings.ops_port_apart is not None
            served = web.api(
                settings, counter, publisher, demo=demo, operations_apart=apart, settled=equipped.gate.settled
            )
            return roles.Role(str(name), web.api_and_operations(served, settings))
        case RoleKind.CONSUME:
            run = composition.consumer(settings, counter, name.of).run
        case RoleKind.PROJECT:
            run = composition.follower(settings, counter.recorder, name.of).run
        case RoleKind.PUBLISH:
            return roles.publisher(settings, equipped.gate.require_published)
        case RoleKind.RELANCE:
            return roles.relance(settings, counter, publisher)
        case RoleKind.SCELLER:
            run = composition.sealer(settings).run
        case _:
            assert_never(name.kind)
    return roles.Role(str(name), run)
