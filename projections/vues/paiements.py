"""La vue `paiements` : où en est chaque tentative de paiement, une ligne par transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import AsyncConnection, Connection

from domain.paiement import Paiement
from domain.references import CodeCaisse, Pseudonyme, ReferenceTransaction
from domain.statut import StatutDePaiement
from engine.recorder import RecordedEvent
from projections.effets import TOPICS_DES_PAIEMENTS
from projections.vues.delai_affichage import AFFICHAGE

# Ajoute les paiements ouverts ; ceux dont la fin n'est pas du même lot attendent la banque.
_OUVRIR: Final = """
WITH ouverts AS (
    SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::int8[], %b::timestamptz[],
                         %b::timestamptz[], %b::int8[], %b::bool[])
         AS t (transaction, assure, caisse, canal, montant, ouvert_le, expire_le, version, attend)
), attendus AS (
    INSERT INTO vues.paiements_en_cours (transaction, ouvert_le)
    SELECT transaction, ouvert_le FROM ouverts WHERE attend ON CONFLICT DO NOTHING
)
INSERT INTO vues.paiements (transaction, assure, caisse, canal, montant, statut, ouvert_le, expire_le, version)
SELECT transaction, assure, caisse, canal, montant, 'en_cours', ouvert_le, expire_le, version FROM ouverts
"""

# Ce que deviennent les listes des paiements qui ont une fin ; celui qui en avait déjà une est à sa version 3 au moins.
_LISTES: Final = """
, repondus AS (
    DELETE FROM vues.paiements_en_cours AS e USING finis AS f WHERE e.transaction = f.transaction
), accordes AS (
    DELETE FROM vues.paiements_sans_accord AS s USING finis AS f
    WHERE s.transaction = f.transaction AND f.version > 2 AND f.statut NOT IN ('echoue', 'expire')
)
INSERT INTO vues.paiements_sans_accord (transaction, conclu_le)
SELECT transaction, conclu_le FROM finis WHERE statut IN ('echoue', 'expire')
ON CONFLICT (transaction) DO UPDATE SET conclu_le = excluded.conclu_le
"""

# Conclut les autres : seule la dernière fin d'un paiement dans le lot est donnée.
_CONCLURE: Final = f"""
WITH finis AS (
    UPDATE vues.paiements AS p
    SET statut = c.statut, code = c.code, cause = c.cause, conclu_le = c.conclu_le, accepte_le = c.accepte_le,
        version = c.version, regle_le = NULL, montant_regle = NULL
    FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::timestamptz[], %b::timestamptz[], %b::int8[])
         AS c (transaction, statut, code, cause, conclu_le, accepte_le, version)
    WHERE p.transaction = c.transaction AND p.version < c.version
    RETURNING p.transaction, p.statut, p.conclu_le, p.version
){_LISTES}
"""  # noqa: S608 (constantes)

# Donne sa fin à un paiement en vérification, une fois son argent réglé.
_REGLER: Final = f"""
WITH finis AS (
    UPDATE vues.paiements AS p
    SET statut = r.statut, cause = r.cause, conclu_le = r.regle_le, accepte_le = r.accepte_le, version = r.version,
        regle_le = r.regle_le, montant_regle = r.montant
    FROM unnest(%b::text[], %b::text[], %b::text[], %b::int8[], %b::timestamptz[], %b::timestamptz[], %b::int8[])
         AS r (transaction, statut, cause, montant, accepte_le, regle_le, version)
    WHERE p.transaction = r.transaction AND p.version < r.version
    RETURNING p.transaction, p.statut, p.conclu_le, p.version
){_LISTES}
"""  # noqa: S608 (constantes)

# Les deux listes, refaites des lignes.
_REFAIRE: Final = (
    "DELETE FROM vues.paiements_en_cours",
    "DELETE FROM vues.paiements_sans_accord",
    """
INSERT INTO vues.paiements_en_cours (transaction, ouvert_le)
SELECT transaction, ouvert_le FROM vues.paiements WHERE statut = 'en_cours'
""",
    """
INSERT INTO vues.paiements_sans_accord (transaction, conclu_le)
SELECT transaction, conclu_le FROM vues.paiements WHERE statut IN ('echoue', 'expire')
""",
)

_COLONNES: Final = """
p.transaction, p.assure, p.caisse, p.canal, coalesce(p.montant_regle, p.montant), p.statut, p.code, p.cause,
p.ouvert_le, p.expire_le, p.conclu_le, p.accepte_le, coalesce(d.affiche_le, p.regle_le)
"""

# Un paiement par sa transaction.
_LIRE: Final = f"SELECT {_COLONNES} FROM vues.paiements p {AFFICHAGE} WHERE p.transaction = %s"  # noqa: S608

# Les paiements sans réponse ouverts avant un instant, le plus ancien d'abord.
_SANS_REPONSE: Final = """
SELECT transaction FROM vues.paiements_en_cours WHERE ouvert_le <= %s AND transaction <> ALL (%s)
ORDER BY ouvert_le LIMIT %s
"""

# Les paiements refusés ou expirés jusqu'à un instant, après le dernier déjà rendu, dans l'ordre de leur fin.
_FINIS_SANS_ACCORD: Final = """
SELECT transaction, conclu_le FROM vues.paiements_sans_accord
WHERE (conclu_le, transaction) > (%s, %s) AND conclu_le <= %s
ORDER BY conclu_le, transaction LIMIT %s
"""

_EN_ATTENTE: Final = """
SELECT count(*), min(ouvert_le) FROM vues.paiements_en_cours WHERE ouvert_le <= %s
"""

_EN_JSON: Final = """
SELECT coalesce(json_agg(json_build_array(
           transaction, assure, caisse, canal, coalesce(montant_regle, montant), statut, code, cause,
           ouvert_le, expire_le, conclu_le, accepte_le, affiche_le) ORDER BY ouvert_le DESC, transaction DESC), '[]')
FROM ({paiements} ORDER BY p.ouvert_le DESC, p.transaction DESC LIMIT %(limite)s) AS derniers
"""

# Les derniers paiements d'un assuré, le plus récent d'abord, en une valeur JSON : pour qui les lit avec autre chose.
CEUX_DE_L_ASSURE: Final = _EN_JSON.format(
    paiements="SELECT p.*, coalesce(d.affiche_le, p.regle_le) AS affiche_le"  # noqa: S608
    f" FROM vues.paiements p {AFFICHAGE} WHERE p.assure = %(assure)s"
)

# Ceux qui n'ont pas encore de fin, ou dont la banque a pris de l'argent qui reste à régler : le plus souvent, aucun.
CEUX_SANS_FIN: Final = _EN_JSON.format(
    paiements="SELECT p.*, NULL AS affiche_le FROM vues.paiements p WHERE p.assure = %(assure)s"
    " AND (p.statut IN ('en_cours', 'en_verification')"
    " OR EXISTS (SELECT FROM vues.argent a WHERE a.transaction = p.transaction AND a.reste > 0))"
)


class LignePaiement(NamedTuple):
    """Un paiement tel que la vue le montre ; le montant est en centimes."""

    transaction: ReferenceTransaction
    assure: Pseudonyme
    caisse: CodeCaisse
    canal: str
    montant: int
    statut: StatutDePaiement
    code: str | None
    cause: str | None
    ouvert_le: datetime
    expire_le: datetime
    conclu_le: datetime | None
    accepte_le: datetime | None
    affiche_le: datetime | None


class Paiements:
    """La vue, telle qu'un suiveur la mène."""

    nom: Final = "paiements"
    topics: Final = TOPICS_DES_PAIEMENTS

    def appliquer(self, conn: Connection[Any], faits: Sequence[RecordedEvent]) -> None:
        """Trois instructions par lot, chacune avec ses listes : les ouvertures, les fins, puis les règlements."""
        ouverts = [lu.event for lu in faits if isinstance(lu.event, Paiement.PaiementOuvert)]
        conclus = {
            Paiement.transaction_de(lu.event.originator_id): lu.event
            for lu in faits
            if isinstance(lu.event, Paiement.PaiementConclu)
        }
        if ouverts:
            conn.execute(
                _OUVRIR,
                (
                    [o.transaction for o in ouverts],
                    [o.assure for o in ouverts],
                    [o.caisse for o in ouverts],
                    [o.canal.value for o in ouverts],
                    [o.montant for o in ouverts],
                    [o.timestamp for o in ouverts],
                    [o.expire_le for o in ouverts],
                    [o.originator_version for o in ouverts],
                    [o.transaction not in conclus for o in ouverts],
                ),
            )
        if conclus:
            conn.execute(
                _CONCLURE,
                (
                    list(conclus),
                    [StatutDePaiement(c.issue).value for c in conclus.values()],
                    [c.code for c in conclus.values()],
                    [c.cause for c in conclus.values()],
                    [c.timestamp for c in conclus.values()],
                    [c.accepte_le for c in conclus.values()],
                    [c.originator_version for c in conclus.values()],
                ),
            )
        self._regler(conn, faits)

    def refaire(self, conn: Connection[Any]) -> None:
        """Refait les listes des paiements sans fin et de ceux qui ont fini sans accord."""
        for instruction in _REFAIRE:
            conn.execute(instruction)

    def _regler(self, conn: Connection[Any], faits: Sequence[RecordedEvent]) -> None:
        regles = {
            Paiement.transaction_de(lu.event.originator_id): lu.event
            for lu in faits
            if isinstance(lu.event, Paiement.PaiementRéglé)
        }
        if regles:
            conn.execute(
                _REGLER,
                (
                    list(regles),
                    [StatutDePaiement(r.issue).value for r in regles.values()],
                    [r.cause for r in regles.values()],
                    [r.montant for r in regles.values()],
                    [r.accepte_le for r in regles.values()],
                    [r.timestamp for r in regles.values()],
                    [r.originator_version for r in regles.values()],
                ),
            )


async def paiement(conn: AsyncConnection[Any], transaction: str) -> LignePaiement | None:
    """Un paiement par sa transaction."""
    ligne = await (await conn.execute(_LIRE, (transaction,), prepare=True)).fetchone()
    return ligne_paiement(*ligne) if ligne else None


def ligne_paiement(*champs: Any) -> LignePaiement:
    """Une ligne, telle que la base la rend."""
    ligne = LignePaiement(*champs)
    return ligne._replace(statut=StatutDePaiement(ligne.statut))


def sans_reponse(conn: Connection[Any], avant: datetime, limite: int, *, sauf: Sequence[str] = ()) -> list[str]:
    """Les transactions encore en cours ouvertes avant cet instant, la plus ancienne d'abord, sans celles de `sauf`."""
    return [transaction for (transaction,) in conn.execute(_SANS_REPONSE, (avant, list(sauf), limite))]


def finis_sans_accord(
    conn: Connection[Any], apres: tuple[datetime, str], jusqu_a: datetime, limite: int
) -> list[tuple[str, datetime]]:
    """Les paiements refusés ou expirés jusqu'à cet instant, et quand, après `apres`, dans l'ordre de leur fin."""
    return [(t, fin) for t, fin in conn.execute(_FINIS_SANS_ACCORD, (*apres, jusqu_a, limite))]


def attente_de_reponse(conn: Connection[Any], avant: datetime) -> tuple[int, datetime | None]:
    """Combien de paiements encore en cours ont été ouverts avant cet instant, et quand le fut le plus ancien."""
    return conn.execute(_EN_ATTENTE, (avant,)).fetchone() or (0, None)
