"""Les en-têtes de sûreté, posés une fois, sur chaque réponse : une page peut en préciser un, jamais en manquer."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLITIQUE_DE_CONTENU: Final = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
    b" form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

STATIQUE: Final = "/statique/"
"""Ce qui n'est à personne : gardé, et relu par son `ETag` pour suivre les versions."""

_TOUJOURS: Final = (
    (b"content-security-policy", POLITIQUE_DE_CONTENU),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
_SANS_GARDE: Final = (b"cache-control", b"no-store")
_RELU: Final = (b"cache-control", b"no-cache")


def de_surete(*, https: bool) -> tuple[tuple[bytes, bytes], ...]:
    """Ceux de toute réponse qui n'est pas un fichier public : pour ce qui répond sans passer par l'application."""
    return (*_TOUJOURS, *((_HSTS,) if https else ()), _SANS_GARDE)


class EnTetes:
    """Ajoute à chaque réponse les en-têtes qu'elle n'a pas déjà."""

    def __init__(self, application: ASGIApp, *, https: bool) -> None:
        """`https` : l'adresse publique du service l'est ; le navigateur ne doit alors plus en prendre d'autre."""
        self.application = application
        self._personnels = de_surete(https=https)
        self._publics = (*self._personnels[:-1], _RELU)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sert une requête."""
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return

        async def envoyer(message: Message) -> None:
            if message["type"] == "http.response.start":
                poses = list(message.get("headers", ()))
                noms = {nom.lower() for nom, _ in poses}
                public = scope["path"].startswith(STATIQUE) and message["status"] in {200, 304}
                voulus = self._publics if public else self._personnels
                message["headers"] = poses + [en_tete for en_tete in voulus if en_tete[0] not in noms]
            await send(message)

        await self.application(scope, receive, envoyer)
