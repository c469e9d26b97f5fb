"""La situation d'un assuré : ses créances et ses paiements sans fin, lus ensemble.

Une seule instruction : les deux vues sont vues au même instant, et la base n'est interrogée qu'une fois par lecture.
"""

from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import AsyncConnection

from projections.restant_du import COLONNES, LigneCréance

PAIEMENTS_LUS: Final = 20
"""Paiements sans fin d'un assuré que l'on regarde, les plus récents."""

# Ses créances, la plus ancienne d'abord ; chacune porte les mêmes paiements, en tableaux (nuls s'il n'y en a aucun).
_LIRE: Final = f"""
WITH sans_fin AS (
    SELECT array_agg(transaction) AS transactions, array_agg(caisse) AS caisses, array_agg(montant) AS montants,
           array_agg(expire_le) AS fins
    FROM (SELECT transaction, caisse, montant, expire_le FROM vues.paiements
          WHERE assure = %s AND statut = 'en_cours' ORDER BY ouvert_le DESC, transaction DESC LIMIT %s) AS p
)
SELECT {COLONNES}, transactions, caisses, montants, fins
FROM vues.restant_du CROSS JOIN sans_fin WHERE assure = %s ORDER BY date_emission, reference
"""  # noqa: S608 (constantes)


class PaiementSansFin(NamedTuple):
    """Un paiement encore en cours, et la fin de la remise de son formulaire ; le montant est en centimes."""

    transaction: str
    caisse: str
    montant: int
    expire_le: datetime


class Situation(NamedTuple):
    """Ce qu'un assuré doit, et ce qu'il est en train de payer."""

    créances: list[LigneCréance]
    """La plus ancienne d'abord."""
    sans_fin: list[PaiementSansFin]
    """Le plus récent d'abord."""


async def situation_de(conn: AsyncConnection[Any], assuré: str) -> Situation:
    """La situation d'un assuré ; vide s'il n'a aucune créance."""
    curseur = await conn.execute(_LIRE, (assuré, PAIEMENTS_LUS, assuré), prepare=True)
    lignes = await curseur.fetchall()
    sans_fin = lignes[0][-4:] if lignes and lignes[0][-1] else ((), (), (), ())
    return Situation(
        [LigneCréance(*ligne[:-4]) for ligne in lignes],
        [PaiementSansFin(*paiement) for paiement in zip(*sans_fin, strict=True)],
    )
