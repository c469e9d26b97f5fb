"""Ce que les tests de pannes ont en commun : des serveurs derrière un relais, des rôles qui tournent."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import application
from api.socle.identite import RoleUtilisateur, emettre_jeton
from engine import database as bases
from engine import kafka_clients as clients
from service import composition, metrics, publisher, run, web
from service import kafka as kafka_du_service
from service import lag as retard
from service.embedded import throwaway_folder
from service.embedded.broker import broker_binary
from service.embedded.child import Child
from service.publisher import Publisher
from service.settings import Settings, development_jwt_secret
from service.tracing import Tracing
from tests.consumers.banc import MAINTENANT, Banc
from tests.courtiers import COURTIERS, Apache, Courtier, Tansu
from tests.relais import Relais, par_le_relais, serveur_postgresql
from tests.serveurs import servi


@pytest.fixture
def delais_courts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Les attentes du service, ramenées à deux secondes ou trois : elles bornent de même, et le test attend moins.

    Pas moins : ce qui répond doit en avoir le temps, sur une machine occupée aussi.
    """
    monkeypatch.setattr(clients, "OPENING_MS", 2_500)
    producteur = {"bootstrap_timeout_ms": 2_500, "max_block_ms": 2_500}
    livraison = {"request_timeout_ms": 2_500, "delivery_timeout_ms": 4_000}
    monkeypatch.setattr(clients, "PRODUCTEUR", dict(clients.PRODUCTEUR) | producteur | livraison)
    monkeypatch.setattr(publisher, "ACK_SECONDS", 5.0)
    monkeypatch.setattr(kafka_du_service, "READ_MS", 2_500)
    for module in (bases, application):
        monkeypatch.setattr(module, "POOL_TIMEOUT_S", 2.0)
    for module in (retard, metrics, run, web):
        monkeypatch.setattr(module, "WAIT_SECONDS", 2.5)


VUES = {"restant_du": "reference", "paiements": "transaction", "delai_affichage": "transaction, reference"}
"""Chaque vue, et ce qui l'ordonne."""


class TansuRelaye(Tansu):
    """Le courtier embarqué, que ses clients ne joignent que par le relais."""

    def __init__(self, dossier: Path, relais: Relais) -> None:
        super().__init__(dossier)
        self.relais = relais

    def _lancer(self) -> Child:
        ecoute, annonce = f"tcp://{self.bootstrap}", f"tcp://127.0.0.1:{self.relais.port}"
        options = [
            "--listener-url",
            ecoute,
            "--advertised-listener-url",
            annonce,
            "--storage-engine",
            "memory://tansu/",
        ]
        commande = [broker_binary(), "broker", *options]
        return Child.start("Tansu", commande, self.dossier / "tansu.log", death_signal=signal.SIGKILL)


def relaye(nom: str, dossier: Path, relais: Relais) -> Courtier:
    """Un courtier qui s'annonce à l'adresse du relais."""
    if COURTIERS[nom] is Apache:
        return Apache(dossier, advertised_listeners=f"PLAINTEXT://127.0.0.1:{relais.port}")
    return TansuRelaye(dossier, relais)


@pytest.fixture(scope="module")
def kafka_relaye(pytestconfig: pytest.Config) -> Iterator[Relais]:
    """Un relais devant un courtier à lui."""
    with ExitStack() as pile:
        dossier = pile.enter_context(throwaway_folder(in_memory=True))
        relais = pile.enter_context(Relais())
        courtier = relaye(pytestconfig.getoption("--courtier"), dossier, relais)
        relais.vers = (2, ("127.0.0.1", courtier.port))
        pile.enter_context(courtier)
        yield relais


@pytest.fixture
def base_relayee(base: Any) -> Iterator[tuple[Relais, str]]:
    """Un relais devant PostgreSQL, et l'URL qui passe par lui."""
    with Relais(serveur_postgresql(base.url)) as relais:
        yield relais, par_le_relais(base.url, relais)


@contextmanager
def roles(b: Banc, *noms: str) -> Iterator[None]:
    """Fait tourner des consommateurs (`avis`, `kiosque`) et des vues, jusqu'à la fin du bloc."""
    arret = threading.Event()
    cibles: list[Any] = []
    for nom in noms:
        if nom in composition.VIEWS:
            suiveur = composition.follower(b.settings, b.guichet.recorder, nom)
            if hasattr(suiveur.vue, "horloge"):
                suiveur.vue.horloge = lambda: MAINTENANT
            cibles.append(suiveur)
        else:
            boucle = composition.consumer(b.settings, b.guichet, nom)
            boucle.groupe += f"-{b.conn.info.dbname}"
            boucle.horloge = lambda: MAINTENANT
            cibles.append(boucle)
    fils = [threading.Thread(target=cible.run, args=(arret,), daemon=True) for cible in cibles]
    for fil in fils:
        fil.start()
    try:
        yield
    finally:
        arret.set()
        for fil in fils:
            fil.join(60)
        assert not any(fil.is_alive() for fil in fils), "un rôle ne s'arrête pas"
        for cible in cibles:
            if hasattr(cible, "rebuts"):
                cible.rebuts.fermer()


def etat(b: Banc, nom: str) -> tuple[str, str, int]:
    """État, dernière erreur, interruptions d'un rôle."""
    requete = "SELECT etat, coalesce(derniere_erreur, ''), interruptions FROM vues.suiveurs WHERE nom = %s"
    return b.conn.execute(requete, (nom,)).fetchone() or ("absent", "", 0)


def memes_journaux_et_vues(*bancs: Banc) -> None:
    """Ce que laisse une exécution troublée est ce que laisse une exécution tranquille ; l'audit n'y trouve rien."""
    from projections.audit import auditer

    for b in bancs:
        b.projeter()
    premier, *autres = bancs
    for autre in autres:
        assert autre.journal() == premier.journal()
        for vue, cle in (
            ("restant_du", "reference"),
            ("paiements", "transaction"),
            ("delai_affichage", "transaction, reference"),
        ):
            assert autre.vue(vue, cle) == premier.vue(vue, cle), vue
    for b in bancs:
        assert auditer(b.conn).ecarts == []


@contextmanager
def api(b: Banc, dossier: Any, tracee: Tracing | None = None) -> Iterator[httpx.Client]:
    """L'API telle que le service la compose."""
    settings = b.settings.model_copy(update={"data_dir": dossier})
    editeur = Publisher(settings, tracee)
    try:
        with (
            servi(web.api(settings, b.guichet, editeur, demo=False)) as url,
            httpx.Client(base_url=url, trust_env=False, timeout=30) as client,
        ):
            client.headers["Authorization"] = f"Bearer {jeton(settings)}"
            yield client
    finally:
        editeur.close()


def jeton(settings: Settings) -> str:
    secret = development_jwt_secret(settings)
    return emettre_jeton(
        secret, RoleUtilisateur.ASSURE, "a-1", audience=settings.oidc_audience, maintenant=datetime.now(UTC)
    )


def mesure(client: httpx.Client, nom: str) -> float:
    [valeur] = [ligne.split()[-1] for ligne in client.get("/metrics").text.splitlines() if ligne.startswith(nom)]
    return float(valeur)
