"""Un appui se fige (SIGSTOP) : il ne refuse rien, il se tait ; chaque réponse a pourtant une borne, et chaque arrêt."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from service import kafka as kafka_du_service
from service.embedded import embedded_broker, embedded_postgres, throwaway_folder
from service.embedded.child import Child
from service.lag import SILENT_SECONDS
from service.schema import migrate
from service.settings import Settings
from tests.courtiers import port_libre
from tests.outils import CREANCES, RACINE, attendre, en_moins_de, environnement
from tests.pannes.conftest import jeton

pytestmark = pytest.mark.lent

REPONSE_S = 10.0
"""Ce qu'une requête peut prendre, au plus."""


class Pile:
    """PostgreSQL et Kafka à soi, que l'on peut figer."""

    def __init__(self, dossier: Path, pile: ExitStack) -> None:
        self.postgres = pile.enter_context(embedded_postgres(dossier / "pg", throwaway=True))
        self.courtier = pile.enter_context(embedded_broker(dossier / "kafka"))
        self.settings = Settings(
            _env_file=None,
            mode="demonstration",
            database_url=self.postgres.database_url,
            owner_database_url=self.postgres.owner_database_url,
            kafka_bootstrap=self.courtier.kafka_bootstrap,
            data_dir=dossier,
            api_port=port_libre(),
        )
        self.settings = self.settings.model_copy(update={"public_url": f"http://127.0.0.1:{self.settings.api_port}"})
        migrate(self.postgres.owner_database_url, "creances")
        kafka_du_service.create_topics(self.settings)

    def variables(self) -> dict[str, str]:
        noms = ("database_url", "kafka_bootstrap", "data_dir", "api_port", "public_url")
        return environnement(**{nom: getattr(self.settings, nom) for nom in noms})

    def lancer(self, *arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [*CREANCES, *arguments],
            env=self.variables(),
            cwd=RACINE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def dire(self, *arguments: str) -> tuple[int, str, str, float]:
        """Une commande : son code, ce qu'elle a dit, et ce qu'elle a pris (secondes)."""
        debut = time.monotonic()
        fini = subprocess.run(
            [*CREANCES, *arguments],
            env=self.variables(),
            cwd=RACINE,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        return fini.returncode, fini.stdout, fini.stderr, time.monotonic() - debut

    def naissance(self) -> float:
        """Ce que l'interpréteur prend, ici et à cet instant, à charger le service et à finir (secondes)."""
        debut = time.monotonic()
        code = "import service.cli.looking, service.lag, service.run, service.web"
        subprocess.run([sys.executable, "-c", code], env=self.variables(), cwd=RACINE, timeout=240, check=True)
        return time.monotonic() - debut


@pytest.fixture(scope="module")
def pile() -> Iterator[Pile]:
    with throwaway_folder() as dossier, ExitStack() as serveurs:
        yield Pile(dossier, serveurs)


def processus(serveur: Child) -> list[int]:
    """Ceux du serveur, à cet instant : lui, et ceux qu'il a lancés."""
    parents: dict[int, int] = {}
    for dossier in Path("/proc").iterdir():
        if dossier.name.isdigit():
            with suppress(OSError):
                parents[int(dossier.name)] = int(dossier.joinpath("stat").read_text().rpartition(")")[2].split()[1])
    return [serveur.process.pid, *(numero for numero, parent in parents.items() if parent == serveur.process.pid)]


@contextmanager
def fige(serveur: Child) -> Iterator[None]:
    """Le serveur entier s'arrête net, sans rien raccrocher."""
    os.kill(serveur.process.pid, signal.SIGSTOP)  # D'abord lui : il n'en lance plus d'autre.
    arretes = processus(serveur)
    for numero in arretes:
        with suppress(ProcessLookupError):
            os.kill(numero, signal.SIGSTOP)
    try:
        yield
    finally:
        for numero in arretes:
            with suppress(ProcessLookupError):
                os.kill(numero, signal.SIGCONT)


@contextmanager
def roles(pile: Pile, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    lance = pile.lancer(*arguments)
    try:
        yield lance
    finally:
        lance.kill()
        lance.wait()


def vivant(client: httpx.Client) -> bool:
    with suppress(httpx.HTTPError):
        return client.get("/livez").is_success
    return False


@contextmanager
def api(pile: Pile) -> Iterator[httpx.Client]:
    with roles(pile, "api"), httpx.Client(base_url=pile.settings.public_url, trust_env=False, timeout=90) as client:
        client.headers["Authorization"] = f"Bearer {jeton(pile.settings)}"
        attendre(lambda: vivant(client), secondes=60, quoi="l'API")
        attendre(lambda: client.get("/readyz").is_success, secondes=60, quoi="l'API prête")
        yield client


def chronometrer(client: httpx.Client, verbe: str, chemin: str, **plus: Any) -> tuple[str, int, float]:
    debut = time.monotonic()
    reponse = client.request(verbe, chemin, **plus)
    return chemin, reponse.status_code, time.monotonic() - debut


def test_postgresql_fige_chaque_requete_finit_en_dix_secondes_et_le_service_reprend(pile: Pile) -> None:
    corps = {"references": ["3811701200010075F"], "montant_centimes": 20_00, "canal": "web"}
    requetes: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/api/v1/creances/3811701200010075F", {}),
        ("GET", "/api/v1/paiements/PCLCB263300000001", {}),
        ("POST", "/api/v1/paiements", {"json": corps, "headers": {"Idempotency-Key": "fige"}}),
        ("GET", "/readyz", {}),
        ("GET", "/connexion", {}),
        ("GET", "/", {}),
    ]
    with api(pile) as client, ThreadPoolExecutor(60) as fils:

        def toutes() -> tuple[list[tuple[str, int, float]], float]:
            debut = time.monotonic()
            lances = [fils.submit(chronometrer, client, v, c, **p) for v, c, p in requetes * 8]
            return [lance.result() for lance in lances], time.monotonic() - debut

        def figees() -> float:
            # Ce que les mêmes prennent sur cette machine, à cet instant, quand rien n'est figé.
            _, au_repos = toutes()
            with fige(pile.postgres.server):
                # Trop pour les connexions du processus : les dernières en attendent une.
                dits, ensemble = toutes()
                assert {statut for chemin, statut, _ in dits if chemin.startswith(("/api", "/readyz"))} == {503}
                _, statut, mesure = chronometrer(client, "GET", "/metrics")
                assert statut == 200
                assert 'creances_roles_lisibles{serveur="postgresql"} 0.0' in client.get("/metrics").text
                assert vivant(client), "ce qui n'en a pas besoin répond"
            attendre(lambda: client.get("/readyz").is_success, quoi="le service revenu")
            return max(ensemble - 2, mesure, *(secondes for _, _, secondes in dits)) - au_repos

        en_moins_de(REPONSE_S, figees, essais=3)


def test_la_requete_sans_reponse_dit_un_probleme_et_quand_revenir(pile: Pile) -> None:
    with api(pile) as client:
        client.get("/api/v1/creances/3811701200010075F")
        with fige(pile.postgres.server):
            reponse = client.get("/api/v1/creances/3811701200010075F")
        assert (reponse.status_code, reponse.headers["content-type"]) == (503, "application/problem+json")
        assert reponse.json()["code"] in {"sans_reponse", "base_indisponible"}
        assert int(reponse.headers["retry-after"]) > 0


def test_kafka_fige_lag_repond_en_cinq_secondes_et_le_dit(pile: Pile) -> None:
    def demander() -> float:
        demarrage = pile.naissance()
        with fige(pile.courtier.server):
            code, dit, _, secondes = pile.dire("lag", "--json")
        lignes = {ligne["nom"]: ligne for ligne in json.loads(dit)}
        assert lignes["consommateur_avis"]["illisible"].startswith("Kafka ne répond pas")
        assert code == 1
        return secondes - demarrage

    en_moins_de(5, demander)


def test_postgresql_fige_lag_repond_en_dix_secondes_et_le_dit(pile: Pile) -> None:
    def demander() -> float:
        demarrage = pile.naissance()
        with fige(pile.postgres.server):
            code, _, erreur, secondes = pile.dire("lag")
        assert "PostgreSQL ne répond pas" in erreur
        assert code == 1
        return secondes - demarrage

    en_moins_de(10, demander)


def test_un_role_qui_se_tait_est_dit_silencieux_avec_l_age_de_son_signe_de_vie(pile: Pile) -> None:
    with roles(pile, "project", "restant_du") as role:
        with psycopg.connect(str(pile.settings.database_url), autocommit=True) as conn:
            etat = "SELECT etat FROM vues.suiveurs WHERE nom = 'restant_du' AND battement_le IS NOT NULL"
            attendre(lambda: conn.execute(etat).fetchone() == ("actif",), secondes=60, quoi="le signe de vie")
            role.send_signal(signal.SIGKILL)
            conn.execute(
                "UPDATE vues.suiveurs SET battement_le = clock_timestamp() - make_interval(secs => %s)",
                (SILENT_SECONDS + 1,),
            )
        code, dit, _, _ = pile.dire("lag", "--json")
    [ligne] = [ligne for ligne in json.loads(dit) if ligne["nom"] == "restant_du"]
    assert (code, ligne["etat"]) == (1, "silencieux")
    assert ligne["battement_secondes"] > SILENT_SECONDS


@pytest.mark.parametrize(
    ("commande", "quoi"),
    [
        *((commande, "les deux") for commande in ("consume avis", "project", "publish", "relance", "api", "up")),
        ("up", "postgresql"),
        ("up", "kafka"),
    ],
)
def test_chaque_role_s_arrete_en_dix_secondes_quoi_que_fassent_kafka_et_postgresql(
    pile: Pile, commande: str, quoi: str
) -> None:
    en_moins_de(REPONSE_S + 1, lambda: _arreter(pile, commande, quoi), essais=3)


def _arreter(pile: Pile, commande: str, quoi: str) -> float:
    """Ce que le rôle, ses appuis figés, met à finir de plus que l'interpréteur à naître (secondes)."""
    with psycopg.connect(str(pile.settings.database_url), autocommit=True) as conn:
        conn.execute("UPDATE vues.suiveurs SET etat = 'inactif', battement_le = NULL")
    demarrage = pile.naissance()
    with roles(pile, *commande.split()) as role, ExitStack() as figes:
        attendre(lambda: _au_travail(pile, commande), secondes=60, quoi="le rôle au travail")
        if quoi != "kafka":
            figes.enter_context(fige(pile.postgres.server))
        if quoi != "postgresql":
            figes.enter_context(fige(pile.courtier.server))
        debut = time.monotonic()
        role.terminate()
        role.wait(120)
        return time.monotonic() - debut - demarrage


def _au_travail(pile: Pile, commande: str) -> bool:
    if commande in {"api", "up"}:
        with httpx.Client(base_url=pile.settings.public_url, trust_env=False, timeout=5) as client:
            return vivant(client)
    with psycopg.connect(str(pile.settings.database_url), autocommit=True) as conn:
        vus = conn.execute("SELECT count(*) FROM vues.suiveurs WHERE etat = 'actif' AND battement_le IS NOT NULL")
        return vus.fetchone() != (0,)
