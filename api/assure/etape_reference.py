"""Étape 1 sur 3 : la référence de l'avis. L'adresse mène aussi à l'étape 2, une fois la référence trouvée."""

from functools import partial

import anyio.to_thread
from fastapi import APIRouter
from starlette.responses import Response

from api.assure.etape_montant import page_du_montant
from api.assure.lecture import REGLEES, Consultation, consulter, raison_de_ne_pas_cocher
from api.assure.mes_creances import raconter
from api.assure.saisie import ReferenceAbsente, ReferenceMalTapee, saisie_de_l_adresse
from api.assure.visite import AssureConnecte
from api.socle.visite import Visite
from domain.references import ReferenceIllisible, lire_reference_tapee
from domain.refus import ReferenceNonOuverte, Refus

routes = APIRouter(include_in_schema=False)


@routes.get("/payer")
async def chercher(
    visite: AssureConnecte, reference: str | None = None, cochees: str | None = None, montant: str = ""
) -> Response:
    """Sans référence, la recherche ; avec une référence de l'assuré, la créance et le montant.

    `cochees` et `montant` : ce qui était coché et saisi quand la session a fini.
    """
    if reference is None:
        return page_de_la_reference(visite)
    if not reference.strip():
        return page_de_la_reference(visite, reference, ReferenceAbsente(), statut=422)
    lue = lire_reference_tapee(reference)
    if isinstance(lue, ReferenceIllisible):
        return page_de_la_reference(visite, reference, ReferenceMalTapee(lue), statut=422)
    try:
        consultation = await consulter(visite.moyens, visite.assure, lue)
    except ReferenceNonOuverte as refus:
        return page_de_la_reference(visite, reference, refus, statut=404)
    if consultation.cherchee.statut in REGLEES:
        return await _page_d_une_creance_reglee(visite, consultation)
    saisie = saisie_de_l_adresse(lue, cochees, montant) if cochees is not None else None
    return page_du_montant(visite, consultation, saisie=saisie)


async def _page_d_une_creance_reglee(visite: Visite, consultation: Consultation) -> Response:
    creance, guichet = consultation.cherchee, visite.moyens.dependances.guichet
    histoires = await anyio.to_thread.run_sync(partial(raconter, guichet, [creance.reference]))
    payables = (
        ligne
        for ligne in consultation.autres
        if raison_de_ne_pas_cocher(ligne, consultation.autres, guichet.politique, consultation.sans_fin, exclusif=True)
        is None
    )
    valeurs = {
        "creance": creance,
        "phrase": REGLEES[creance.statut],
        "histoire": histoires[creance.reference],
        "suivante": next(payables, None),
    }
    return visite.rendre("soldee.html", valeurs)


def page_de_la_reference(
    visite: Visite, cherchee: str = "", refus: Refus | None = None, *, statut: int = 200
) -> Response:
    """La recherche ; `refus` s'affiche au champ et en tête, la saisie est gardée."""
    return visite.rendre("reference.html", {"cherchee": cherchee, "refus": refus}, statut=statut)
