"""From role names to running roles."""

import gc
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Final

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from api.application import créer_api
from api.dependances import Dépendances, Limites
from api.identite import Vérificateur, VérificateurDeDéveloppement, VérificateurOIDC
from api.jetons import JetonsGardés
from guichet.guichet import Guichet
from kiosque.sips import Sips
from service import composition, roles
from service.composition import VIEWS
from service.kafka import Publisher
from service.metrics import RolesCollector
from service.retard import lag
from service.settings import Settings, development_jwt_secret

ALL: Final = ("api", "consume:avis", "consume:kiosque", *(f"project:{name}" for name in VIEWS), "relance")
"""What `creances up` runs."""

COLLECTED_AFTER_OBJECTS: Final = 50_000
"""A batch of 500 messages allocates about half of it; Python's own 700 walks the batch dozens of times in vain."""


def run_roles(settings: Settings, names: Sequence[str]) -> int:
    """Run these roles until a signal; return the exit code."""
    with roles.stop_on_signals() as stop:
        return run_until(settings, names, stop)


def run_until(
    settings: Settings,
    names: Sequence[str],
    stop: threading.Event,
    *,
    demo: bool = False,
    more: Sequence[roles.Role] = (),
) -> int:
    """Run these roles until the event is set; return the exit code."""
    with ExitStack() as stack:
        counter = None
        if set(names) - {"kiosque"}:
            counter = composition.guichet(settings, application="creances")
            stack.callback(counter.base.fermer)
            if isinstance(counter.kiosque, Sips):
                stack.callback(counter.kiosque.close)
        publisher = Publisher(settings)
        stack.callback(publisher.close)
        running = [_role(settings, name, counter, publisher, demo=demo) for name in names]
        _spare_the_collector()
        return roles.run([*running, *more], stop, settings.shutdown_timeout)


def _spare_the_collector() -> None:
    """Leave what is loaded by now out of every collection, and collect after a batch's worth of objects, not within."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER_OBJECTS, *gc.get_threshold()[1:])


def api(settings: Settings, counter: Guichet, publisher: Publisher, *, demo: bool) -> FastAPI:
    """The API, wired; tokens come from the OIDC issuer if there is one, else they are development tokens."""
    if settings.oidc_issuer is not None:
        tokens: Vérificateur = VérificateurOIDC(settings.oidc_issuer, settings.oidc_audience)
    else:
        tokens = VérificateurDeDéveloppement(development_jwt_secret(settings), settings.oidc_audience)

    def ready() -> bool:
        """Ready when PostgreSQL answers and the schema is there; never on lag."""
        with counter.base.transaction() as conn:
            return conn.execute("SELECT to_regclass('vues.delai_affichage') IS NOT NULL").fetchone() == (True,)

    metrics = CollectorRegistry()
    metrics.register(RolesCollector(settings, counter.base))
    return créer_api(
        Dépendances(
            métriques=metrics,
            guichet=counter,
            url_base=composition.required(settings.database_url, "DATABASE_URL"),
            publier=publisher.publish,
            jetons=JetonsGardés(tokens),
            retard=lambda: lag(settings, counter.base),
            prêt=ready,
            horloge=lambda: datetime.now(UTC),
            limites=Limites(corps_octets_max=settings.body_limit_bytes),
            démo=demo,
            connexions_max=settings.database_pool_max,
        )
    )


def _role(settings: Settings, name: str, counter: Guichet | None, publisher: Publisher, *, demo: bool) -> roles.Role:
    if name == "kiosque":
        return roles.simulator(settings)
    assert counter is not None  # noqa: S101  every other role has one
    if name == "api":
        return roles.Role(
            "api", roles.http(api(settings, counter, publisher, demo=demo), settings.api_host, settings.api_port)
        )
    if name == "relance":
        return roles.janitor(settings, counter, publisher)
    kind, _, what = name.partition(":")
    if kind == "consume":
        return roles.Role(name, composition.consumer(settings, counter, what).tourner)
    return roles.Role(name, composition.follower(settings, counter.enregistreur, what).tourner)
