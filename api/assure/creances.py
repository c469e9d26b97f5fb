"""`GET /api/v1/creances/{reference}` : la créance cherchée, et les autres de l'assuré."""

from typing import Any

from fastapi import APIRouter

from api.assure.lecture import Raisons, consulter, repris_possible
from api.assure.modeles import CreanceLue, LigneDeCreance, PaiementAReprendre, RaisonDeNePasPayer
from api.socle.acces import Assure
from api.socle.dependances import DeLApplication
from api.socle.problemes import probleme_de
from api.socle.route_directe import RouteDirecte
from api.socle.schema import problemes
from domain.caisses import nom_de_caisse
from domain.refus import ReferenceNonOuverte
from projections.vues.restant_du import LigneCreance

routes = APIRouter(prefix="/api/v1/creances", tags=["Assuré"], route_class=RouteDirecte)


@routes.get("/{reference}", summary="Chercher une créance", responses=problemes(401, 403, 404))
async def chercher(reference: str, assure: Assure, moyens: DeLApplication) -> CreanceLue:
    """La créance, si elle peut être payée et sinon pourquoi, et les autres créances de l'assuré qui restent dues.

    Une référence inconnue, exclue du service ou d'une autre personne a une seule et même réponse.
    """
    try:
        consultation = await consulter(moyens, assure, reference)
    except ReferenceNonOuverte as refus:
        raise probleme_de(refus, statut=404) from None
    politique = moyens.dependances.guichet.politique
    ouverts = consultation.sans_fin
    maintenant = moyens.dependances.horloge()
    raisons = Raisons(
        [consultation.cherchee, *consultation.autres],
        politique,
        ouverts,
        maintenant=maintenant,
        fermes=consultation.fermes,
    )
    return CreanceLue(
        **_champs(consultation.cherchee, raisons),
        minimum_par_paiement_centimes=politique.minimum_par_paiement,
        maximum_par_paiement_centimes=politique.maximum_par_paiement,
        autres=[LigneDeCreance(**_champs(ligne, raisons)) for ligne in consultation.autres],
        paiements_en_cours=[
            PaiementAReprendre(
                transaction=paiement.transaction, montant_centimes=paiement.montant, expire_le=paiement.expire_le
            )
            for paiement in ouverts
            if repris_possible(paiement, consultation.fermes)
        ],
    )


def _champs(ligne: LigneCreance, raisons: Raisons) -> dict[str, Any]:
    raison = raisons.de(ligne)
    return {
        "reference": ligne.reference,
        "caisse": ligne.caisse,
        "nom_caisse": nom_de_caisse(ligne.caisse),
        "nature": ligne.nature,
        "date_emission": ligne.date_emission,
        "montant_initial_centimes": ligne.montant_initial,
        "restant_du_centimes": ligne.restant_du,
        "en_cours_centimes": ligne.en_cours,
        "disponible_centimes": ligne.disponible,
        "trop_percu_centimes": ligne.trop_percu,
        "statut": ligne.statut,
        "payable": raison is None,
        "refus": raison and RaisonDeNePasPayer(code=raison.code, detail=raison.phrase, jusqu_a=raison.jusqu_a),
    }
