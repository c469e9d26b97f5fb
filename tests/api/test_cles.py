"""Un émetteur lent, absent ou qui change de clé : les pages, la santé et les jetons déjà connus n'en souffrent pas."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event
from typing import Any

import anyio
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from api.socle.cles import LECTURES_EN_RAFALE, LECTURES_PAR_SECONDE
from api.socle.identite import EmetteurInjoignable, Identite, JetonInvalide, RoleUtilisateur, VerificateurOIDC
from tests.api.conftest import Service
from tests.outils import attendre
from tests.serveurs import ecoute

CLES = {kid: rsa.generate_private_key(public_exponent=65537, key_size=2048) for kid in ("k1", "k2")}
CONNU = Identite(RoleUtilisateur.ASSURE, "a-1")


class Emetteur:
    """Un émetteur que le test fait attendre, tomber ou changer de clé."""

    def __init__(self) -> None:
        self.kids = ["k1"]
        self.absent = False
        self.suite = Event()
        self.suite.set()
        self.lectures = 0
        self.url = ""

    def repondre(self, chemin: str) -> tuple[int, dict[str, Any]]:
        if chemin != "/cles":
            return 200, {"issuer": self.url, "jwks_uri": f"{self.url}/cles"}
        self.lectures += 1
        self.suite.wait(120)
        if self.absent:
            return 503, {}
        return 200, {"keys": [_publique(kid) for kid in self.kids]}

    def signer(self, kid: str, signe: str = "k1") -> str:
        contenu = {
            "iss": self.url,
            "aud": "creances",
            "exp": datetime.now(UTC) + timedelta(minutes=5),
            "role": "assure",
            "assure": "a-1",
        }
        return jwt.encode(contenu, CLES[signe], algorithm="RS256", headers={"kid": kid})


def _publique(kid: str) -> dict[str, Any]:
    publique: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(CLES[kid].public_key()))
    return publique | {"kid": kid, "use": "sig"}


@contextmanager
def _servi() -> Iterator[Emetteur]:
    emetteur = Emetteur()

    class Reponses(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            statut, dit = emetteur.repondre(self.path)
            self.send_response(statut)
            self.end_headers()
            self.wfile.write(json.dumps(dit).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Reponses) as serveur, ecoute(serveur):
        emetteur.url = f"http://127.0.0.1:{serveur.server_port}"
        try:
            yield emetteur
        finally:
            emetteur.suite.set()


@pytest.fixture
def emetteur() -> Iterator[Emetteur]:
    with _servi() as emetteur:
        yield emetteur


@pytest.fixture
def verifier(emetteur: Emetteur) -> Callable[[str], Identite]:
    verificateur = VerificateurOIDC(emetteur.url, "creances")
    return lambda jeton: anyio.run(verificateur.verifier, jeton)


class TestSousUnAssaut:
    @pytest.fixture
    def reglages_api(self, emetteur: Emetteur) -> Mapping[str, Any]:
        return {"jetons": VerificateurOIDC(emetteur.url, "creances")}

    def test_soixante_jetons_d_une_cle_inconnue_ne_figent_ni_les_pages_ni_la_sante(
        self, service: Service, emetteur: Emetteur
    ) -> None:
        service.avis("3811701200010075F")

        def consulter(kid: str) -> int:
            porteur = {"Authorization": f"Bearer {emetteur.signer(kid)}"}
            url = f"{service.client.base_url}/api/v1/creances/3811701200010075F"
            return httpx.get(url, headers=porteur, timeout=150, trust_env=False).status_code

        commence = time.monotonic()
        assert consulter("k1") == 200
        emetteur.suite.clear()
        with ThreadPoolExecutor(60) as fils:
            assaut = [fils.submit(consulter, f"inconnue-{n}") for n in range(60)]
            attendre(lambda: emetteur.lectures > 1, quoi="une clé redemandée")
            debut = time.monotonic()
            assert service.client.get("/readyz").status_code == 200
            assert consulter("k1") == 200
            assert time.monotonic() - debut < 60, "l'émetteur se tait deux minutes"
            emetteur.suite.set()
            assert {requete.result() for requete in assaut} <= {401, 503}
        assert emetteur.lectures <= 1 + LECTURES_EN_RAFALE + LECTURES_PAR_SECONDE * (time.monotonic() - commence)


def test_une_cle_changee_est_vue_aussitot(emetteur: Emetteur, verifier: Callable[[str], Identite]) -> None:
    assert verifier(emetteur.signer("k1")) == CONNU
    emetteur.kids = ["k2"]
    assert verifier(emetteur.signer("k2", "k2")) == CONNU


def test_les_dernieres_cles_servent_pendant_que_l_emetteur_est_absent(
    emetteur: Emetteur, verifier: Callable[[str], Identite]
) -> None:
    assert verifier(emetteur.signer("k1")) == CONNU
    emetteur.absent = True
    with pytest.raises(EmetteurInjoignable):
        verifier(emetteur.signer("k2", "k2"))
    assert verifier(emetteur.signer("k1")) == CONNU


def test_une_cle_inconnue_n_est_pas_redemandee(emetteur: Emetteur, verifier: Callable[[str], Identite]) -> None:
    for _ in range(5):
        with pytest.raises(JetonInvalide):
            verifier(emetteur.signer("k9"))
    assert emetteur.lectures == 1
