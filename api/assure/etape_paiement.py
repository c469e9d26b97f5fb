"""« Payer » : de l'étape 2 au kiosque, en une fois si le partage a été lu, sinon en le faisant relire."""

from functools import partial

import anyio.to_thread
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.assure.etape_montant import page_de_vérification, page_du_montant
from api.assure.etape_reference import page_de_la_référence
from api.assure.lecture import Consultation, consulter
from api.assure.saisie import Saisie, demande_de, lire_montant, lire_saisie, lire_sélection
from api.assure.visite import DUnAssuré, Visite, champs_de
from api.problemes import STATUTS_DES_REFUS
from domain.refus import Refus, RéférenceNonOuverte
from guichet.ouvrir_paiement import PartageChangé, ouvrir_paiement
from guichet.prevoir_paiement import PartPrévue, prévoir_paiement

routes = APIRouter(include_in_schema=False)


@routes.post("/payer")
async def payer(requête: Request, visite: DUnAssuré) -> Response:
    """Ouvre le paiement et mène au kiosque ; un refus remontre l'étape, avec sa phrase et la saisie.

    Les boutons du formulaire : `payer`, `partage` (montrer le partage), `modifier` (revenir de la vérification).
    """
    saisie = lire_saisie(await champs_de(requête, visite))
    try:
        consultation = await consulter(visite.moyens, visite.assuré, saisie.cherchée)
    except RéférenceNonOuverte as refus:
        return page_de_la_référence(visite, saisie.cherchée, refus, statut=404)
    match saisie.action:
        case "modifier":
            return page_du_montant(visite, consultation, saisie=saisie)
        case "partage":
            return await _montrer_partage(visite, consultation, saisie)
        case _:
            return await _payer(visite, consultation, saisie)


async def _payer(visite: Visite, consultation: Consultation, saisie: Saisie) -> Response:
    dépendances = visite.moyens.dépendances
    if fautes := _fautes_de_saisie(saisie):
        return page_du_montant(visite, consultation, saisie=saisie, refus=fautes, statut=422)
    try:
        if not saisie.partage:
            return page_de_vérification(visite, consultation, saisie, await _prévoir(visite, saisie))
        demande = demande_de(saisie, visite.assuré, visite.canal)
        ouvert = await anyio.to_thread.run_sync(
            partial(ouvrir_paiement, dépendances.guichet, demande, dépendances.horloge())
        )
    except PartageChangé as refus:
        return await _faire_relire(visite, consultation, saisie, refus)
    except Refus as refus:
        return _refuser(visite, consultation, saisie, refus)
    return visite.mener(f"/paiements/{ouvert['transaction']}/kiosque")


async def _montrer_partage(visite: Visite, consultation: Consultation, saisie: Saisie) -> Response:
    """L'étape 2 remontrée, les totaux à jour, et le partage si la saisie le permet."""
    fautes = _fautes_de_saisie(saisie)
    if fautes and not saisie.montant.strip():  # Seuls les totaux sont demandés.
        return page_du_montant(visite, consultation, saisie=saisie)
    if fautes:
        return page_du_montant(visite, consultation, saisie=saisie, refus=fautes, statut=422)
    try:
        prévision = await _prévoir(visite, saisie)
    except Refus as refus:
        return _refuser(visite, consultation, saisie, refus)
    return page_du_montant(visite, consultation, saisie=saisie, prévision=prévision)


async def _faire_relire(visite: Visite, consultation: Consultation, saisie: Saisie, refus: PartageChangé) -> Response:
    try:
        prévision = await _prévoir(visite, saisie)
    except Refus as autre:
        return _refuser(visite, consultation, saisie, autre)
    return page_de_vérification(visite, consultation, saisie, prévision, refus=refus)


async def _prévoir(visite: Visite, saisie: Saisie) -> tuple[PartPrévue, ...]:
    guichet = visite.moyens.dépendances.guichet
    références, montant = lire_sélection(saisie), lire_montant(saisie.montant)
    return await anyio.to_thread.run_sync(
        partial(prévoir_paiement, guichet, visite.assuré, références, montant, exclusif=True)
    )


def _refuser(visite: Visite, consultation: Consultation, saisie: Saisie, refus: Refus) -> Response:
    statut = STATUTS_DES_REFUS.get(type(refus), 422)
    return page_du_montant(visite, consultation, saisie=saisie, refus=[refus], statut=statut)


def _fautes_de_saisie(saisie: Saisie) -> list[Refus]:
    """Tout ce que la saisie a de fautif, d'un coup : la personne corrige en une fois."""
    fautes: list[Refus] = []
    for lire in (lambda: lire_sélection(saisie), lambda: lire_montant(saisie.montant)):
        try:
            lire()
        except Refus as refus:
            fautes.append(refus)
    return fautes
