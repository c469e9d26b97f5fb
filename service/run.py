"""From role names to running roles."""

import gc
import hashlib
import secrets
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

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
from api.socle.identite import Verificateur, VerificateurDeDeveloppement, VerificateurOIDC
from api.socle.jetons import JetonsGardes
from api.socle.limites import Limites
from engine.database import Database
from engine.outages import describe
from engine.role_state import RoleState
from engine.security_log import Kind, SecurityEvent, note
from guichet.guichet import Guichet
from publication.publication import Publication
from service import composition, roles
from service.clock import ClockCollector
from service.composition import VIEWS
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
from service.settings import Settings, development_jwt_secret, settings_table
from service.stopping import stop_on_signals

ALL: Final = ("api", "consume:avis", "consume:kiosque", *(f"project:{name}" for name in VIEWS), "publish", "relance")
"""What `creances up` runs."""

COLLECTED_AFTER_OBJECTS: Final = 50_000
"""A batch of 500 messages allocates about half of it; Python's own 700 walks the batch dozens of times in vain."""


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
    """Run these roles until the event is set; return the exit code. Raises ProductionRefused before anything starts."""
    require_ready(settings, names)
    with ExitStack() as stack:
        counter = gate = None
        if set(names) - {"kiosque"}:
            counter = composition.guichet(settings, application="creances")
            gate = Gate(settings, counter.base.url)
            counter = replace(counter, exiger_ouvrable=gate.require_open)
            stack.callback(counter.base.fermer)
            stack.callback(counter.kiosque.close)
        publisher = Publisher(settings)
        stack.callback(publisher.close)
        if "api" in names and counter is not None:
            note_settings(settings, counter.base)
        running = [
            _role(settings, name, counter, publisher, demo=demo)._replace(state=_state(settings, name))
            for name in names
        ]
        if gate is not None:
            running = [gate.held(role) if role.name == "publish" else role for role in running] + [gate.role()]
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


def _state(settings: Settings, name: str) -> RoleState | None:
    """Where a role's falls are told: under the name by which it signs, and which `lag` and `healthy` know."""
    if settings.database_url is None or name == "kiosque":
        return None
    kind, _, what = name.partition(":")
    signed = {"consume": f"consommateur_{what}", "project": what, "publish": Publication.nom}.get(kind, name)
    return RoleState(settings.database_url, signed)


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
    if issuer is not None:
        tokens: Verificateur = VerificateurOIDC(issuer, settings.oidc_audience, client=settings.oidc_client_id)
    else:
        tokens = VerificateurDeDeveloppement(development_jwt_secret(settings), settings.oidc_audience)

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
    own = {merchant.merchant_id for merchant in settings.kiosque_merchants.values()}
    return frozenset(own | {settings.kiosque_merchant_id})


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


def _role(settings: Settings, name: str, counter: Guichet | None, publisher: Publisher, *, demo: bool) -> roles.Role:
    if name == "kiosque":
        return roles.simulator(settings)
    assert counter is not None  # noqa: S101  every other role has one
    if name == "api":
        apart = settings.ops_port_apart is not None
        served = api(settings, counter, publisher, demo=demo, operations_apart=apart)
        return roles.Role("api", roles.api_and_operations(served, settings))
    if name == "relance":
        return roles.janitor(settings, counter, publisher)
    if name == "publish":
        return roles.publisher(settings)
    kind, _, what = name.partition(":")
    if kind == "consume":
        return roles.Role(name, composition.consumer(settings, counter, what).run)
    return roles.Role(name, composition.follower(settings, counter.recorder, what).run)
