"""Le service en marche sur la machine de l'exploitant : de vrais rôles, un kiosque simulé, des assurés qui paient."""

import re
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest

from api.socle.identite import RoleUtilisateur, emettre_jeton
from domain.delai import PARIS
from service import kafka, roles
from service.settings import Settings, development_jwt_secret
from tests.consumers.banc import Banc, banc
from tests.courtiers import port_libre
from tests.deploiement.machine import Machine, regler
from tests.outils import attendre

CARTE = {"numero": "5017000000000000", "mois": "12", "annee": "30", "cryptogramme": "123"}
TOUS = ("api", "consume-avis", "consume-kiosque", "project", "publish", "relance", "sceller")


class Exploitation:
    """Ce qu'un test tient : la machine, un client de l'API, la banque."""

    def __init__(self, machine: Machine, settings: Settings, b: Banc) -> None:
        self.machine = machine
        self.settings = settings
        self.b = b
        """Pour écrire sur Kafka ; ses connexions à la base peuvent mourir avec elle."""
        self.client = httpx.Client(base_url=settings.public_url, trust_env=False, timeout=60)
        self.client.headers["Authorization"] = f"Bearer {self.jeton()}"

    def jeton(self, assure: str = "a-1") -> str:
        secret = development_jwt_secret(self.settings)
        maintenant = datetime.now(UTC)
        return emettre_jeton(
            secret, RoleUtilisateur.ASSURE, assure, audience=self.settings.oidc_audience, maintenant=maintenant
        )

    def demarrer(self, *services: str) -> None:
        """Comme `docker compose up --detach`, et attend que l'API se dise prête si elle en est."""
        self.machine.docker("compose", "up", "--detach", *(services or TOUS))
        if not services or "api" in services:
            attendre(self.repond, secondes=30, quoi="l'API")

    def repond(self) -> bool:
        try:
            return self.client.get("/readyz").is_success
        except httpx.HTTPError:
            return False

    def mesures(self) -> str:
        """Ce que Prometheus lirait."""
        return self.client.get("/metrics").raise_for_status().text

    # --- La base -----------------------------------------------------------------------------------------------------

    def lire(self, requete: str, *valeurs: Any) -> list[tuple[Any, ...]]:
        """Par une connexion neuve : la base a pu être remplacée."""
        with closing(psycopg.connect(str(self.settings.database_url), autocommit=True)) as conn:
            return conn.execute(requete.encode(), valeurs).fetchall()

    def soldes(self) -> dict[str, tuple[int, int]]:
        """Restant dû et en cours de chaque créance, tels que la page les montre."""
        lignes = self.lire("SELECT reference, solde, en_cours FROM vues.restant_du ORDER BY reference")
        return {reference: (solde, en_cours) for reference, solde, en_cours in lignes}

    def sorts(self, topic: str) -> dict[str, int]:
        return dict(self.lire("SELECT sort, count(*) FROM journal.sorts WHERE topic = %s GROUP BY sort", topic))

    def rattrape(self) -> bool:
        """Chaque suiveur est à la tête du journal."""
        requete = "SELECT min(position) FROM vues.suiveurs WHERE bail IS NOT NULL"
        [(derriere,)], [(tete,)] = self.lire(requete), self.lire("SELECT max(position) FROM journal.evenements")
        return bool(derriere is not None and derriere >= tete)

    # --- Les assurés et la banque ------------------------------------------------------------------------------------

    def avis(self, *messages: dict[str, Any]) -> None:
        """Met des messages de caisse sur leur topic, et attend que chacun ait un sort."""
        avant = sum(self.sorts(self.settings.topic_avis).values())
        self.b.emettre_avis(*messages)
        attendu = avant + len(messages)
        attendre(
            lambda: sum(self.sorts(self.settings.topic_avis).values()) >= attendu, secondes=40, quoi="les messages lus"
        )

    def ouvrir(self, reference: str, montant: int = 20_00) -> httpx.Response:
        corps = {"references": [reference], "montant_centimes": montant, "canal": "web"}
        return self.client.post("/api/v1/paiements", json=corps, headers={"Idempotency-Key": secrets.token_hex(8)})

    def ouvert(self, reference: str, montant: int = 20_00) -> dict[str, Any]:
        """Le paiement ouvert, dès que le service l'accepte."""
        reponse = attendre(lambda: _sauf_503(self.ouvrir(reference, montant)), secondes=30, quoi="l'ouverture")
        assert reponse is not None
        assert reponse.status_code == 201, reponse.text
        return dict(reponse.json())

    def payer(self, paiement: Mapping[str, Any], **consigne: Any) -> str:
        """La banque accepte ; `consigne` : ce qu'elle fait de travers (voir `kiosque.simulateur.Consigne`)."""
        kiosque, transaction = self.settings.kiosque_url, str(paiement["transaction"])
        if consigne:
            demande = consigne | {"transaction": transaction}
            httpx.post(f"{kiosque}/simulateur/reglages", json=demande, trust_env=False).raise_for_status()
        formulaire = paiement["kiosque"]
        page = httpx.post(formulaire["url"], data=formulaire["champs"], trust_env=False).raise_for_status().text
        jeton = re.search(r'name="jeton" value="([^"]+)"', page)
        assert jeton is not None
        saisie = CARTE | {"jeton": jeton[1]}
        httpx.post(f"{kiosque}/paypage/valider", data=saisie, trust_env=False).raise_for_status()
        return transaction

    def accepte(self, transaction: str) -> bool:
        requete = "SELECT true FROM vues.paiements WHERE transaction = %s AND statut = 'accepte'"
        return bool(self.lire(requete, transaction))

    def rapport(self, fichier: Path, genre: str = "transactions") -> Path:
        """Le rapport du jour, tel que la banque l'envoie."""
        jour = datetime.now(UTC).astimezone(PARIS).date().isoformat()
        adresse = f"{self.settings.kiosque_url}/simulateur/rapports/{genre}"
        fichier.write_bytes(
            httpx.get(adresse, params={"jour": jour}, trust_env=False).raise_for_status().content  # En entier.
        )
        return fichier


def _sauf_503(reponse: httpx.Response) -> httpx.Response | None:
    return None if reponse.status_code == 503 else reponse


@dataclass(frozen=True)
class Lieu:
    """Où se joue un essai : les courtiers, des topics à soi, un dossier, et l'environnement des commandes."""

    kafka: str
    prefixe: str
    dossier: Path
    monkeypatch: pytest.MonkeyPatch

    def libpq(self, url: str) -> None:
        """Ce que l'exploitant a dans son environnement : où est PostgreSQL, et sous quel nom."""
        parties = urlsplit(url)
        hote = parse_qs(parties.query).get("host", [parties.hostname or "127.0.0.1"])[0]
        self.monkeypatch.setenv("PGHOST", hote)
        self.monkeypatch.setenv("PGUSER", str(parties.username))
        self.monkeypatch.setenv("PGPORT", str(parties.port or 5432))
        self.monkeypatch.setenv("CREANCES_OWNER_DATABASE_URL", url)


@pytest.fixture
def lieu(kafka: str, prefixe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lieu:
    """Un lieu neuf."""
    return Lieu(kafka, prefixe, tmp_path, monkeypatch)


@contextmanager
def exploitation(
    lieu: Lieu, url: str, url_proprietaire: str, postgres: Mapping[str, Callable[[], None]] | None = None
) -> Iterator[Exploitation]:
    """Une machine sur cette base et ces topics ; rien ne tourne encore que le kiosque simulé."""
    machine = Machine(lieu.dossier, postgres)
    port, kiosque = port_libre(), port_libre()
    with banc(url, lieu.kafka, lieu.prefixe, mode="demonstration") as b, machine.ouverte():
        autres = {
            "data_dir": lieu.dossier / "donnees",
            "api_port": port,
            "public_url": f"http://127.0.0.1:{port}",
            "simulator_port": kiosque,
            "kiosque_url": f"http://127.0.0.1:{kiosque}",
            "partitions_avis": 2,
            "partitions_notifications": 2,
        }
        regler(lieu.monkeypatch, b.settings, **autres)
        lieu.libpq(url_proprietaire)
        settings = Settings(_env_file=None)
        kafka.create_topics(settings)
        arret = threading.Event()
        fil = threading.Thread(target=roles.simulator(settings).run, args=(arret,), daemon=True)
        fil.start()
        attendre(lambda: _sert(settings.kiosque_url), secondes=20, quoi="le kiosque")
        ouverte = Exploitation(machine, settings, b)
        try:
            yield ouverte
        finally:
            ouverte.client.close()
            arret.set()
            fil.join(90)


def _sert(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", trust_env=False).is_success
    except httpx.HTTPError:
        return False
