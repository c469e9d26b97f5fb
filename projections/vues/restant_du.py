"""La vue `restant_du` : ce que chaque créance doit encore, une ligne par créance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, NamedTuple, cast

from psycopg import AsyncConnection, Connection

from domain.creance import Créance, FaitDeCreance
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance
from domain.statut import StatutDeCreance
from engine.recorder import RecordedEvent
from projections.effets import TOPICS_DE_RESTANT_DU, effet

# Ajoute les créances ouvertes dans ce lot, déjà dans l'état où le lot les laisse.
_OUVRIR: Final = """
INSERT INTO vues.restant_du (reference, assure, caisse, nature, date_emission, payable_en_ligne, annulee,
                             montant_initial, solde, en_cours, version, position)
SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::date[], %b::bool[], %b::bool[],
                     %b::int8[], %b::int8[], %b::int8[], %b::int8[], %b::int8[])
"""

# Fait bouger les autres ; une ligne n'est touchée que si elle est exactement à la version attendue. La liste des
# trop-perçus suit celles qui passent par zéro. Rend combien ont bougé.
_BOUGER: Final = """
WITH bougees AS (
    UPDATE vues.restant_du AS r
    SET montant_initial = r.montant_initial + m.delta_montant, solde = r.solde + m.delta_solde,
        en_cours = r.en_cours + m.delta_en_cours, annulee = r.annulee OR m.annulee, version = m.jusqu_a,
        position = m.position
    FROM unnest(%b::text[], %b::int8[], %b::int8[], %b::int8[], %b::bool[], %b::int8[], %b::int8[], %b::int8[])
         AS m (reference, delta_montant, delta_solde, delta_en_cours, annulee, depuis, jusqu_a, position)
    WHERE r.reference = m.reference AND r.version = m.depuis
    RETURNING r.reference, r.solde, r.solde - m.delta_solde AS avant
), entrees AS (
    INSERT INTO vues.trop_percus (reference) SELECT reference FROM bougees WHERE solde < 0 AND avant >= 0
    ON CONFLICT DO NOTHING
), sorties AS (
    DELETE FROM vues.trop_percus AS t USING bougees AS b
    WHERE t.reference = b.reference AND b.solde >= 0 AND b.avant < 0
)
SELECT count(*) FROM bougees
"""

# Celles qui s'ouvrent payées de trop : leur chèque est du même lot que leur avis.
_OUVRIR_TROP_PERCUES: Final = (
    "INSERT INTO vues.trop_percus (reference) SELECT unnest(%b::text[]) ON CONFLICT DO NOTHING"
)

_VIDER: Final = "DELETE FROM vues.trop_percus"
_REFAIRE: Final = "INSERT INTO vues.trop_percus (reference) SELECT reference FROM vues.restant_du WHERE solde < 0"

_COLONNES: Final = (
    "reference, assure, caisse, nature, date_emission, payable_en_ligne, annulee, montant_initial, solde, en_cours,"
    " version, position"
)

# Une créance par sa référence.
LIRE: Final = f"SELECT {_COLONNES} FROM vues.restant_du WHERE reference = %s"  # noqa: S608 (constantes)

EXEMPLES_PARMI: Final = 500
"""Créances où l'on cherche les exemples : la page ne lit pas toute la base, si grande qu'elle soit."""

# Quelques créances payables, pour la démonstration : parmi les dernières références, les plus récentes d'abord.
_EXEMPLES: Final = f"""
SELECT {_COLONNES} FROM (
    SELECT * FROM vues.restant_du WHERE payable_en_ligne AND NOT annulee AND solde >= %s
    ORDER BY reference DESC LIMIT {EXEMPLES_PARMI}
) AS dernieres ORDER BY date_emission DESC, reference LIMIT %s
"""  # noqa: S608 (constantes)

# Les créances d'un assuré, la plus ancienne d'abord, en une valeur JSON : pour qui les lit avec autre chose.
CELLES_DE_L_ASSURE: Final = (
    f"SELECT coalesce(json_agg(json_build_array({_COLONNES}) ORDER BY date_emission, reference), '[]')"  # noqa: S608
    " FROM vues.restant_du WHERE assure = %(assure)s"
)

# Les parts acceptées que le compte montre : la ligne les a comptées, et aucun fait de la créance n'est écarté.
_MONTREES: Final = """
SELECT p.transaction, p.reference
FROM unnest(%b::text[], %b::text[], %b::text[], %b::int8[]) AS p (transaction, reference, flux, version)
JOIN vues.restant_du r ON r.reference = p.reference AND r.version >= p.version
WHERE NOT EXISTS (
    SELECT FROM vues.ecartes x WHERE x.suiveur = 'restant_du' AND x.flux = p.flux
)
"""


class LigneCreance(NamedTuple):
    """Une créance telle que la vue la montre ; les montants sont en centimes."""

    reference: ReferenceCreance
    assure: Pseudonyme
    caisse: CodeCaisse
    nature: str
    date_emission: date
    payable_en_ligne: bool
    annulee: bool
    montant_initial: int
    solde: int
    en_cours: int
    version: int
    position: int

    @property
    def restant_du(self) -> int:
        """Ce qui reste à payer."""
        return max(0, self.solde)

    @property
    def trop_percu(self) -> int:
        """Ce qui a été payé de trop."""
        return max(-self.solde, 0)

    @property
    def disponible(self) -> int:
        """Le restant dû net des paiements en cours."""
        libre = self.solde - self.en_cours
        return max(0, libre)

    @property
    def en_cours_du_restant(self) -> int:
        """Ce que des paiements en cours retiennent de ce qui reste à payer."""
        return min(self.en_cours, self.restant_du)

    @property
    def en_cours_de_trop(self) -> int:
        """Ce que des paiements en cours prendraient au-delà : un chèque arrive, et le restant dû passe dessous."""
        return self.en_cours - self.en_cours_du_restant

    @property
    def statut(self) -> StatutDeCreance:
        """Où elle en est."""
        if self.annulee:
            return StatutDeCreance.ANNULEE
        if self.solde < 0:
            return StatutDeCreance.TROP_PERCU
        if self.solde == 0:
            return StatutDeCreance.SOLDEE
        return StatutDeCreance.PAIEMENT_EN_COURS if self.en_cours else StatutDeCreance.DUE


class VersionInattendue(Exception):
    """Un événement manque ou compte deux fois : la vue n'est pas à la version qu'il attend."""


@dataclass(slots=True)
class _Mouvement:
    """La somme des faits d'une créance dans un lot."""

    depuis: int
    montant: int = 0
    solde: int = 0
    en_cours: int = 0
    annulee: bool = False
    jusqu_a: int = 0
    position: int = 0
    avis: Créance.AvisEmis | None = None

    def ajouter(self, fait: FaitDeCreance) -> None:
        """Ajoute un fait."""
        montant, solde, en_cours, annulee = effet(fait)
        self.montant += montant
        self.solde += solde
        self.en_cours += en_cours
        self.annulee = self.annulee or annulee
        if self.avis is None and isinstance(fait, Créance.AvisEmis):
            self.avis = fait


class RestantDu:
    """La vue, telle qu'un suiveur la mène."""

    nom: Final = "restant_du"
    topics: Final = TOPICS_DE_RESTANT_DU

    def appliquer(self, conn: Connection[Any], faits: Sequence[RecordedEvent]) -> None:
        """Additionne les faits par créance, puis deux instructions. Lève VersionInattendue si un fait manque."""
        mouvements: dict[str, _Mouvement] = {}
        for lu in faits:
            fait = cast("FaitDeCreance", lu.event)  # Ses topics n'en laissent pas venir d'autre.
            reference = Créance.reference_de(fait.originator_id)
            mouvement = mouvements.get(reference)
            if mouvement is None:
                mouvement = mouvements[reference] = _Mouvement(depuis=fait.originator_version - 1)
            elif fait.originator_version != mouvement.jusqu_a + 1:
                raise VersionInattendue(f"{reference} : v{fait.originator_version} après v{mouvement.jusqu_a}")
            mouvement.ajouter(fait)
            mouvement.jusqu_a = fait.originator_version
            mouvement.position = lu.position
        self._ouvrir(conn, {ref: m for ref, m in mouvements.items() if m.avis is not None})
        self._bouger(conn, {ref: m for ref, m in mouvements.items() if m.avis is None})

    def refaire(self, conn: Connection[Any]) -> None:
        """Refait la liste des trop-perçus."""
        conn.execute(_VIDER)
        conn.execute(_REFAIRE)

    def _ouvrir(self, conn: Connection[Any], mouvements: dict[str, _Mouvement]) -> None:
        if not mouvements:
            return
        avis = [m.avis for m in mouvements.values() if m.avis is not None]
        conn.execute(
            _OUVRIR,
            (
                list(mouvements),
                [a.assure for a in avis],
                [a.caisse for a in avis],
                [a.nature for a in avis],
                [a.date_emission for a in avis],
                [a.payable_en_ligne for a in avis],
                [m.annulee for m in mouvements.values()],
                [m.montant for m in mouvements.values()],
                [m.solde for m in mouvements.values()],
                [m.en_cours for m in mouvements.values()],
                [m.jusqu_a for m in mouvements.values()],
                [m.position for m in mouvements.values()],
            ),
        )
        trop_percues = [reference for reference, m in mouvements.items() if m.solde < 0]
        if trop_percues:
            conn.execute(_OUVRIR_TROP_PERCUES, (trop_percues,))

    def _bouger(self, conn: Connection[Any], mouvements: dict[str, _Mouvement]) -> None:
        if not mouvements:
            return
        (touchees,) = conn.execute(
            _BOUGER,
            (
                list(mouvements),
                [m.montant for m in mouvements.values()],
                [m.solde for m in mouvements.values()],
                [m.en_cours for m in mouvements.values()],
                [m.annulee for m in mouvements.values()],
                [m.depuis for m in mouvements.values()],
                [m.jusqu_a for m in mouvements.values()],
                [m.position for m in mouvements.values()],
            ),
        ).fetchone() or (0,)
        if touchees != len(mouvements):
            raise VersionInattendue(f"{len(mouvements) - touchees} créances ne sont pas à la version attendue")


async def exemples(conn: AsyncConnection[Any], minimum: int, limite: int) -> list[LigneCreance]:
    """Quelques créances payables, pour la page de démonstration."""
    lignes = await (await conn.execute(_EXEMPLES, (minimum, limite))).fetchall()
    return [LigneCreance(*ligne) for ligne in lignes]


def lire_creance(conn: Connection[Any], reference: str) -> LigneCreance | None:
    """Une créance par sa référence, pour la ligne de commande."""
    ligne = conn.execute(LIRE, (reference,)).fetchone()
    return LigneCreance(*ligne) if ligne else None


def montrees(conn: Connection[Any], parts: Mapping[tuple[str, str], int]) -> set[tuple[str, str]]:
    """Celles de ces parts acceptées, ((transaction, référence) : version de l'acceptation), que le compte montre."""
    if not parts:
        return set()
    colonnes = (
        [transaction for transaction, _ in parts],
        [reference for _, reference in parts],
        [Créance.flux(reference) for _, reference in parts],
        list(parts.values()),
    )
    return {(transaction, reference) for transaction, reference in conn.execute(_MONTREES, colonnes)}
