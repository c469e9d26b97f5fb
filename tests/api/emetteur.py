"""Un petit émetteur OIDC, vrai de bout en bout : découverte, clés RS256, autorisation, PKCE, code à usage unique."""

import base64
import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.serveurs import servi

CLE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
AUTRE_CLE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIQUE = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(CLE.public_key())) | {
    "kid": "k1",
    "use": "sig",
    "alg": "RS256",
}
CLIENT = "creances-pages"
SECRET = "un secret & des signes : à encoder"
RETOUR = "http://service.test/connexion/retour"


@dataclass
class EmetteurDEssai:
    """L'émetteur, et ce qu'un test lui fait faire de travers."""

    url: str = ""
    personne: dict[str, Any] = field(default_factory=lambda: {"role": "assure", "assure": "a-1"})
    secret: str | None = SECRET
    jeton_en_plus: dict[str, Any] = field(default_factory=dict)
    cle: Any = CLE
    annonce_en_plus: dict[str, Any] = field(default_factory=dict)
    en_panne: set[str] = field(default_factory=set)
    demandes: dict[str, dict[str, str]] = field(default_factory=dict)
    """Les codes donnés et pas encore échangés, avec la demande d'autorisation de chacun."""
    lues: list[str] = field(default_factory=list)

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.annoncer),
                Route("/cles", self.donner_les_cles),
                Route("/autoriser", self.autoriser),
                Route("/jeton", self.donner_un_jeton, methods=["POST"]),
            ]
        )

    async def annoncer(self, requete: Request) -> Response:
        if panne := self._panne(requete):
            return panne
        annonce = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/cles",
            "authorization_endpoint": f"{self.url}/autoriser",
            "token_endpoint": f"{self.url}/jeton",
            "end_session_endpoint": f"{self.url}/fin",
        }
        return JSONResponse(annonce | self.annonce_en_plus)

    async def donner_les_cles(self, requete: Request) -> Response:
        return self._panne(requete) or JSONResponse({"keys": [PUBLIQUE]})

    async def autoriser(self, requete: Request) -> Response:
        """La personne accepte aussitôt."""
        demande = dict(requete.query_params)
        assert demande["client_id"] == CLIENT
        assert demande["redirect_uri"] == RETOUR
        assert demande["response_type"] == "code"
        assert demande["code_challenge_method"] == "S256"
        assert "openid" in demande["scope"].split()
        code = secrets.token_urlsafe(8)
        self.demandes[code] = demande
        return RedirectResponse(f"{RETOUR}?{urlencode({'code': code, 'state': demande['state']})}", status_code=302)

    async def donner_un_jeton(self, requete: Request) -> Response:
        if panne := self._panne(requete):
            return panne
        champs = dict(parse_qsl((await requete.body()).decode()))
        if not self._client_reconnu(requete, champs):
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        demande = self.demandes.pop(champs["code"], None)
        defi = base64.urlsafe_b64encode(hashlib.sha256(champs["code_verifier"].encode()).digest()).rstrip(b"=")
        if demande is None or champs["redirect_uri"] != RETOUR or defi.decode() != demande["code_challenge"]:
            return JSONResponse({"error": "invalid_grant", "error_description": "code"}, status_code=400)
        contenu = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": "s-1",
            "iat": datetime.now(UTC),
            "exp": datetime.now(UTC) + timedelta(minutes=5),
            "nonce": demande["nonce"],
        }
        contenu |= self.personne | self.jeton_en_plus
        signe = jwt.encode(
            {nom: valeur for nom, valeur in contenu.items() if valeur is not None},
            self.cle,
            algorithm="HS256" if isinstance(self.cle, str) else "RS256",
            headers={"kid": "k1"},
        )
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": signe})

    def _client_reconnu(self, requete: Request, champs: dict[str, str]) -> bool:
        if self.secret is None:
            return champs.get("client_id") == CLIENT and "authorization" not in requete.headers
        from urllib.parse import quote

        attendu = base64.b64encode(f"{quote(CLIENT, safe='')}:{quote(self.secret, safe='')}".encode()).decode()
        return requete.headers.get("authorization") == f"Basic {attendu}"

    def _panne(self, requete: Request) -> Response | None:
        self.lues.append(requete.url.path)
        return Response("en panne", status_code=503) if requete.url.path in self.en_panne else None


@contextmanager
def emetteur_d_essai() -> Iterator[EmetteurDEssai]:
    """L'émetteur, servi sur un port libre."""
    emetteur = EmetteurDEssai()
    with servi(emetteur.application()) as url:
        emetteur.url = url
        yield emetteur
