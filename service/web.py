"""The role that serves over HTTP, wired; imported only by a process that serves, for it is a third of what there is."""

import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_network

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from api.application import creer_api, creer_exploitation
from api.socle.client_oidc import ClientOIDC
from api.socle.consignes import Consignes
from api.socle.dependances import SECRET_DE_SESSION_OCTETS, Dependances
from api.socle.emetteur import Emetteur
from api.socle.jetons import JetonsGardes
from api.socle.limites import Limites
from guichet.guichet import Guichet
from service import composition
from service.audits import launcher
from service.clock import ClockCollector
from service.closing_duty import ClosingsCollector
from service.dead_letters import Mailbox
from service.held import HeldCollector
from service.http import ConnectionLimits, serve
from service.http_reading import BODY_BYTES
from service.kept_collector import Silence
from service.lag import WAIT_SECONDS, lag
from service.mail import outgoing_mail
from service.metrics import RolesCollector
from service.publisher import Publisher
from service.reports.due import ReportsCollector
from service.reports.merchants import merchants_of
from service.settings import Settings
from service.settings.values import split
from service.tokens import tokens_of


def api(
    settings: Settings,
    counter: Guichet,
    publisher: Publisher,
    *,
    demo: bool,
    operations_apart: bool = False,
    settled: Callable[[], bool] = lambda: True,
) -> FastAPI:
    """The API, wired; tokens come from the OIDC issuer if there is one, else they are development tokens.

    `settled`: whether the log's first check is over; before it, whoever opens a payment here would be refused.
    """
    issuer = Emetteur(settings.oidc_issuer) if settings.oidc_issuer is not None else None
    tokens = tokens_of(settings, issuer)

    def ready() -> bool:
        """Ready when PostgreSQL answers, the schema is there and the log was looked at; never on lag."""
        if not settled():
            return False
        with counter.base.transaction(delai_s=WAIT_SECONDS) as conn:
            return conn.execute("SELECT to_regclass('vues.messagerie') IS NOT NULL").fetchone() == (True,)

    states = RolesCollector(settings, counter.base)
    metrics = _registry(settings, counter.base.url)
    metrics.register(states)
    return creer_api(
        Dependances(
            metriques=metrics,
            fermer=states.close,
            guichet=counter,
            url_base=composition.required(settings.database_url, "DATABASE_URL"),
            publier=publisher.publish,
            boite=Mailbox(settings, publisher),
            sel_de_preuve=composition.proof_salt(settings),
            preuve_reconnue=composition.trusted(settings),
            auditer=launcher(composition.required(settings.database_url, "DATABASE_URL")),
            jetons=JetonsGardes(tokens),
            retard=lambda: lag(settings, counter.base),
            pret=ready,
            horloge=lambda: datetime.now(UTC),
            limites=_limits(settings),
            commercants=_merchants(settings),
            reseaux_de_la_banque=tuple(map(ip_network, split(settings.kiosque_networks))),
            demo=demo,
            consignes=_instructions(settings),
            courriel=outgoing_mail(settings, demo=demo),
            connexion=sign_in(settings, issuer),
            secret_de_session=session_secret(settings),
            secret_de_session_precedent=revealed(settings.session_previous_secret),
            duree_de_session=settings.session_max_age,
            repos_de_session=settings.session_idle_max,
            inactivite_borne=settings.terminal_idle,
            connexions_max=settings.database_pool_max,
            exploitation_a_part=operations_apart,
            traceur=publisher.tracing.served if publisher.tracing is not None else None,
        )
    )


def _registry(settings: Settings, url: str) -> CollectorRegistry:
    """What is read of the database at scrape time."""
    metrics = CollectorRegistry()
    silence = Silence()
    metrics.register(ClockCollector(url, settings.politique.delai_affichage, silence))
    metrics.register(ReportsCollector(url, merchants_of(settings), silence=silence))
    metrics.register(ClosingsCollector(url, stamped=settings.tsa_url is not None, silence=silence))
    metrics.register(HeldCollector(url, (settings.topic_avis, settings.topic_notifications), silence))
    return metrics


def _limits(settings: Settings) -> Limites:
    return Limites(
        corps_octets_max=settings.body_limit_bytes,
        notification_octets_max=settings.notification_limit_bytes,
        rebuts_par_adresse_octets_par_jour=settings.dead_letters_address_bytes,
        rebuts_octets_par_jour=settings.dead_letters_bytes,
        rebuts_de_la_banque_octets_par_jour=settings.dead_letters_bank_bytes,
        rebuts_plausibles_par_adresse_octets_par_jour=settings.dead_letters_bank_address_bytes,
        lectures_par_minute=settings.rate_reads,
        ecritures_par_minute=settings.rate_writes,
        connexions_par_minute=settings.rate_sign_ins,
        refus_par_minute=settings.rate_refusals,
        plausibles_par_minute=settings.rate_bank_refusals,
    )


def _instructions(settings: Settings) -> dict[str, Consignes]:
    """How each caisse is paid otherwise."""
    return {
        caisse: Consignes()._replace(**given.model_dump(exclude_none=True))
        for caisse, given in settings.caisse_instructions.items()
    }


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


def http(application: object, settings: Settings) -> Callable[[threading.Event], None]:
    """A role that serves the API under the settings' limits."""
    limits = ConnectionLimits(
        header_s=settings.http_header_timeout.total_seconds(),
        body_s=settings.http_body_timeout.total_seconds(),
        wait_s=settings.http_wait_timeout.total_seconds(),
        answer_s=settings.http_answer_timeout.total_seconds(),
        keep_alive_s=settings.http_keep_alive.total_seconds(),
        connections=settings.http_connections_max,
        body_bytes=max(BODY_BYTES, 2 * settings.body_limit_bytes),
        https=settings.public_url.startswith("https://"),
        trusted_proxies=settings.trusted_proxies,
    )
    return serve(application, settings.api_host, settings.api_port, limits)


def api_and_operations(application: FastAPI, settings: Settings) -> Callable[[threading.Event], None]:
    """A role that serves the API, and what only operators read on a port of its own if there is one."""
    public, port = http(application, settings), settings.ops_port_apart
    if port is None:
        return public
    operations = creer_exploitation(application, notice_servie=not settings.in_production)
    beside = serve(operations, settings.ops_host, port)

    def run_both(stop: threading.Event) -> None:
        ended = threading.Event()
        thread = threading.Thread(target=beside, args=(ended,), name="operations", daemon=True)
        thread.start()
        try:
            public(stop)
        finally:
            ended.set()
            thread.join()

    return run_both
