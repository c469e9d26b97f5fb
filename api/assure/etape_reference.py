"""Étape 1 sur 3 : la référence de l'avis. L'adresse mène aussi à l'étape 2, une fois la référence trouvée."""

from functools import partial

import anyio.to_thread
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.assure.etape_montant import page_du_montant
from api.assure.lecture import (
    ANNULEE,
    REGLEES,
    TROP_PERCU,
    Attentes,
    Consultation,
    CreanceAnnulee,
    Raisons,
    attentes,
    consultation_de,
    consulter,
    fermes_parmi,
)
from api.assure.mes_creances import raconter
from api.assure.saisie import ReferenceAbsente, ReferenceMalTapee, saisie_de_l_adresse
from api.assure.visite import AssureEtCompte, visite_d_un_envoi
from api.socle.corps import lire_formulaire
from api.socle.problemes import Probleme
from api.socle.route_directe import RouteDirecte
from api.socle.visite import Visite
from domain.references import ReferenceIllisible, lire_reference_tapee
from domain.refus import ReferenceNonOuverte, Refus
from projections.lectures.compte import Compte
from projections.vues.restant_du import LigneCreance

routes = APIRouter(include_in_schema=False, route_class=RouteDirecte)


@routes.get("/payer")
async def chercher(requete: Request, avec_compte: AssureEtCompte) -> Response:
    """Sans référence, la recherche ; avec une référence de l'assuré, la créance et le montant.

    De l'adresse : `reference`, puis `cochees` et `montant`, ce qui était coché et saisi quand la session a fini.
    """
    visite, lu = avec_compte
    adresse = requete.query_params
    if (reference := adresse.get("reference")) is None:
        return page_de_la_reference(visite)
    return await _trouver(visite, lu, reference, adresse.get("cochees"), adresse.get("montant", ""))


@routes.get("/payer/recherche")
async def recommencer() -> Response:
    """Où l'on se retrouve en relisant ou en quittant une recherche qui n'a pas abouti."""
    return Response(status_code=303, headers={"Location": "/payer"})


@routes.post("/payer/recherche")
async def rechercher(requete: Request) -> Response:
    """La recherche tapée ou collée : l'adresse ne porte ensuite qu'une référence, jamais le texte d'un courrier.

    Elle ne change rien : aucun jeton n'est demandé, et aucune page laissée ouverte n'y est un mur.
    """
    visite = await visite_d_un_envoi(requete, lambda champs: _adresse(dict(champs).get("reference", "")))
    try:
        tapee = dict(await lire_formulaire(requete)).get("reference", "")
    except ValueError:
        raise Probleme(400, "formulaire_illisible", "Le formulaire est mal encodé.") from None
    lue = lire_reference_tapee(tapee)
    if isinstance(lue, ReferenceIllisible):
        return page_de_la_reference(visite, tapee, _illisible(tapee, lue), statut=422)
    try:
        await consulter(visite.moyens, visite.assure, lue)
    except CreanceAnnulee:
        return visite.mener(f"/payer?reference={lue}")
    except ReferenceNonOuverte as refus:
        return page_de_la_reference(visite, tapee, refus, statut=404)
    return visite.mener(f"/payer?reference={lue}")


def _adresse(tapee: str) -> str:
    lue = lire_reference_tapee(tapee)
    return "/payer" if isinstance(lue, ReferenceIllisible) else f"/payer?reference={lue}"


async def _trouver(
    visite: Visite, lu: Compte, reference: str, cochees: str | None = None, montant: str = ""
) -> Response:
    lue = lire_reference_tapee(reference)
    if isinstance(lue, ReferenceIllisible):
        return page_de_la_reference(visite, reference, _illisible(reference, lue), statut=422)
    try:
        consultation = await consultation_de(visite.moyens, lu, lue)
    except CreanceAnnulee as annulee:
        return await page_d_une_creance_annulee(visite, annulee)
    except ReferenceNonOuverte as refus:
        return page_de_la_reference(visite, reference, refus, statut=404)
    if consultation.cherchee.statut in REGLEES:
        return await _page_d_une_creance_reglee(visite, consultation)
    saisie = saisie_de_l_adresse(lue, cochees, montant) if cochees is not None else None
    return page_du_montant(visite, consultation, saisie=saisie)


def _illisible(tapee: str, lue: ReferenceIllisible) -> Refus:
    return ReferenceMalTapee(lue) if tapee.strip() else ReferenceAbsente()


async def _page_d_une_creance_reglee(visite: Visite, consultation: Consultation) -> Response:
    creance, politique = consultation.cherchee, visite.moyens.dependances.guichet.politique
    maintenant = visite.moyens.dependances.horloge()
    raisons = Raisons(consultation.autres, politique, consultation.sans_fin, maintenant=maintenant, exclusif=True)
    payables = (ligne for ligne in consultation.autres if raisons.invite(ligne))
    attendus = attentes(consultation.sans_fin, consultation.fermes, visite.retours)
    return await _page_sans_rien_a_payer(visite, creance, REGLEES[creance.statut], attendus, next(payables, None))


async def page_d_une_creance_annulee(visite: Visite, annulee: CreanceAnnulee) -> Response:
    """Ce que la personne lit de son avis annulé, et de ce qu'elle en avait payé."""
    phrase = f"{ANNULEE} {TROP_PERCU}" if annulee.ligne.trop_percu else ANNULEE
    attendus = attentes(annulee.sans_fin, await fermes_parmi(visite.moyens, annulee.sans_fin), visite.retours)
    return await _page_sans_rien_a_payer(visite, annulee.ligne, phrase, attendus)


async def _page_sans_rien_a_payer(
    visite: Visite,
    creance: LigneCreance,
    phrase: str,
    attendus: Attentes,
    suivante: LigneCreance | None = None,
) -> Response:
    guichet = visite.moyens.dependances.guichet
    histoires = await anyio.to_thread.run_sync(partial(raconter, guichet, [creance.reference]))
    valeurs = {
        "creance": creance,
        "attentes": attendus,
        "phrase": phrase,
        "histoire": histoires[creance.reference],
        "suivante": suivante,
    }
    return visite.rendre("soldee.html", valeurs)


def page_de_la_reference(
    visite: Visite, cherchee: str = "", refus: Refus | None = None, *, statut: int = 200
) -> Response:
    """La recherche ; `refus` s'affiche au champ et en tête, la saisie est gardée."""
    return visite.rendre("reference.html", {"cherchee": cherchee, "refus": refus}, statut=statut)
