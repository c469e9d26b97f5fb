"""« Payer » : de l'étape 2 au kiosque, en une fois si le partage a été lu, sinon en le faisant relire."""

import re
from functools import partial
from typing import Final

import anyio.to_thread
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.assure.etape_montant import (
    page_de_verification,
    page_du_montant,
    retenue_par_une_verification,
    tout_cocher,
)
from api.assure.etape_reference import page_d_une_creance_annulee, page_de_la_reference
from api.assure.lecture import Consultation, CreanceAnnulee, consulter, selon_la_reprise
from api.assure.saisie import Saisie, adresse_de_la_saisie, demande_de, lire_montant, lire_saisie, lire_selection
from api.assure.visite import visite_d_un_envoi
from api.socle.corps import lire_formulaire
from api.socle.enveloppe import correlation
from api.socle.formulaire import FormulairePerime, JetonPerime
from api.socle.problemes import statut_de
from api.socle.visite import Visite, champs_de
from domain.avis import Canal
from domain.refus import PaiementClos, ReferenceNonOuverte, Refus, SelectionInvalide
from guichet.ouvrir_paiement import PartageChange, ouvrir_paiement
from guichet.prevoir_paiement import PartPrevue, prevoir_paiement

MONTANT_PROPOSE: Final = re.compile(r"montant:([0-9]{1,7})([0-9]{2})")
"""Le bouton d'un montant proposé : ses centimes."""

PAGE_DEMANDEE: Final = re.compile(r"page:([1-9][0-9]{0,3})")
"""Le bouton d'une autre page du tableau."""

CONFIRME: Final = "confirmer"
"""Le bouton de la page de vérification."""

routes = APIRouter(include_in_schema=False)


@routes.post("/payer")
async def payer(requete: Request) -> Response:
    """Ouvre le paiement et mène au kiosque ; un refus remontre l'étape, avec sa phrase et la saisie.

    Les boutons du formulaire : `payer`, `confirmer` (le partage relu), `partage` (montrer le partage), `modifier`
    (revenir de la vérification), `montant:centimes` (un montant proposé, écrit dans le champ), `ensemble` (cocher
    aussi les autres) et `page:numéro` (une autre page du tableau).
    """
    visite = await visite_d_un_envoi(requete, lambda champs: adresse_de_la_saisie(lire_saisie(champs)))
    try:
        saisie = lire_saisie(await champs_de(requete, visite))
    except JetonPerime as perime:
        return await _remontrer(visite, lire_saisie(await lire_formulaire(requete)), perime)
    try:
        consultation = await consulter(visite.moyens, visite.assure, saisie.cherchee)
    except ReferenceNonOuverte as refus:
        return await _non_ouverte(visite, saisie, refus)
    if propose := MONTANT_PROPOSE.fullmatch(saisie.action):
        saisie = saisie._replace(montant=f"{int(propose[1])},{propose[2]}", action="partage")
    if saisie.action == "ensemble":
        saisie = tout_cocher(visite, consultation, saisie)
    if tournee := PAGE_DEMANDEE.fullmatch(saisie.action):
        return _tourner(visite, consultation, saisie._replace(page=int(tournee[1])))
    match saisie.action:
        case "modifier":
            return page_du_montant(visite, consultation, saisie=saisie)
        case "partage":
            return await _montrer_partage(visite, consultation, saisie)
        case _:
            return await _payer(visite, consultation, saisie)


async def _non_ouverte(visite: Visite, saisie: Saisie, refus: ReferenceNonOuverte) -> Response:
    if isinstance(refus, CreanceAnnulee):
        return await page_d_une_creance_annulee(visite, refus)
    return page_de_la_reference(visite, saisie.cherchee, refus, statut=404)


async def _remontrer(visite: Visite, saisie: Saisie, perime: JetonPerime) -> Response:
    """L'étape 2 d'une page ouverte avant une reconnexion : rien n'en est ouvert, rien n'en est perdu.

    Pas à la borne, ni d'une créance qui n'est pas de cette personne : une autre l'avait peut-être tapée.
    """
    if visite.canal is Canal.BMS:
        raise perime
    try:
        consultation = await consulter(visite.moyens, visite.assure, saisie.cherchee)
    except ReferenceNonOuverte:
        raise perime from None
    refus = [FormulairePerime()]
    return page_du_montant(visite, consultation, saisie=saisie, refus=refus, statut=perime.statut)


def _tourner(visite: Visite, consultation: Consultation, saisie: Saisie) -> Response:
    """Une autre page du tableau, ce qui est coché et saisi gardé ; pas avec plus de lignes qu'un paiement en règle."""
    if len(saisie.cochees) <= visite.moyens.dependances.guichet.politique.references_max:
        return page_du_montant(visite, consultation, saisie=saisie)
    return page_du_montant(visite, consultation, saisie=saisie, refus=[SelectionInvalide()], statut=422)


async def _payer(visite: Visite, consultation: Consultation, saisie: Saisie) -> Response:
    dependances = visite.moyens.dependances
    if fautes := _fautes_de_saisie(saisie):
        return page_du_montant(visite, consultation, saisie=saisie, refus=fautes, statut=422)
    try:
        # Là où un paiement est en vérification, payer encore se relit toujours : c'est un choix, jamais un élan.
        retenue = saisie.action != CONFIRME and retenue_par_une_verification(consultation, saisie.cochees)
        if retenue or not saisie.partage:
            return page_de_verification(visite, consultation, saisie, await _prevoir(visite, saisie))
        demande = demande_de(saisie, visite.assure, visite.canal)._replace(correlation=correlation())
        ouvert = await anyio.to_thread.run_sync(
            partial(ouvrir_paiement, dependances.guichet, demande, dependances.horloge())
        )
    except PaiementClos as clos:  # Le même formulaire, envoyé de nouveau après la fin : voici ce qui est arrivé.
        return visite.mener(f"/paiements/{clos.transaction}/kiosque")
    except PartageChange as refus:
        return await _faire_relire(visite, consultation, saisie, refus)
    except Refus as refus:
        return await _refuser(visite, consultation, saisie, refus)
    return visite.mener(f"/paiements/{ouvert.transaction}/kiosque")


async def _montrer_partage(visite: Visite, consultation: Consultation, saisie: Saisie) -> Response:
    """L'étape 2 remontrée, les totaux à jour, et le partage si la saisie le permet."""
    fautes = _fautes_de_saisie(saisie)
    if fautes and not saisie.montant.strip():  # Seuls les totaux sont demandés.
        return page_du_montant(visite, consultation, saisie=saisie)
    if fautes:
        return page_du_montant(visite, consultation, saisie=saisie, refus=fautes, statut=422)
    try:
        prevision = await _prevoir(visite, saisie)
    except Refus as refus:
        return await _refuser(visite, consultation, saisie, refus)
    return page_du_montant(visite, consultation, saisie=saisie, prevision=prevision)


async def _faire_relire(visite: Visite, consultation: Consultation, saisie: Saisie, refus: PartageChange) -> Response:
    try:
        prevision = await _prevoir(visite, saisie)
    except Refus as autre:
        return await _refuser(visite, consultation, saisie, autre)
    return page_de_verification(visite, consultation, saisie, prevision, refus=refus)


async def _prevoir(visite: Visite, saisie: Saisie) -> tuple[PartPrevue, ...]:
    guichet = visite.moyens.dependances.guichet
    references, montant = lire_selection(saisie), lire_montant(saisie.montant)
    return await anyio.to_thread.run_sync(
        partial(prevoir_paiement, guichet, visite.assure, references, montant, exclusif=True)
    )


async def _refuser(visite: Visite, consultation: Consultation, saisie: Saisie, refus: Refus) -> Response:
    dit = await selon_la_reprise(visite.moyens, refus)
    return page_du_montant(visite, consultation, saisie=saisie, refus=[dit], statut=statut_de(type(dit)))


def _fautes_de_saisie(saisie: Saisie) -> list[Refus]:
    """Tout ce que la saisie a de fautif, d'un coup : la personne corrige en une fois."""
    fautes: list[Refus] = []
    for lire in (lambda: lire_selection(saisie), lambda: lire_montant(saisie.montant)):
        try:
            lire()
        except Refus as refus:
            fautes.append(refus)
    return fautes
