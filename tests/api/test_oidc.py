import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from api.socle.identite import EmetteurInjoignable, Identite, JetonInvalide, RoleUtilisateur, VerificateurOIDC
from tests.serveurs import ecoute

CLE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIQUE = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(CLE.public_key())) | {
    "kid": "k1",
    "use": "sig",
    "alg": "RS256",
}


class Emetteur(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        ici = f"http://{self.headers['Host']}"
        annonce = {"issuer": ici, "jwks_uri": f"{ici}/cles"}
        corps = json.dumps({"keys": [PUBLIQUE]} if self.path == "/cles" else annonce).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(corps)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def emetteur() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Emetteur) as serveur, ecoute(serveur):
        yield f"http://127.0.0.1:{serveur.server_port}"


def signer(emetteur: str, cle: Any = CLE, algorithme: str = "RS256", kid: str = "k1", **plus: Any) -> str:
    contenu = {
        "iss": emetteur,
        "aud": "creances",
        "exp": datetime.now(UTC) + timedelta(minutes=5),
        "role": "assure",
        "assure": "a-1",
    } | plus
    presents = {nom: valeur for nom, valeur in contenu.items() if valeur is not None}
    return jwt.encode(presents, cle, algorithm=algorithme, headers={"kid": kid})


def verifier(emetteur: str, jeton: str) -> Identite:
    return anyio.run(VerificateurOIDC(emetteur, "creances").verifier, jeton)


def test_un_jeton_de_l_emetteur_est_reconnu(emetteur: str) -> None:
    assert verifier(emetteur, signer(emetteur)) == Identite(RoleUtilisateur.ASSURE, "a-1")


@pytest.mark.parametrize(
    "plus",
    [
        {"iss": "http://ailleurs.test"},
        {"aud": "autre"},
        {"exp": None},
        {"iss": None},
        {"exp": datetime(2020, 1, 1, tzinfo=UTC)},
        {"role": "roi"},
        {"assure": None},
        {"role": "support", "sub": "269054958815780"},
        {"role": "partenaire", "sub": "2-69-05-49-588-157", "caisses": ["381"]},
        {"kid": "k2"},
        {"cle": rsa.generate_private_key(public_exponent=65537, key_size=2048)},
        {"cle": "un secret de trente-deux octets ou plus", "algorithme": "HS256"},
    ],
)
def test_tout_autre_jeton_est_refuse(emetteur: str, plus: dict[str, Any]) -> None:
    with pytest.raises(JetonInvalide):
        verifier(emetteur, signer(emetteur, **plus))


@pytest.mark.parametrize("jeton", ["", "x", "a.b.c", "é.è.ê", "." * 10])
def test_ce_qui_n_est_pas_un_jeton_est_refuse(emetteur: str, jeton: str) -> None:
    with pytest.raises(JetonInvalide):
        verifier(emetteur, jeton)


def test_un_emetteur_injoignable_n_est_pas_un_jeton_invalide() -> None:
    with pytest.raises(EmetteurInjoignable):
        verifier("http://127.0.0.1:9", signer("http://127.0.0.1:9"))
