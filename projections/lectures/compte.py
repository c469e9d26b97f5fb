"""Le compte d'un assuré : ses créances et ses derniers paiements, lus des vues en une seule requête."""

from datetime import date, datetime
from typing import Any, Final, NamedTuple

from psycopg import AsyncConnection

from projections.vues.paiements import AFFICHAGE, LignePaiement, lire_ligne
from projections.vues.restant_du import LigneCreance

# Les créances d'un assuré, la plus ancienne d'abord, et des paiements de lui, le plus récent d'abord : deux listes.
_LIRE: Final = """
SELECT
    (SELECT coalesce(json_agg(json_build_array(
                reference, assure, caisse, nature, date_emission, payable_en_ligne, annulee, montant_initial, solde,
                en_cours, version, position) ORDER BY date_emission, reference), '[]')
     FROM vues.restant_du WHERE assure = %(assure)s),
    (SELECT coalesce(json_agg(json_build_array(
                transaction, assure, caisse, canal, montant, statut, code, cause, ouvert_le, expire_le, conclu_le,
                accepte_le, affiche_le) ORDER BY ouvert_le DESC, transaction DESC), '[]')
     FROM ({paiements} ORDER BY p.ouvert_le DESC, p.transaction DESC LIMIT %(limite)s) AS derniers)
"""

# Ses derniers paiements.
_TOUS: Final = _LIRE.format(
    paiements=f"SELECT p.*, d.affiche_le FROM vues.paiements p {AFFICHAGE} WHERE p.assure = %(assure)s"  # noqa: S608
)

# Ceux qui n'ont pas encore de fin : rien n'en est affiché, et le plus souvent il n'y en a aucun.
_SANS_FIN: Final = _LIRE.format(
    paiements="SELECT p.*, NULL AS affiche_le FROM vues.paiements p WHERE p.assure = %(assure)s"
    " AND p.statut = 'en_cours'"
)


class Compte(NamedTuple):
    """Ce qu'un assuré doit, et ce qu'il a payé en ligne."""

    creances: list[LigneCreance]
    """La plus ancienne d'abord."""
    paiements: list[LignePaiement]
    """Les derniers, le plus récent d'abord."""


async def compte(conn: AsyncConnection[Any], assure: str, paiements_max: int, *, sans_fin: bool = False) -> Compte:
    """Le compte de cet assuré, en une requête ; vide s'il est inconnu. `sans_fin` : les seuls paiements en cours."""
    curseur = await conn.execute(
        _SANS_FIN if sans_fin else _TOUS, {"assure": assure, "limite": paiements_max}, prepare=True
    )
    creances, paiements = await curseur.fetchone() or ([], [])
    return Compte([_creance(*champs) for champs in creances], [_paiement(*champs) for champs in paiements])


def _creance(*champs: Any) -> LigneCreance:
    ligne = LigneCreance(*champs)
    return ligne._replace(date_emission=date.fromisoformat(str(ligne.date_emission)))


def _paiement(*champs: Any) -> LignePaiement:
    ligne = lire_ligne(champs)
    instants = ("ouvert_le", "expire_le", "conclu_le", "accepte_le", "affiche_le")
    lus: dict[str, Any] = {
        nom: datetime.fromisoformat(texte) for nom in instants if (texte := getattr(ligne, nom)) is not None
    }
    return ligne._replace(**lus)
