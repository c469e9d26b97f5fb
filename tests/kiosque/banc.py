"""Un simulateur et un marchand servis pour de bon, sur des ports libres de la boucle locale."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import unescape

import httpx
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from domain.avis import Canal
from domain.reponse import ReponseBancaire
from kiosque.interface import DemandeDePaiement, Inconnue, Trouvee, Verifiee
from kiosque.simulateur import ReglagesSimulateur, creer_simulateur
from kiosque.simulateur.formulaires import lire_formulaire
from kiosque.sips.paypage import Sips
from kiosque.sips.reglages import ReglagesSips
from kiosque.sips.sceau import Marchand
from tests.outils import attendre
from tests.serveurs import servies

CHAMP_CACHE = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


@dataclass
class Montre:
    """L'heure du simulateur, que le test avance."""

    heure: datetime = field(default_factory=lambda: datetime(2026, 6, 1, 10, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.heure

    def avancer(self, minutes: float) -> None:
        self.heure += timedelta(minutes=minutes)


@dataclass
class Receveur:
    """Le marchand : garde ce qu'il reçoit, et répond les statuts prévus, puis 200."""

    recus: list[dict[str, str]] = field(default_factory=list)
    statuts: list[int] = field(default_factory=list)

    async def notifier(self, requete: Request) -> Response:
        champs = await lire_formulaire(requete)
        statut = self.statuts.pop(0) if self.statuts else 200
        self.recus.append(champs)
        return PlainTextResponse("", status_code=statut)

    def application(self) -> Starlette:
        return Starlette(routes=[Route("/kiosque/notification", self.notifier, methods=["POST"])])


class Vanne:
    """Remplace l'attente des retards : on dort jusqu'à ce que le test ouvre."""

    def __init__(self) -> None:
        self.ouverte = threading.Event()
        self.demandees: list[float] = []

    async def dormir(self, secondes: float) -> None:
        import asyncio

        self.demandees.append(secondes)
        while not self.ouverte.is_set():  # noqa: ASYNC110 (l'événement vient d'un autre fil)
            await asyncio.sleep(0.005)


@dataclass
class Banc:
    """Tout ce qu'un test de bout en bout manie."""

    url: str
    marchand_url: str
    kiosque: Sips
    receveur: Receveur
    montre: Montre
    vanne: Vanne
    navigateur: httpx.Client

    def request(self, transaction: str, montant: int = 20_00) -> DemandeDePaiement:
        return DemandeDePaiement(
            transaction=transaction,
            marchand="002001000000001",
            caisse="381",
            montant=montant,
            client="a-7c1e55d0",
            canal=Canal.WEB,
            url_retour=f"{self.marchand_url}/kiosque/retour",
            url_notification=f"{self.marchand_url}/kiosque/notification",
        )

    def ouvrir(self, transaction: str, montant: int = 20_00) -> httpx.Response:
        formulaire = self.kiosque.formulaire(self.request(transaction, montant))
        return self.navigateur.post(formulaire.url, data=dict(formulaire.champs))

    def payer(self, transaction: str, carte: str = "5017000000000000") -> httpx.Response:
        return self.valider(self.ouvrir(transaction), carte)

    def valider(self, page: httpx.Response, carte: str = "5017000000000000") -> httpx.Response:
        saisie = {"numero": carte, "mois": "12", "annee": "30", "cryptogramme": "123"}
        return self.navigateur.post("/paypage/valider", data=caches(page) | saisie)

    def regler(self, **consigne: object) -> None:
        assert self.navigateur.post("/simulateur/reglages", json=consigne).status_code == 200

    def etat(self, transaction: str) -> ReponseBancaire | None:
        etat = self.kiosque.interroger(transaction, "002001000000001")
        if isinstance(etat, Trouvee):
            assert self.kiosque.relire(etat.valeur) == Verifiee(etat.reponse)
            return etat.reponse
        assert etat == Inconnue()
        return None

    def recues(self, nombre: int) -> list[ReponseBancaire]:
        """Les réponses automatiques, une fois qu'il y en a au moins tant."""
        attendre(lambda: len(self.receveur.recus) >= nombre, quoi=f"{nombre} réponses automatiques")
        return [self.kiosque.reponse(champs) for champs in self.receveur.recus]


def caches(page: httpx.Response) -> dict[str, str]:
    """Les champs cachés d'une page ; celui du reçu est ôté des champs scellés par son nom."""
    return {nom: unescape(valeur) for nom, valeur in CHAMP_CACHE.findall(page.text)}


@contextmanager
def banc(**reglages: object) -> Iterator[Banc]:
    """Le simulateur, le marchand et le client Sips, reliés."""
    montre, vanne, receveur = Montre(), Vanne(), Receveur()
    choix = ReglagesSimulateur.model_validate({"attente_initiale_s": 0.0} | reglages)
    simulateur = creer_simulateur(choix, horloge=montre, dormir=vanne.dormir)
    contrat = Marchand(id=choix.marchand, cles={1: SecretStr("002001000000001_KEY1")}, version_courante=1)
    with servies(simulateur, receveur.application()) as (url, marchand_url):
        sips = ReglagesSips(
            url=f"{url}/paypage",
            office=f"{url}",
            algorithme=choix.algorithme,
            marchands={"": contrat},
        )
        with Sips(sips, horloge=montre) as kiosque, httpx.Client(base_url=url, trust_env=False) as navigateur:
            yield Banc(url, marchand_url, kiosque, receveur, montre, vanne, navigateur)
