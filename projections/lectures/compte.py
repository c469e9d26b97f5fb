"""Le compte d'un assuré : ses créances et ses derniers paiements, lus des vues en une seule requête."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from psycopg import AsyncConnection

from projections.vues.paiements import CEUX_DE_L_ASSURE, CEUX_SANS_FIN, LignePaiement, ligne_paiement
from projections.vues.restant_du import CELLES_DE_L_ASSURE, LigneCreance

# Les créances d'un assuré, ses derniers paiements, et ceux sans fin : un plus ancien que les derniers en est aussi.
_TOUS: Final = f"SELECT ({CELLES_DE_L_ASSURE}), ({CEUX_DE_L_ASSURE}), ({CEUX_SANS_FIN})"

SANS_FIN: Final = f"({CELLES_DE_L_ASSURE}), ({CEUX_SANS_FIN})"
"""Les mêmes créances, et les seuls paiements sans fin : deux colonnes, que `compte_de` lit.

Elles demandent les paramètres `assure` et `limite`.
"""


_EMISE_LE: Final = LigneCreance._fields.index("date_emission")


class Compte(NamedTuple):
    """Ce qu'un assuré doit, et ce qu'il a payé en ligne."""

    creances: list[LigneCreance]
    """La plus ancienne d'abord."""
    paiements: list[LignePaiement]
    """Les derniers, le plus récent d'abord, puis ceux, plus anciens, qui n'ont pas encore de fin."""


async def compte(conn: AsyncConnection[Any], assure: str, paiements_max: int, *, sans_fin: bool = False) -> Compte:
    """Le compte de cet assuré, en une requête ; vide s'il est inconnu. `sans_fin` : les seuls paiements en cours."""
    curseur = await conn.execute(
        f"SELECT {SANS_FIN}" if sans_fin else _TOUS, {"assure": assure, "limite": paiements_max}, prepare=True
    )
    creances, paiements, *plus_anciens = await curseur.fetchone() or ([], [])
    lu = compte_de(creances, paiements)
    deja = {paiement.transaction for paiement in lu.paiements}
    restes = [un for anciens in plus_anciens for un in compte_de([], anciens).paiements if un.transaction not in deja]
    return Compte(lu.creances, lu.paiements + restes)


def compte_de(creances: Sequence[Sequence[Any]], paiements: Sequence[Sequence[Any]]) -> Compte:
    """Le compte, des deux colonnes que ses requêtes rendent."""
    return Compte([_creance(*champs) for champs in creances], [_paiement(*champs) for champs in paiements])


def _creance(*champs: Any) -> LigneCreance:
    lus = list(champs)
    lus[_EMISE_LE] = date.fromisoformat(lus[_EMISE_LE])
    return LigneCreance._make(lus)


def _paiement(*champs: Any) -> LignePaiement:
    ligne = ligne_paiement(*champs)
    instants = ("ouvert_le", "expire_le", "conclu_le", "accepte_le", "affiche_le")
    lus: dict[str, Any] = {
        nom: datetime.fromisoformat(texte) for nom in instants if (texte := getattr(ligne, nom)) is not None
    }
    return ligne._replace(**lus)
