"""Un vrai navigateur devant le vrai service : l'API, les consommateurs, les suiveurs et le kiosque simulé.

Le navigateur est celui de la machine (CREANCES_TEST_CHROMIUM, sinon `chromium`) : rien n'en télécharge un. Sans lui,
les tests sont sautés ; sous CI=true, ils échouent.
"""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from pydantic import SecretStr

from api.application import Dependances, Limites, creer_api
from api.socle.identite import VerificateurDeDeveloppement
from service import composition, kafka, run
from service.role_names import ALL, SIMULATOR
from service.settings import Settings
from tests.conftest import VARIABLES, Serveurs, nouvelle_base
from tests.consumers.banc import cheque
from tests.courtiers import port_libre
from tests.outils import attendre
from tests.serveurs import servi

SECRET_DE_SESSION = "s" * 32
INACTIVITE = timedelta(seconds=24)
"""Le délai d'inactivité de la borne, ici."""

ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
LARGE = {"width": 1280, "height": 900}
TELEPHONE = {"width": 320, "height": 640}


@dataclass
class Pile:
    """Le service entier, et de quoi y mettre des avis."""

    settings: Settings
    numero: int = 0
    expediteur: Any = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return self.settings.public_url

    def avis(
        self,
        montant: int = 87_09,
        *,
        assure: str,
        caisse: str = "381",
        solde: int | None = None,
        attendu: bool = True,
    ) -> str:
        """Émet un avis sur Kafka et attend que la vue le montre ; le premier émis est le plus ancien."""
        self.numero += 1
        reference = f"{caisse}26120{self.numero:08d}F"
        message = {
            "type": "avis_emis",
            "reference": reference,
            "assure": assure,
            "caisse": caisse,
            "nature": "PF/FR",
            "montant_initial_centimes": montant,
            "solde_pf_fr_centimes": solde or min(max(montant, 40_00), 200_00),
            "date_emission": f"2026-01-{1 + self.numero % 28:02d}",
            "mode": "dematerialise",
        }
        self._emettre(reference, message)
        if attendu:
            attendre(lambda: self.lire("SELECT 1 FROM vues.restant_du WHERE reference = %s", reference), secondes=60)
        return reference

    def cheque(self, reference: str, montant: int) -> None:
        """La caisse reçoit un chèque, et la vue le montre."""
        self._emettre(reference, cheque(reference, montant, f"cheque-{reference}", date="2026-02-10"))
        paye = "SELECT 1 FROM vues.restant_du WHERE reference = %s AND solde <= 0"
        attendre(lambda: self.lire(paye, reference), secondes=60)

    def poster(self, formulaire: dict[str, str]) -> None:
        """La banque poste cette réponse."""
        url = f"{self.url}/kiosque/notification"
        httpx.post(url, data=formulaire, trust_env=False).raise_for_status()

    @contextmanager
    def instance(self, *, base: bool = True, limites: Limites | None = None) -> Iterator[str]:
        """L'adresse d'une autre instance des pages, pour les mêmes sessions ; sans `base`, elle ne la joint pas."""
        guichet = composition.guichet(self.settings, application="instance")
        absente = f"postgresql://personne@127.0.0.1:{port_libre()}/rien"
        dependances = Dependances(
            guichet=guichet,
            url_base=str(self.settings.database_url) if base else absente,
            limites=limites or Limites(),
            publier=lambda *_: None,  # type: ignore[arg-type]
            jetons=VerificateurDeDeveloppement("x" * 32, "creances"),
            retard=list,
            pret=lambda: False,
            horloge=lambda: datetime.now(UTC),
            demo=True,
            secret_de_session=SECRET_DE_SESSION,
        )
        try:
            with servi(creer_api(dependances)) as url:
                yield url
        finally:
            guichet.base.fermer()

    def _emettre(self, reference: str, message: dict[str, Any]) -> None:
        self.expediteur = self.expediteur or kafka.producer(self.settings)
        self.expediteur.send(self.settings.topic_avis, key=reference.encode(), value=json.dumps(message).encode())
        self.expediteur.flush()

    def lire(self, requete: Any, *valeurs: Any) -> list[Any]:
        with psycopg.connect(str(self.settings.database_url), autocommit=True) as conn:
            return conn.execute(requete, valeurs).fetchall()

    def paiements(self, assure: str) -> list[tuple[str, str]]:
        """Les paiements d'un assuré : statut et canal, dans l'ordre."""
        return self.lire("SELECT statut, canal FROM vues.paiements WHERE assure = %s ORDER BY ouvert_le", assure)

    def consigne(self, **consigne: object) -> None:
        """Demande au kiosque de se conduire mal."""
        url = f"{self.settings.kiosque_url}/simulateur/reglages"
        httpx.post(url, json=consigne, trust_env=False).raise_for_status()


def chromium() -> str:
    """Le navigateur de la machine."""
    trouve = VARIABLES.get("CREANCES_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if trouve is None and os.environ.get("CI") == "true":
        pytest.fail("Aucun navigateur : en intégration continue, ces tests ne sont pas sautés.", pytrace=False)
    if trouve is None:
        pytest.skip("Aucun navigateur : installez chromium, ou donnez CREANCES_TEST_CHROMIUM.")
    return trouve


# Par module : tant que Playwright est ouvert, une boucle tourne dans ce fil, et asyncio.run échouerait ailleurs.
@pytest.fixture(scope="module")
def navigateur() -> Iterator[Browser]:
    """Chromium, dans un profil neuf."""
    chemin = chromium()
    with sync_playwright() as pilote:
        lance = pilote.chromium.launch(executable_path=chemin, args=ARGUMENTS)
        yield lance
        lance.close()


# Par module : ses rôles tournent dans ce processus, où un autre module déplacerait leur horloge ou leurs connexions.
@pytest.fixture(scope="module")
def pile(serveurs: Serveurs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pile]:
    """Le service entier, démarré une fois par module ; rien ne démarre s'il n'y a pas de navigateur."""
    chromium()
    dossier: Path = tmp_path_factory.mktemp("pile")
    with nouvelle_base(serveurs) as base:
        port, port_du_kiosque = port_libre(), port_libre()
        settings = Settings(
            mode="demonstration",
            session_secret=SecretStr(SECRET_DE_SESSION),
            database_url=base.url,
            owner_database_url=base.url_proprietaire,
            kafka_bootstrap=serveurs.kafka_bootstrap,
            topic_prefix=f"t-{base.nom}",
            public_url=f"http://127.0.0.1:{port}",
            api_port=port,
            kiosque_url=f"http://127.0.0.1:{port_du_kiosque}",
            simulator_port=port_du_kiosque,
            kiosque_office_closed_from=time(),
            kiosque_office_closed_until=time(),  # La banque rembourse à toute heure, où que tourne la suite.
            terminal_idle=INACTIVITE,
            data_dir=dossier,
        )
        kafka.create_topics(settings)
        arret, code = threading.Event(), list[int]()
        roles = [str(role) for role in (*ALL, SIMULATOR)]
        fil = threading.Thread(target=lambda: code.append(run.run_until(settings, roles, arret, demo=True)))
        fil.start()
        servie = Pile(settings)
        try:
            for url in (settings.public_url, settings.kiosque_url):
                attendre(lambda url=url: repond(f"{url}/livez"), secondes=60)  # type: ignore[misc]
            yield servie
        finally:
            if servie.expediteur is not None:
                servie.expediteur.close()
            arret.set()
            fil.join(60)
        assert code == [0]


def repond(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.HTTPError:
        return False


class Visiteur:
    """Une personne devant son navigateur."""

    def __init__(self, pile: Pile, contexte: BrowserContext, *, script: bool = True) -> None:
        self.pile = pile
        self.script = script
        self.contexte = contexte
        self.plaintes: list[str] = []
        contexte.set_default_timeout(60_000)
        contexte.on("console", lambda message: self._entendre(message.text))
        contexte.on("weberror", lambda erreur: self.plaintes.append(str(erreur.error)))
        self.page: Page = contexte.new_page()

    def _entendre(self, texte: str) -> None:
        if "Content Security Policy" in texte or "Refused to" in texte:
            self.plaintes.append(texte)

    def aller(self, chemin: str) -> None:
        self.page.goto(self.pile.url + chemin)

    def entrer(self, assure: str, canal: str = "web") -> None:
        """Se fait connaître, à la porte de la démonstration."""
        self.aller(f"/?canal={canal}")
        self.page.get_by_label("Un autre assuré").fill(assure)
        self.page.locator(".autre-assure button").click()
        self.page.get_by_role("heading", name="Bonjour").wait_for()

    def chercher(self, reference: str) -> None:
        """Étape 1."""
        self.aller("/payer")
        self.page.get_by_label("Référence de l'avis").fill(reference)
        with self.page.expect_navigation():  # Sinon l'étape 1 se lirait, ou se photographierait, pour l'étape 2.
            self.page.get_by_role("button", name="Rechercher").click()

    def saisir(self, montant: str, *cochees: str) -> None:
        """Étape 2, sans payer."""
        for reference in cochees:
            self.page.locator(f"#r-{reference}").check()
        self.page.get_by_label("Montant du paiement").fill(montant)

    def payer(self) -> None:
        """« Payer », jusqu'à la page de la banque."""
        self.page.get_by_role("button", name="Payer", exact=True).click()
        self.page.wait_for_url("**/paypage")

    def carte(self, numero: str) -> None:
        """La carte, au kiosque."""
        for champ, valeur in {"Numéro de carte": numero, "Mois": "12", "Année": "30", "Cryptogramme": "123"}.items():
            self.page.get_by_label(champ).fill(valeur)
        self.page.get_by_role("button", name="Valider").click()

    def continuer(self) -> None:
        """Revient du kiosque."""
        self.page.get_by_role("button", name="Continuer").click()
        self.page.wait_for_url("**/paiements/*")

    def lit(self, texte: str) -> bool:
        """Attend que la page montre ce texte."""
        self.page.get_by_text(texte).first.wait_for()
        return True

    def largeur(self) -> int:
        """Ce que la page prend en large (pixels). Le texte y est avant la feuille de style, qui fait la largeur."""
        self.page.wait_for_load_state()
        return int(self.page.evaluate("document.documentElement.scrollWidth"))

    def tient(self, identifiant: str) -> bool:
        """Attend que cet élément ait le focus : une ancre ou `autofocus` le donne après que le texte est là."""
        attendre(lambda: self.page.evaluate("document.activeElement.id") == identifiant, quoi=f"focus : {identifiant}")
        return True


@pytest.fixture
def visiteurs(navigateur: Browser, pile: Pile) -> Iterator[Any]:
    """De quoi faire venir des personnes ; aucune page ne doit avoir enfreint sa politique de contenu."""
    venus: list[Visiteur] = []

    def venir(**options: Any) -> Visiteur:
        contexte = navigateur.new_context(**({"viewport": LARGE, "locale": "fr-FR"} | options))
        venus.append(Visiteur(pile, contexte, script=options.get("java_script_enabled", True)))
        return venus[-1]

    yield venir
    plaintes = [plainte for visiteur in venus for plainte in visiteur.plaintes]
    for visiteur in venus:
        visiteur.contexte.close()
    assert plaintes == []


@pytest.fixture
def visiteur(visiteurs: Any) -> Visiteur:
    """Une personne, sur un écran large."""
    venu: Visiteur = visiteurs()
    return venu
