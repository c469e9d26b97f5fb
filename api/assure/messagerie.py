"""Les pages de la messagerie : la liste, un message, sa suppression, et son PDF."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

import anyio.to_thread
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.assure.accuse_pdf import accuse_en_pdf
from api.assure.visite import AssureConnecte, visite_d_un_envoi
from api.socle.dependances import Moyens
from api.socle.formulaire import FormulairePerime, JetonPerime
from api.socle.rendu import message as page_d_une_phrase
from api.socle.visite import AccesRefuse, Visite, cadre, champs_de
from domain.accuse import EXPEDITEUR, OBJET, Accuse
from domain.references import Pseudonyme, ReferenceTransaction
from domain.refus import MessageInconnu
from guichet.guichet import Guichet
from guichet.messagerie import consulter_message, messagerie_de, ouvrir_message, supprimer_message
from projections.vues.messagerie import messages_de

PDF: Final = "application/pdf"

RIEN_SUPPRIME: Final = "rien n'a été supprimé. Reconnectez-vous pour revenir à ce message."

_EN_TETE: Final = {"objet": OBJET, "expediteur": EXPEDITEUR}

routes = APIRouter(prefix="/messagerie", include_in_schema=False)


class MessageRecu(NamedTuple):
    """Un message de la liste."""

    accuse: Accuse
    lu: bool


class Courrier(NamedTuple):
    """Les messages d'un assuré, non lus d'abord, puis du plus récent au plus ancien."""

    messages: list[MessageRecu]

    @property
    def non_lus(self) -> int:
        """Combien n'ont pas été ouverts."""
        return sum(not message.lu for message in self.messages)


async def courrier_de(moyens: Moyens, assure: Pseudonyme) -> Courrier:
    """Les messages à montrer ; ce que l'assuré vient d'en faire compte déjà, même si la vue a un instant de retard."""
    maintenant = moyens.dependances.horloge()
    async with moyens.pool.connection() as conn:
        lignes = await messages_de(conn, assure, maintenant)
    gestes = await anyio.to_thread.run_sync(messagerie_de, moyens.dependances.guichet, assure, maintenant)
    messages = [
        MessageRecu(
            Accuse(ReferenceTransaction(ligne.transaction), ligne.accepte_le),
            ligne.lu or ligne.transaction in gestes.lus,
        )
        for ligne in lignes
        if ligne.transaction not in gestes.supprimes
    ]
    return Courrier(sorted(messages, key=lambda message: message.lu))


@routes.get("")
async def liste(visite: AssureConnecte) -> Response:
    """Les messages de l'assuré."""
    courrier = await courrier_de(visite.moyens, visite.assure)
    return visite.rendre("messagerie.html", _EN_TETE | {"courrier": courrier})


@routes.get("/{transaction}")
async def lire(transaction: str, visite: AssureConnecte) -> Response:
    """Un message ; l'ouvrir le marque lu."""
    accuse = await _au_guichet(ouvrir_message, visite, transaction)
    return visite.rendre("messagerie-message.html", _EN_TETE | {"accuse": accuse})


@routes.get("/{transaction}/suppression")
async def confirmer(transaction: str, visite: AssureConnecte) -> Response:
    """Demande si c'est bien ce message qu'il faut supprimer."""
    return await _demander(visite, transaction)


@routes.post("/{transaction}/suppression")
async def supprimer(transaction: str, requete: Request) -> Response:
    """Supprime le message, et revient à la liste ; la seconde fois, il n'y a plus rien à faire."""
    visite = await visite_d_un_envoi(requete, lambda _: f"/messagerie/{transaction}/suppression", RIEN_SUPPRIME)
    try:
        await champs_de(requete, visite)
    except JetonPerime as perime:  # D'une page ouverte avant une reconnexion : elle se confirme encore, d'ici.
        return await _demander(visite, transaction, panne=FormulairePerime().phrase, statut=perime.statut)
    await _au_guichet(supprimer_message, visite, transaction)
    return visite.mener("/messagerie")


@routes.get("/{transaction}/accuse.pdf")
async def en_pdf(transaction: str, visite: AssureConnecte, *, telecharger: bool = False) -> Response:
    """Le message en PDF accessible, montré par le navigateur (pour l'imprimer) ou téléchargé."""
    accuse = await _au_guichet(consulter_message, visite, transaction)
    disposition = "attachment" if telecharger else "inline"
    en_tetes = {
        "Content-Disposition": f'{disposition}; filename="accuse-de-reception-{accuse.transaction}.pdf"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    octets = await anyio.to_thread.run_sync(accuse_en_pdf, accuse)
    return visite.prolonger(Response(octets, media_type=PDF, headers=en_tetes))


async def _demander(visite: Visite, transaction: str, *, panne: str | None = None, statut: int = 200) -> Response:
    """`panne` : pourquoi rien n'a été supprimé."""
    accuse = await _au_guichet(consulter_message, visite, transaction)
    return visite.rendre("messagerie-suppression.html", _EN_TETE | {"accuse": accuse, "panne": panne}, statut=statut)


_T = TypeVar("_T")


async def _au_guichet(
    action: Callable[[Guichet, Pseudonyme, str, datetime], _T], visite: Visite, transaction: str
) -> _T:
    """Ce que rend l'action ; lève AccesRefuse (404) pour un message inconnu."""
    dependances = visite.moyens.dependances
    try:
        return await anyio.to_thread.run_sync(
            action, dependances.guichet, visite.assure, transaction, dependances.horloge()
        )
    except MessageInconnu as inconnu:
        menu = cadre(visite.moyens, visite.session, visite.passage)
        raise AccesRefuse(page_d_une_phrase("Message introuvable", inconnu.phrase, 404, menu)) from None
