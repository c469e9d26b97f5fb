"""Le service comme client d'un émetteur OIDC : code d'autorisation avec PKCE, puis un jeton d'identité vérifié.

L'adresse et la demande de jeton sont composées par authlib ; le jeton d'identité est vérifié comme ceux de l'API.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import httpx
from authlib.oauth2 import OAuth2Client, OAuth2Error

from api.socle.emetteur import DELAI_D_EMETTEUR_S, Annonce, Emetteur, EmetteurInjoignable
from api.socle.identite import FinDemandee, Identite, JetonInvalide, VerificateurOIDC
from kiosque.echeance import client_borne

PORTEE: Final = "openid profile"


class ConnexionRefusee(Exception):
    """L'émetteur n'a pas donné d'identité : code déjà servi, périmé, ou qui n'est pas de cette demande."""


@dataclass(frozen=True)
class ClientOIDC:
    """Ce que l'émetteur connaît de nous ; toutes les méthodes attendent le réseau : à appeler dans un fil à part."""

    emetteur: Emetteur
    identifiant: str
    secret: str | None = field(repr=False)
    """Absent : client public, que PKCE seul protège."""
    url_retour: str
    url_fin: str
    """Où l'émetteur ramène après la déconnexion."""

    def adresse_de_connexion(self, etat: str, nonce: str, verifieur: str) -> str:
        """Où mener le navigateur ; lève EmetteurInjoignable."""
        annonce = self.emetteur.annonce()
        with self._session() as session:
            adresse, _ = self._client(session).create_authorization_url(
                _offerte(annonce.autorisation, "autorisation"), state=etat, code_verifier=verifieur, nonce=nonce
            )
        return str(adresse)

    def identifier(self, code: str, verifieur: str, nonce: str, emetteur_dit: str | None) -> Identite:
        """Échange le code contre une identité.

        `emetteur_dit` : qui la réponse d'autorisation dit l'avoir émise (`iss`). Lève ConnexionRefusee, JetonInvalide
        (aussi pour un rôle inconnu) ou EmetteurInjoignable.
        """
        annonce = self.emetteur.annonce()
        if emetteur_dit != annonce.emetteur and (emetteur_dit is not None or annonce.se_nomme_au_retour):
            raise ConnexionRefusee
        jeton = self._echanger(annonce, code, verifieur).get("id_token")
        if not isinstance(jeton, str):
            raise JetonInvalide
        return VerificateurOIDC(self.emetteur, self.identifiant).lire(jeton, nonce=nonce)

    def lire_fin(self, jeton: str) -> FinDemandee:
        """Ce que l'émetteur demande de finir ; lève JetonInvalide ou EmetteurInjoignable."""
        return VerificateurOIDC(self.emetteur, self.identifiant).lire_fin(jeton)

    def adresse_de_fin(self) -> str | None:
        """Où finir aussi la session chez l'émetteur, s'il l'offre ; lève EmetteurInjoignable."""
        adresse = self.emetteur.annonce().fin_de_session
        if adresse is None:
            return None
        champs = urlencode({"client_id": self.identifiant, "post_logout_redirect_uri": self.url_fin})
        return f"{adresse}{'&' if urlsplit(adresse).query else '?'}{champs}"

    def _echanger(self, annonce: Annonce, code: str, verifieur: str) -> dict[str, Any]:
        if self.secret is None:
            preuve, champs = httpx.Auth(), {"client_id": self.identifiant}
        else:
            # Encodés comme un formulaire avant d'être joints (RFC 6749, 2.3.1).
            preuve, champs = httpx.BasicAuth(quote(self.identifiant, safe=""), quote(self.secret, safe="")), {}
        try:
            with self._session() as session:
                return dict(
                    self._client(session).fetch_token(
                        _offerte(annonce.jeton, "jeton"),
                        grant_type="authorization_code",
                        code=code,
                        code_verifier=verifieur,
                        auth=preuve,
                        **champs,
                    )
                )
        except OAuth2Error as refus:
            if refus.error == "invalid_grant":
                raise ConnexionRefusee from refus
            raise EmetteurInjoignable(f"l'émetteur nous refuse : {refus.error}") from refus
        # Ce que l'émetteur répond est lu par authlib, qui suppose un objet et des nombres.
        except (httpx.HTTPError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as panne:
            raise EmetteurInjoignable from panne

    def _client(self, session: httpx.Client) -> OAuth2Client:
        return OAuth2Client(
            session,
            client_id=self.identifiant,
            client_secret=self.secret,
            scope=PORTEE,
            redirect_uri=self.url_retour,
            code_challenge_method="S256",
        )

    @staticmethod
    def _session() -> AbstractContextManager[httpx.Client]:
        return client_borne(DELAI_D_EMETTEUR_S)


def _offerte(adresse: str | None, quoi: str) -> str:
    if adresse is None:
        raise EmetteurInjoignable(f"l'émetteur n'annonce pas d'adresse ({quoi})")
    return adresse
