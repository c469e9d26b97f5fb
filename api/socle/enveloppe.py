"""Autour de chaque requête : un identifiant de corrélation, une mesure, et un 500 sans détail pour l'imprévu."""

import time
from uuid import uuid4

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.socle.erreurs import repondre
from api.socle.mesures import METHODES, Mesures
from api.socle.problemes import Probleme
from api.socle.redites import Redites
from api.socle.traces import Conclure, Traceur

EN_TETE = b"x-correlation-id"


def correlation() -> str | None:
    """Le numéro de l'appel que l'on sert, que sa réponse porte : de lui à ce qu'il a fait enregistrer."""
    numero: str | None = structlog.contextvars.get_contextvars().get("correlation")
    return numero


class Enveloppe:
    """La couche la plus extérieure : rien ne sort d'ici sans réponse HTTP."""

    def __init__(self, application: ASGIApp, mesures: Mesures, traceur: Traceur | None = None) -> None:
        """`application` : ce qui répond vraiment. `traceur` : absent, rien n'est tracé."""
        self.application = application
        self.mesures = mesures
        self.traceur = traceur
        self._partis: Redites[tuple[str, str]] = Redites()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sert une requête."""
        if scope["type"] != "http":
            await self.application(scope, receive, send)
        elif self.traceur is None:
            await self._servir(scope, receive, send)
        else:
            with self.traceur(scope["method"], scope["headers"]) as conclure:
                await self._servir(scope, receive, send, conclure)

    async def _servir(self, scope: Scope, receive: Receive, send: Send, conclure: Conclure | None = None) -> None:
        numero = uuid4().hex
        statut = 0
        debut = time.perf_counter()

        async def envoyer(message: Message) -> None:
            nonlocal statut
            if message["type"] == "http.response.start":
                statut = message["status"]
                message["headers"] = [*message.get("headers", ()), (EN_TETE, numero.encode())]
            await send(message)

        # Jamais défait : chaque requête a sa tâche, et le contexte finit avec elle.
        structlog.contextvars.bind_contextvars(correlation=numero)
        try:
            await self.application(scope, receive, envoyer)
        except ClientDisconnect:
            methode, route = scope["method"] if scope["method"] in METHODES else "autre", _route(scope)
            if (fois := self._partis.fois((methode, route))) is not None:
                structlog.get_logger().info("client_parti", methode=methode, route=route, fois=fois)
        except Exception:
            structlog.get_logger().exception("erreur_interne", methode=scope["method"], route=_route(scope))
            if statut:
                raise  # La réponse est commencée : seule la coupure de la connexion peut encore le dire.
            detail = f"Une erreur inattendue est survenue ; au besoin, citez le numéro {numero}."
            probleme = Probleme(500, "erreur_interne", detail, correlation=numero)
            await (await repondre(scope, probleme))(scope, receive, envoyer)
        finally:
            self.mesures.compter(scope["method"], _route(scope), statut, time.perf_counter() - debut)
            if conclure is not None:
                conclure(_route(scope), statut)


def _route(scope: Scope) -> str:
    """Le chemin déclaré, jamais celui demandé : il porte des références, et il y en aurait sans fin."""
    return getattr(scope.get("route"), "path", "") or "inconnue"
