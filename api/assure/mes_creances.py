"""Toutes les créances de l'assuré, et l'histoire des paiements de chacune."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import anyio.to_thread
from fastapi import APIRouter
from starlette.responses import Response

from api.assure.lecture import (
    ANNULEE,
    TROP_PERCU,
    Raison,
    Raisons,
    a_suivre,
    attentes,
    est_consultable,
    fermes_parmi,
    lire_compte,
    payables_en_ligne,
)
from api.assure.visite import AssureConnecte
from api.socle.route_directe import RouteDirecte
from api.socle.visite import Visite
from domain.monnaie import euros
from domain.references import ReferenceCreance
from guichet.guichet import Guichet
from projections.lectures.mouvements import Mouvement, mouvements
from projections.vues.restant_du import LigneCreance

routes = APIRouter(prefix="/creances", include_in_schema=False, route_class=RouteDirecte)


@routes.get("")
async def toutes(visite: AssureConnecte) -> Response:
    """Toutes : à payer, soldées, annulées, et celles qui ne se paient pas en ligne."""
    return visite.rendre("creances.html", await _valeurs(visite))


@routes.get("/suivi")
async def suivre(visite: AssureConnecte) -> Response:
    """La liste, relue par le script."""
    return visite.rendre_fragment("_creances.html", await _valeurs(visite))


async def _valeurs(visite: Visite) -> dict[str, Any]:
    creances, ouverts, paiements = await lire_compte(visite.moyens, visite.assure)
    guichet = visite.moyens.dependances.guichet
    dues = [ligne for ligne in creances if ligne.restant_du and not ligne.annulee]
    en_ligne = payables_en_ligne(dues, creances, guichet.politique)
    maintenant = visite.moyens.dependances.horloge()
    fermes = await fermes_parmi(visite.moyens, ouverts)
    raisons = Raisons(
        creances,
        guichet.politique,
        ouverts,
        maintenant=maintenant,
        exclusif=True,
        retours=visite.retours,
        fermes=fermes,
    )
    exclues = [ligne.reference for ligne in creances if not ligne.payable_en_ligne and not ligne.annulee]
    exclusions = await anyio.to_thread.run_sync(partial(raconter_l_exclusion, guichet, exclues)) if exclues else {}
    histoires = await anyio.to_thread.run_sync(partial(raconter, guichet, [ligne.reference for ligne in creances]))
    return {
        "attentes": attentes(ouverts, fermes, visite.retours),
        "dits": {"annulee": ANNULEE, "trop_percu": TROP_PERCU},
        "exclusions": exclusions,
        "creances": [
            (
                ligne,
                _raison(ligne, raisons),
                est_consultable(ligne),
                histoires[ligne.reference],
                raisons.invite(ligne),
            )
            for ligne in sorted(creances, key=lambda ligne: (not ligne.restant_du, ligne.date_emission))
        ],
        "restant_total": sum(ligne.restant_du for ligne in dues),
        "dues": len(dues),
        "dues_en_ligne": len(en_ligne),
        "restant_en_ligne": sum(ligne.restant_du for ligne in en_ligne),
        "suivre": any(a_suivre(paiement) for paiement in paiements),
    }


def _raison(ligne: LigneCreance, raisons: Raisons) -> Raison | None:
    return raisons.de(ligne) if ligne.restant_du and est_consultable(ligne) else None


def raconter_l_exclusion(guichet: Guichet, references: Sequence[ReferenceCreance]) -> dict[str, str]:
    """Pourquoi ces créances ne se paient pas en ligne : le solde que leur avis portait à son émission."""
    politique = guichet.politique
    bornes = f"entre {euros(politique.solde_minimum)} et {euros(politique.solde_maximum)}"
    with guichet.base.transaction() as conn:
        creances = guichet.charger_creances(conn, references)
    return {
        reference: "Elle ne se paie pas en ligne : quand cet avis vous a été envoyé, vous deviez en tout"
        f" {euros(creance.avis.solde_pf_fr)} de participations forfaitaires et de franchises, et le paiement en ligne"
        f" est ouvert {bornes}."
        for reference, creance in creances.items()
    }


def raconter(guichet: Guichet, references: Sequence[str]) -> dict[str, list[Mouvement]]:
    """Les mouvements de chaque référence, lus au journal."""
    with guichet.base.transaction() as conn:
        return mouvements(conn, guichet.recorder, references)
