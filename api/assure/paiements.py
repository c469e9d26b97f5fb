"""`/api/v1/paiements` : ouvrir un paiement, le reprendre, savoir où il en est."""

import re
from functools import partial
from typing import Annotated, Final

import anyio.to_thread
from fastapi import APIRouter, Depends, Header
from starlette.requests import Request

from api.assure.cle_gardee import cle_gardee
from api.assure.lecture import etat_du_paiement, selon_la_reprise
from api.assure.modeles import DemandePaiement, EtatPaiement, PaiementOuvert
from api.socle.acces import Assure
from api.socle.corps import lire_json
from api.socle.dependances import DeLApplication
from api.socle.enveloppe import correlation
from api.socle.problemes import Probleme
from api.socle.route_directe import RouteDirecte
from api.socle.schema import problemes, schema_de
from domain.references import TRANSACTION, ReferenceCreance, ReferenceTransaction
from domain.refus import PaiementEnCours, PaiementInconnu
from guichet.ouvrir_paiement import Demande, ouvrir_paiement
from guichet.reprendre_paiement import reprendre_paiement

CLE_CARACTERES_MAX: Final = 128
_CLE: Final = re.compile(rf"[\x21-\x7e]{{1,{CLE_CARACTERES_MAX}}}")

routes = APIRouter(prefix="/api/v1/paiements", tags=["Assuré"], route_class=RouteDirecte)


async def _cle(
    idempotency_key: Annotated[
        str | None, Header(description=f"Propre à la demande, {CLE_CARACTERES_MAX} signes au plus. Obligatoire.")
    ] = None,
) -> str:
    if not idempotency_key:
        raise Probleme(400, "cle_idempotence_manquante", "L'en-tête Idempotency-Key est obligatoire.")
    if not _CLE.fullmatch(idempotency_key):
        detail = f"L'en-tête Idempotency-Key compte 1 à {CLE_CARACTERES_MAX} signes ASCII visibles."
        raise Probleme(400, "cle_idempotence_invalide", detail)
    return idempotency_key


@routes.post(
    "",
    status_code=201,
    summary="Ouvrir un paiement",
    responses=problemes(400, 401, 403, 409, 413, 415, 422),
    openapi_extra=schema_de(DemandePaiement),
)
async def ouvrir(
    requete: Request, assure: Assure, cle: Annotated[str, Depends(_cle)], moyens: DeLApplication
) -> PaiementOuvert:
    """Réserve le montant sur les créances cochées et rend le formulaire scellé à poster au kiosque bancaire.

    La même clé et la même demande rendent la même réponse ; une autre demande sous cette clé est refusée (422).
    """
    guichet, maintenant = moyens.dependances.guichet, moyens.dependances.horloge()
    corps = await lire_json(requete, DemandePaiement, {"references_max": guichet.politique.references_max})
    gardee = cle_gardee(cle, moyens.dependances)
    demande = Demande(
        assure,
        tuple(map(ReferenceCreance, corps.references)),
        corps.montant_centimes,
        corps.canal,
        gardee.cle,
        corps.empreinte,
        correlation=correlation(),
        cles_d_avant=gardee.d_avant,
    )
    try:
        ouvert = await anyio.to_thread.run_sync(partial(ouvrir_paiement, guichet, demande, maintenant))
    except PaiementEnCours as refus:
        raise await selon_la_reprise(moyens, refus) from None
    return PaiementOuvert.de(ouvert)


@routes.post("/{transaction}/reprise", summary="Reprendre un paiement ouvert", responses=problemes(401, 403, 404, 409))
async def reprendre(transaction: str, assure: Assure, moyens: DeLApplication) -> PaiementOuvert:
    """Rend de nouveau le même formulaire scellé, tant que le paiement est ouvert."""
    if not TRANSACTION.fullmatch(transaction):
        raise PaiementInconnu
    guichet, maintenant = moyens.dependances.guichet, moyens.dependances.horloge()
    repris = await anyio.to_thread.run_sync(
        partial(reprendre_paiement, guichet, assure, ReferenceTransaction(transaction), maintenant)
    )
    return PaiementOuvert.de(repris)


@routes.get("/{transaction}", summary="Suivre un paiement", responses=problemes(401, 403, 404))
async def suivre(transaction: str, assure: Assure, moyens: DeLApplication) -> EtatPaiement:
    """Où en est le paiement, et quand il a été affiché sur le compte."""
    ligne = await etat_du_paiement(moyens, assure, transaction)
    return EtatPaiement.model_validate(
        {
            "transaction": ligne.transaction,
            "montant_centimes": ligne.montant,
            "statut": ligne.statut,
            "cause": ligne.cause,
            "ouvert_le": ligne.ouvert_le,
            "expire_le": ligne.expire_le,
            "conclu_le": ligne.conclu_le,
            "affiche_le": ligne.affiche_le,
        }
    )
