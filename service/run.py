"""From role names to running roles."""

import gc
import hashlib
import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, NamedTuple, assert_never

import psycopg
import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from psycopg_pool import PoolTimeout
from pydantic import SecretStr

from api.application import creer_api
from api.socle.client_oidc import ClientOIDC
from api.socle.consignes import Consignes
from api.socle.dependances import SECRET_DE_SESSION_OCTETS, Dependances
from api.socle.emetteur import Emetteur
from api.socle.jetons import JetonsGardes
from api.socle.limites import Limites
from engine.database import Database
from engine.outages import describe
from engine.role_state import RoleState
from engine.security_log import Kind, SecurityEvent, note
from guichet.guichet import Guichet
from service import composition, roles, watch
from service.audits import launcher
from service.clock import ClockCollector
from service.dead_letters import Mailbox
from service.held import HeldCollector
from service.kafka import Publisher
from service.lag import WAIT_SECONDS, lag
from service.mail import outgoing_mail
from service.metrics import RolesCollector
from service.production import require_ready
from service.reports.due import ReportsCollector
from service.reports.merchants import merchants_of
from service.rewind import Gate
from service.role_names import SIMULATOR, RoleKind, RoleName, role_named
from service.settings import Settings, settings_table
from service.stopping import stop_on_signals
from service.tokens import tokens_of

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
        equipped = None
        if any(role != SIMULATOR for role in wanted):
            counter = composition.guichet(settings, application="creances")
            gate = Gate(settings, counter.base.url)
            equipped = Equipped(replace(counter, exiger_ouvrable=gate.require_open), gate)
            stack.callback(counter.base.fermer)
            stack.callback(counter.kiosque.close)
        publisher = Publisher(settings)
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
        _spare_the_collector()
        return roles.run([*running, *more], stop, settings.shutdown_timeout)


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


def _spare_the_collector() -> None:
    """Leave what is loaded by now out of every collection, and collect after a batch's worth of objects, not within."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER_OBJECTS, *gc.get_threshold()[1:])


def api(
    settings: Settings, counter: Guichet, publisher: Publisher, *, demo: bool, operations_apart: bool = False
) -> FastAPI:
    """The API, wired; tokens come from the OIDC issuer if there is one, else they are development tokens."""
    issuer = Emetteur(settings.oidc_issuer) if settings.oidc_issuer is not None else None
    tokens = tokens_of(settings, issuer)

    def ready() -> bool:
        """Ready when PostgreSQL answers and the schema is there; never on lag."""
        with counter.base.transaction(delai_s=WAIT_SECONDS) as conn:
            return conn.execute("SELECT to_regclass('vues.messagerie') IS NOT NULL").fetchone() == (True,)

    metrics = CollectorRegistry()
    metrics.register(RolesCollector(settings, counter.base))
    metrics.register(ClockCollector(counter.base.url, settings.politique.delai_affichage))
    metrics.register(ReportsCollector(counter.base.url, merchants_of(settings)))
    metrics.register(HeldCollector(counter.base.url, (settings.topic_avis, settings.topic_notifications)))
    return creer_api(
        Dependances(
            metriques=metrics,
            guichet=counter,
            url_base=composition.required(settings.database_url, "DATABASE_URL"),
            publier=publisher.publish,
            boite=Mailbox(settings, publisher),
            sel_de_preuve=composition.proof_salt(settings),
            auditer=launcher(composition.required(settings.database_url, "DATABASE_URL")),
            jetons=JetonsGardes(tokens),
            retard=lambda: lag(settings, counter.base),
            pret=ready,
            horloge=lambda: datetime.now(UTC),
            limites=_limits(settings),
            commercants=_merchants(settings),
            demo=demo,
            consignes={
                caisse: Consignes()._replace(**given.model_dump(exclude_none=True))
                for caisse, given in settings.caisse_instructions.items()
            },
            courriel=outgoing_mail(settings, demo=demo),
            connexion=sign_in(settings, issuer),
            secret_de_session=session_secret(settings),
            secret_de_session_precedent=revealed(settings.session_previous_secret),
            duree_de_session=settings.session_max_age,
            repos_de_session=settings.session_idle_max,
            inactivite_borne=settings.terminal_idle,
            connexions_max=settings.database_pool_max,
            exploitation_a_part=operations_apart,
        )
    )


def _limits(settings: Settings) -> Limites:
    return Limites(
        corps_octets_max=settings.body_limit_bytes,
        notification_octets_max=settings.notification_limit_bytes,
        rebuts_par_adresse_octets_par_jour=settings.dead_letters_address_bytes,
        rebuts_octets_par_jour=settings.dead_letters_bytes,
        rebuts_de_la_banque_octets_par_jour=settings.dead_letters_bank_bytes,
        lectures_par_minute=settings.rate_reads,
        ecritures_par_minute=settings.rate_writes,
        connexions_par_minute=settings.rate_sign_ins,
        refus_par_minute=settings.rate_refusals,
    )


def _merchants(settings: Settings) -> frozenset[str]:
    own = [*settings.kiosque_merchants.values(), *settings.kiosque_retired_merchants]
    return frozenset({merchant.merchant_id for merchant in own} | {settings.kiosque_merchant_id})


def revealed(secret: SecretStr | None) -> str | None:
    """The secret itself."""
    return secret.get_secret_value() if secret else None


def session_secret(settings: Settings) -> str:
    """The configured secret of the sessions, else one for the life of this process."""
    if settings.session_secret is not None:
        return settings.session_secret.get_secret_value()
    return secrets.token_urlsafe(SECRET_DE_SESSION_OCTETS)


def sign_in(settings: Settings, issuer: Emetteur | None) -> ClientOIDC | None:
    """How a person signs in to the pages, if an OIDC client is configured."""
    if issuer is None or settings.oidc_client_id is None:
        return None
    if settings.session_secret is None:
        # One instance works; a second one, or a restart, would not know the sessions of the first.
        structlog.get_logger().warning("session_secret_absent", variable="CREANCES_SESSION_SECRET")
    secret = settings.oidc_client_secret
    return ClientOIDC(
        issuer,
        settings.oidc_client_id,
        secret.get_secret_value() if secret else None,
        url_retour=f"{settings.public_url}/connexion/retour",
        url_fin=f"{settings.public_url}/deconnecte",
    )


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
            apart = settings.ops_port_apart is not None
            served = api(settings, counter, publisher, demo=demo, operations_apart=apart)
            return roles.Role(str(name), roles.api_and_operations(served, settings))
        case RoleKind.CONSUME:
            run = composition.consumer(settings, counter, name.of).run
        case RoleKind.PROJECT:
            run = composition.follower(settings, counter.recorder, name.of).run
        case RoleKind.PUBLISH:
            return roles.publisher(settings, equipped.gate.require_published)
        case RoleKind.RELANCE:
            return roles.janitor(settings, counter, publisher)
        case RoleKind.SCELLER:
            run = composition.sealer(settings).run
        case _:
            assert_never(name.kind)
    return roles.Role(str(name), run)
