"""Étape 1 sur 3 : la référence de l'avis. L'adresse mène aussi à l'étape 2, une fois la référence trouvée."""

from fastapi import APIRouter
from starlette.responses import Response

from api.assure.etape_montant import page_du_montant
from api.assure.lecture import consulter
from api.assure.saisie import ReferenceAbsente, ReferenceMalTapee
from api.assure.visite import AssureConnecte
from api.socle.visite import Visite
from domain.references import ReferenceIllisible, lire_reference_tapee
from domain.refus import ReferenceNonOuverte, Refus

routes = APIRouter(include_in_schema=False)


@routes.get("/payer")
async def chercher(visite: AssureConnecte, reference: str | None = None) -> Response:
    """Sans référence, la recherche ; avec une référence de l'assuré, la créance et le montant."""
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
    return page_du_montant(visite, consultation)


def page_de_la_reference(
    visite: Visite, cherchee: str = "", refus: Refus | None = None, *, statut: int = 200
) -> Response:
    """La recherche ; `refus` s'affiche au champ et en tête, la saisie est gardée."""
    return visite.rendre("reference.html", {"cherchee": cherchee, "refus": refus}, statut=statut)
