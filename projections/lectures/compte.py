"""Le compte d'un assuré : ses créances et ses derniers paiements, lus des vues en une seule requête."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from psycopg import AsyncConnection

from domain.statut import StatutDePaiement
from projections.vues.paiements import CEUX_DE_L_ASSURE, CEUX_SANS_FIN, LignePaiement, ligne_paiement
from projections.vues.restant_du import CELLES_DE_L_ASSURE, LigneCreance

# Les créances d'un assuré, ses derniers paiements, et ceux sans fin, si anciens soient-ils : trois listes.
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
    sans_fin: list[LignePaiement]
    """Les paiements en cours ou en vérification, le plus récent d'abord, si anciens soient-ils.

    En vérification aussi, quel que soit son statut, celui dont la banque a pris de l'argent qui reste à régler.
    """
    paiements: list[LignePaiement]
    """Les derniers, le plus récent d'abord ; vide si seuls ceux sans fin ont été demandés."""


async def compte(conn: AsyncConnection[Any], assure: str, paiements_max: int, *, sans_fin: bool = False) -> Compte:
    """Le compte de cet assuré, en une requête ; vide s'il est inconnu. `sans_fin` : les seuls paiements en cours."""
    curseur = await conn.execute(
        f"SELECT {SANS_FIN}" if sans_fin else _TOUS, {"assure": assure, "limite": paiements_max}, prepare=True
    )
    creances, *paiements = await curseur.fetchone() or ([], [])
    *derniers, ceux_sans_fin = paiements
    return compte_de(creances, ceux_sans_fin, *derniers)


def compte_de(
    creances: Sequence[Sequence[Any]], sans_fin: Sequence[Sequence[Any]], derniers: Sequence[Sequence[Any]] = ()
) -> Compte:
    """Le compte, des colonnes que ses requêtes rendent."""
    return Compte(
        [_creance(*champs) for champs in creances],
        [_sans_fin(_paiement(*champs)) for champs in sans_fin],
        [_paiement(*champs) for champs in derniers],
    )


def _sans_fin(paiement: LignePaiement) -> LignePaiement:
    if paiement.statut is StatutDePaiement.EN_COURS:
        return paiement
    return paiement._replace(statut=StatutDePaiement.EN_VERIFICATION)


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
