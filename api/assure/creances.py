"""`GET /api/v1/creances/{reference}` : la créance cherchée, et les autres de l'assuré."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.acces import Assuré
from api.assure.lecture import consulter, raison_de_ne_pas_cocher, repris_possible
from api.assure.modeles import CréanceLue, LigneDeCréance, PaiementÀReprendre, RaisonDeNePasPayer
from api.dependances import moyens
from api.problemes import problème_de
from api.schema import problèmes
from domain.caisses import nom_de_caisse
from domain.politique import Politique
from domain.refus import RéférenceNonOuverte
from projections.paiements import LignePaiement
from projections.restant_du import LigneCréance

routes = APIRouter(prefix="/api/v1/creances", tags=["Assuré"])


@routes.get(
    "/{reference}", summary="Chercher une créance", response_model=CréanceLue, responses=problèmes(401, 403, 404)
)
async def chercher(reference: str, assuré: Assuré, requête: Request) -> Response:
    """La créance, si elle peut être payée et sinon pourquoi, et les autres créances de l'assuré qui restent dues.

    Une référence inconnue, exclue du service ou d'une autre personne a une seule et même réponse.
    """
    # Demandés ici : une dépendance de plus se résout à chaque appel, et celui-ci est le plus fréquent.
    les_moyens = await moyens(requête)
    try:
        consultation = await consulter(les_moyens, assuré, reference)
    except RéférenceNonOuverte as refus:
        raise problème_de(refus, statut=404) from None
    politique = les_moyens.dépendances.guichet.politique
    ouverts = consultation.sans_fin
    maintenant = les_moyens.dépendances.horloge()
    lue = CréanceLue(
        **_champs(consultation.cherchée, politique, ouverts),
        minimum_par_paiement_centimes=politique.minimum_par_paiement,
        maximum_par_paiement_centimes=politique.maximum_par_paiement,
        autres=[LigneDeCréance(**_champs(ligne, politique, ouverts)) for ligne in consultation.autres],
        paiements_en_cours=[
            PaiementÀReprendre(
                transaction=paiement.transaction, montant_centimes=paiement.montant, expire_le=paiement.expire_le
            )
            for paiement in ouverts
            if repris_possible(paiement, maintenant)
        ],
    )
    # Écrite ici : rendue telle quelle, FastAPI la validerait une seconde fois à chaque lecture.
    return Response(lue.model_dump_json(), media_type="application/json")


def _champs(ligne: LigneCréance, politique: Politique, ouverts: list[LignePaiement]) -> dict[str, Any]:
    raison = raison_de_ne_pas_cocher(ligne, politique, ouverts)
    return {
        "reference": ligne.référence,
        "caisse": ligne.caisse,
        "nom_caisse": nom_de_caisse(ligne.caisse),
        "nature": ligne.nature,
        "date_emission": ligne.date_émission,
        "montant_initial_centimes": ligne.montant_initial,
        "restant_du_centimes": ligne.restant_dû,
        "en_cours_centimes": ligne.en_cours,
        "disponible_centimes": ligne.disponible,
        "trop_percu_centimes": ligne.trop_perçu,
        "statut": ligne.statut,
        "payable": raison is None,
        "refus": raison and RaisonDeNePasPayer(code=raison.code, detail=raison.phrase, jusqu_a=raison.jusqu_à),
    }
