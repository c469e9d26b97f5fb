"""La taille d'un corps, bornée pendant qu'il est lu : ni l'annonce ni son absence ne sont crues."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.socle.erreurs import repondre
from api.socle.problemes import Probleme


class TailleBornee:
    """Refuse (413) un corps trop grand, dès l'annonce ou dès l'octet de trop."""

    def __init__(self, application: ASGIApp, octets_max: int) -> None:
        """`octets_max` : la taille admise, en octets."""
        self.application = application
        self.octets_max = octets_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sert une requête."""
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        if self._annonce_trop(scope):
            await (await repondre(scope, self._probleme()))(scope, receive, send)
            return
        lus = 0

        async def recevoir() -> Message:
            nonlocal lus
            message = await receive()
            lus += len(message.get("body", b""))
            if lus > self.octets_max:
                raise self._probleme()
            return message

        await self.application(scope, recevoir, send)

    def _annonce_trop(self, scope: Scope) -> bool:
        annonces = [valeur for nom, valeur in scope["headers"] if nom == b"content-length"]
        return any(valeur.isdigit() and int(valeur[:20]) > self.octets_max for valeur in annonces)

    def _probleme(self) -> Probleme:
        detail = f"Le corps de la requête dépasse {self.octets_max // 1024} Kio."
        # La suite du corps n'est pas lue : la connexion ne peut pas resservir.
        return Probleme(413, "corps_trop_grand", detail, en_tetes={"Connection": "close"})
