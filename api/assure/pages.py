"""Les pages de l'assuré, de l'accueil au reçu : un module par étape."""

from fastapi import APIRouter

from api.assure import (
    accueil,
    autres_moyens,
    borne,
    comprendre,
    envoi,
    etape_kiosque,
    etape_paiement,
    etape_reference,
    mes_creances,
    recus,
)
from api.socle import connexion_demo

routes = APIRouter(include_in_schema=False)
for etape in (
    accueil,
    autres_moyens,
    etape_reference,
    etape_paiement,
    recus,
    envoi,
    etape_kiosque,
    comprendre,
    mes_creances,
    borne,
    connexion_demo,
):
    routes.routes.extend(etape.routes.routes)  # À plat : un routeur dans un autre se cherche deux fois à chaque appel.
