"""Les pages de la messagerie : la liste, un message, sa suppression, et son PDF."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

import anyio.to_thread
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.assure.accuse_pdf import accusé_en_pdf
from api.assure.connexion import AccèsRefusé
from api.assure.rendu import message as page_d_une_phrase
from api.assure.visite import DUnAssuré, Visite, champs_de
from api.dependances import Moyens
from domain.accuse import EXPÉDITEUR, OBJET, Accusé
from domain.refus import MessageInconnu
from guichet.guichet import Guichet
from guichet.messagerie import consulter_message, messagerie_de, ouvrir_message, supprimer_message
from projections.messagerie import messages_de

PDF: Final = "application/pdf"

_EN_TÊTE: Final = {"objet": OBJET, "expéditeur": EXPÉDITEUR}

routes = APIRouter(prefix="/messagerie", include_in_schema=False)


class Message(NamedTuple):
    """Un message de la liste."""

    accusé: Accusé
    lu: bool


class Courrier(NamedTuple):
    """Les messages d'un assuré, non lus d'abord, puis du plus récent au plus ancien."""

    messages: list[Message]

    @property
    def non_lus(self) -> int:
        """Combien n'ont pas été ouverts."""
        return sum(not message.lu for message in self.messages)


async def courrier_de(moyens: Moyens, assuré: str) -> Courrier:
    """Les messages à montrer ; ce que l'assuré vient d'en faire compte déjà, même si la vue a un instant de retard."""
    maintenant = moyens.dépendances.horloge()
    async with moyens.pool.connection() as conn:
        lignes = await messages_de(conn, assuré, maintenant)
    gestes = await anyio.to_thread.run_sync(messagerie_de, moyens.dépendances.guichet, assuré, maintenant)
    messages = [
        Message(Accusé(ligne.transaction, ligne.accepté_le), ligne.lu or ligne.transaction in gestes.lus)
        for ligne in lignes
        if ligne.transaction not in gestes.supprimés
    ]
    return Courrier(sorted(messages, key=lambda message: message.lu))


@routes.get("")
async def liste(visite: DUnAssuré) -> Response:
    """Les messages de l'assuré."""
    courrier = await courrier_de(visite.moyens, visite.assuré)
    return visite.rendre("messagerie.html", _EN_TÊTE | {"courrier": courrier})


@routes.get("/{transaction}")
async def lire(transaction: str, visite: DUnAssuré) -> Response:
    """Un message ; l'ouvrir le marque lu."""
    accusé = await _au_guichet(ouvrir_message, visite, transaction)
    return visite.rendre("messagerie-message.html", _EN_TÊTE | {"accusé": accusé})


@routes.get("/{transaction}/suppression")
async def confirmer(transaction: str, visite: DUnAssuré) -> Response:
    """Demande si c'est bien ce message qu'il faut supprimer."""
    accusé = await _au_guichet(consulter_message, visite, transaction)
    return visite.rendre("messagerie-suppression.html", _EN_TÊTE | {"accusé": accusé})


@routes.post("/{transaction}/suppression")
async def supprimer(transaction: str, requête: Request, visite: DUnAssuré) -> Response:
    """Supprime le message, et revient à la liste ; la seconde fois, il n'y a plus rien à faire."""
    await champs_de(requête, visite)
    await _au_guichet(supprimer_message, visite, transaction)
    return visite.mener("/messagerie")


@routes.get("/{transaction}/accuse.pdf")
async def en_pdf(transaction: str, visite: DUnAssuré, *, telecharger: bool = False) -> Response:
    """Le message en PDF accessible, montré par le navigateur (pour l'imprimer) ou téléchargé."""
    accusé = await _au_guichet(consulter_message, visite, transaction)
    disposition = "attachment" if telecharger else "inline"
    en_têtes = {
        "Content-Disposition": f'{disposition}; filename="accuse-de-reception-{accusé.transaction}.pdf"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    octets = await anyio.to_thread.run_sync(accusé_en_pdf, accusé)
    return visite.prolonger(Response(octets, media_type=PDF, headers=en_têtes))


_T = TypeVar("_T")


async def _au_guichet(action: Callable[[Guichet, str, str, datetime], _T], visite: Visite, transaction: str) -> _T:
    """Ce que rend l'action ; lève AccèsRefusé (404) pour un message inconnu."""
    dépendances = visite.moyens.dépendances
    try:
        return await anyio.to_thread.run_sync(
            action, dépendances.guichet, visite.assuré, transaction, dépendances.horloge()
        )
    except MessageInconnu as inconnu:
        raise AccèsRefusé(page_d_une_phrase("Message introuvable", inconnu.phrase, 404)) from None
