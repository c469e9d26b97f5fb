"""Tous les paiements de l'assuré, et le reçu de chacun : montant, parts, références, carte masquée, autorisation."""

import anyio.to_thread
from fastapi import APIRouter
from starlette.responses import Response

from api.assure.accuse_pdf import recu_en_pdf
from api.assure.justificatif import justificatif_de
from api.assure.lecture import etat_du_paiement
from api.assure.reprises import repris_de, reprises_de
from api.assure.visite import AssureConnecte
from api.socle.route_directe import RouteDirecte
from domain.refus import PaiementInconnu
from projections.lectures.compte import compte

MONTRES_MAX = 500
"""Paiements d'une page, le plus récent d'abord : bien plus qu'une personne n'en fait."""

routes = APIRouter(prefix="/paiements", include_in_schema=False, route_class=RouteDirecte)


@routes.get("")
async def tous(visite: AssureConnecte) -> Response:
    """Tous les paiements, le plus récent d'abord."""
    async with visite.moyens.pool.connection() as conn:
        lu = await compte(conn, visite.assure, MONTRES_MAX)
    repris = await reprises_de(visite.moyens, lu)
    return visite.rendre("paiements.html", {"paiements": lu.paiements, "repris": repris})


@routes.get("/{transaction}/recu.pdf")
async def en_pdf(transaction: str, visite: AssureConnecte) -> Response:
    """Le reçu d'un paiement accepté, en PDF accessible ; PaiementInconnu s'il n'est pas accepté."""
    paiement = await etat_du_paiement(visite.moyens, visite.assure, transaction)
    if paiement.accepte_le is None:
        raise PaiementInconnu
    guichet = visite.moyens.dependances.guichet
    justificatif = await anyio.to_thread.run_sync(justificatif_de, guichet, transaction)
    repris = await repris_de(visite.moyens, paiement)
    octets = await anyio.to_thread.run_sync(recu_en_pdf, paiement, paiement.accepte_le, justificatif, repris)
    en_tetes = {
        "Content-Disposition": f'inline; filename="recu-{transaction}.pdf"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return visite.prolonger(Response(octets, media_type="application/pdf", headers=en_tetes))
