"""`/kiosque` : la banque notifie de serveur à serveur, et le navigateur en revient.

Une notification est acceptée (200) une fois que Kafka l'a prise ; le reste se passe derrière Kafka. Celle dont le sceau
est faux est refusée, et gardée aux rebuts : une clé mal réglée ne perd ainsi aucune acceptation.
"""

import hashlib
import json
from datetime import UTC, datetime
from typing import Final, Literal, assert_never

import structlog
from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.relance_au_retour import relance_au_retour
from api.socle.debits import GenreDeDebit, adresse_de, vient_de
from api.socle.dependances import DeLApplication, Dependances, Moyens
from api.socle.enveloppe import correlation
from api.socle.kafka import EnTetes, KafkaIndisponible
from api.socle.problemes import Probleme
from api.socle.rebuts import COPIES_TRANSMISES, Depot, Provenance, empreinte
from api.socle.retours import retenir_retour
from api.socle.route_directe import RouteDirecte
from api.socle.schema import problemes
from domain.reponse import Issue
from engine.messages import CORRELATION, OCTETS_MAX
from kiosque.interface import (
    FormulaireIrrecevable,
    Indice,
    Recue,
    Rejetee,
    Requete,
    ValeurDuTopic,
    Verifiee,
)
from kiosque.notification import CORPS_DECRIT, est_plausible, sous_sceau

ORIGINE: Final = b"http:/kiosque/notification"

CODES_DE_REFUS: Final = tuple(sorted(classe.code for classe in FormulaireIrrecevable.__subclasses__()))
"""Pourquoi un formulaire de la banque est refusé."""

_CORPS: Final = {"requestBody": {"required": True, "content": CORPS_DECRIT}}


class PriseEnCharge(BaseModel):
    """Kafka a pris la notification."""

    statut: Literal["prise_en_charge"] = "prise_en_charge"


routes = APIRouter(prefix="/kiosque", tags=["Banque"], route_class=RouteDirecte)


@routes.post(
    "/notification",
    summary="Recevoir la réponse automatique de la banque",
    responses=problemes(400, 413),
    openapi_extra=_CORPS,
)
async def notifier(requete: Request, moyens: DeLApplication) -> PriseEnCharge:
    """200 une fois que Kafka a pris la notification ; 503 s'il ne le peut pas : la banque l'envoie de nouveau."""
    corps = await requete.body()
    if len(corps) > moyens.dependances.limites.notification_octets_max:
        raise Probleme(413, "corps_trop_grand", "La notification est trop grande.")
    recue = _lire(requete, moyens, corps)
    champs = recue.valeur or {}
    if isinstance(recue.lecture, Rejetee):
        gardee = moyens.dependances.guichet.kiosque.proteger(recue.valeur, corps)
    else:
        gardee = champs
    valeur = message(gardee, moyens.dependances.horloge()) if gardee else corps
    match recue.lecture:
        case Rejetee(refus=refus):
            await _mettre_aux_rebuts(requete, moyens, champs, valeur, refus)
            raise Probleme(400, refus.code, refus.phrase)
        case Verifiee(reponse=reponse):
            transaction: str = reponse.transaction
        case Indice(transaction=nommee):
            transaction = nommee
        case _:
            assert_never(recue.lecture)
    if len(valeur) > OCTETS_MAX:
        raise Probleme(413, "corps_trop_grand", f"La notification dépasse {OCTETS_MAX // 1024} Kio une fois lue.")
    vue = empreinte(sous_sceau(champs))
    if moyens.pris.fois(vue) >= COPIES_TRANSMISES:  # Une de plus ne serait qu'un doublon de plus à garder.
        requete.app.state.mesures.copies.inc()
        return PriseEnCharge()
    en_tetes = [(CORRELATION, (correlation() or "").encode())]
    await moyens.dependances.publier("notifications", transaction.encode(), valeur, en_tetes)
    moyens.pris.retenir(vue)
    return PriseEnCharge()


@routes.post(
    "/retour",
    status_code=303,
    summary="Revenir du kiosque",
    response_class=Response,
    responses={303: {"description": "Vers l'état du paiement"}},
    openapi_extra=_CORPS,
)
async def revenir(requete: Request, moyens: DeLApplication) -> Response:
    """Mène à l'état du paiement. Ce que le navigateur rapporte ne décide de rien : seule la banque le fait."""
    lecture = _lire(requete, moyens, await requete.body()).lecture
    match lecture:
        case Rejetee(refus=refus):
            if (fois := moyens.redites.fois(("retour_irrecevable", refus.code))) is not None:
                structlog.get_logger().info("retour_irrecevable", code=refus.code, fois=fois)
            await moyens.consigne.refuser(f"retour de la banque refusé : {refus.code}", requete=requete)
            moyens.debits.exiger(GenreDeDebit.REFUS, adresse_de(requete))
            return RedirectResponse("/", status_code=303)
        case Verifiee(reponse=lue):
            reponse = RedirectResponse(f"/paiements/{lue.transaction}", status_code=303)
            if lue.issue is Issue.ACCEPTEE:
                retenir_retour(reponse, lue.transaction, moyens.dependances)
                reponse.background = relance_au_retour(lue.transaction, moyens, message)
            return reponse
        case Indice(transaction=transaction):
            return RedirectResponse(f"/paiements/{transaction}", status_code=303)
        case _:
            assert_never(lecture)


def message(valeur: ValeurDuTopic, recue_le: datetime) -> bytes:
    """La valeur du contrat : ce qui est gardé de l'envoi de la banque, et l'heure de sa réception."""
    instant = recue_le.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return json.dumps({**valeur, "recue_le": instant}, ensure_ascii=False).encode()


def _lire(requete: Request, moyens: Moyens, corps: bytes) -> Recue:
    entetes = {nom.lower(): valeur for nom, valeur in requete.headers.items()}
    return moyens.dependances.guichet.kiosque.lire(Requete(corps, entetes))


async def _mettre_aux_rebuts(
    requete: Request, moyens: Moyens, champs: ValeurDuTopic, valeur: bytes, refus: FormulaireIrrecevable
) -> None:
    """Garde le message refusé s'il y a la place ; lève KafkaIndisponible (la banque recommence), ou Probleme 429."""
    dependances, adresse = moyens.dependances, adresse_de(requete)
    provenance = _provenance(requete, champs, dependances)
    vue = empreinte(champs) if champs else hashlib.sha256(valeur).digest()
    admis, sort = True, Depot.PLEIN
    if provenance is Provenance.PLAUSIBLE:
        admis = moyens.debits.admettre(GenreDeDebit.PLAUSIBLE, adresse)
    if vue in moyens.refuses:
        sort = Depot.COPIE
    elif admis and moyens.place.prendre(len(valeur), adresse, dependances.horloge(), provenance):
        sort = Depot.GARDE
        en_tetes: EnTetes = [
            ("cause", str(refus).encode()),
            ("origine", ORIGINE),
            ("sha256", hashlib.sha256(valeur).hexdigest().encode()),
        ]
        try:
            await dependances.publier("rebuts", None, valeur, en_tetes)
        except KafkaIndisponible:  # Rien d'autre : qui part avant la réponse ne se fait pas rendre ce qui est gardé.
            moyens.place.rendre(len(valeur), adresse, provenance)
            raise
        moyens.refuses.retenir(vue)
    requete.app.state.mesures.formulaires_refuses.labels(refus.code, sort).inc()
    if (fois := moyens.redites.fois(("notification_refusee", f"{refus.code} {sort} {provenance}"))) is not None:
        structlog.get_logger().warning(
            "notification_refusee", code=refus.code, detail=refus.detail, gardee=sort, provenance=provenance, fois=fois
        )
    await moyens.consigne.refuser(f"formulaire de la banque refusé : {refus.code}", requete=requete)
    match provenance:
        case Provenance.BANQUE:
            pass
        case Provenance.PLAUSIBLE if not admis:
            raise moyens.debits.trop(GenreDeDebit.PLAUSIBLE)
        case Provenance.PLAUSIBLE:
            pass
        case Provenance.AUTRE:
            moyens.debits.exiger(GenreDeDebit.REFUS, adresse)
        case _:
            assert_never(provenance)


def _provenance(requete: Request, champs: ValeurDuTopic, dependances: Dependances) -> Provenance:
    if vient_de(requete, dependances.reseaux_de_la_banque):
        return Provenance.BANQUE
    return Provenance.PLAUSIBLE if est_plausible(champs, dependances.commercants) else Provenance.AUTRE
