"""Payer autrement qu'en ligne, ou ne pas pouvoir payer : par qui, avec quelle référence, qui appeler."""

from collections.abc import Mapping
from itertools import groupby
from typing import Final, NamedTuple

from fastapi import APIRouter
from starlette.responses import Response

from api.assure.lecture import lire_compte
from api.assure.visite import AssureConnecte
from domain.references import CodeCaisse

routes = APIRouter(include_in_schema=False)


class Consignes(NamedTuple):
    """Comment une caisse reçoit un chèque ou un virement ; ce qu'elle n'a pas donné renvoie à elle."""

    cheque: str
    virement: str


PAR_DEFAUT: Final = Consignes(
    cheque="Demandez à votre caisse à quel ordre et à quelle adresse l'envoyer, et joignez la référence de l'avis.",
    virement="Demandez à votre caisse ses coordonnées bancaires, et donnez la référence de l'avis comme motif.",
)

PAR_CAISSE: Final[Mapping[CodeCaisse, Consignes]] = {}
"""Celles qu'une caisse a données ; les autres reçoivent PAR_DEFAUT."""


@routes.get("/autres-moyens")
async def autres_moyens(visite: AssureConnecte) -> Response:
    """Chaque créance due, par caisse, avec la référence à donner."""
    creances = (await lire_compte(visite.moyens, visite.assure)).creances
    dues = sorted(
        (ligne for ligne in creances if ligne.restant_du and not ligne.annulee),
        key=lambda ligne: (ligne.caisse, ligne.date_emission, ligne.reference),
    )
    caisses = [
        (caisse, PAR_CAISSE.get(caisse, PAR_DEFAUT), list(lignes))
        for caisse, lignes in groupby(dues, key=lambda ligne: ligne.caisse)
    ]
    return visite.rendre("autres-moyens.html", {"caisses": caisses})
