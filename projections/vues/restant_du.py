"""La vue `restant_du` : ce que chaque créance doit encore, une ligne par créance."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, NamedTuple

from psycopg import AsyncConnection, Connection

from domain.creance import Créance
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance
from domain.statut import StatutDeCreance
from engine.recorder import RecordedEvent

# Ajoute les créances ouvertes dans ce lot, déjà dans l'état où le lot les laisse.
_OUVRIR: Final = """
INSERT INTO vues.restant_du (reference, assure, caisse, nature, date_emission, payable_en_ligne, annulee,
                             montant_initial, solde, en_cours, version, position)
SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::date[], %b::bool[], %b::bool[],
                     %b::int8[], %b::int8[], %b::int8[], %b::int8[], %b::int8[])
"""

# Fait bouger les autres ; une ligne n'est touchée que si elle est exactement à la version attendue.
_BOUGER: Final = """
UPDATE vues.restant_du AS r
SET montant_initial = r.montant_initial + m.delta_montant, solde = r.solde + m.delta_solde,
    en_cours = r.en_cours + m.delta_en_cours, annulee = r.annulee OR m.annulee, version = m.jusqu_a,
    position = m.position
FROM unnest(%b::text[], %b::int8[], %b::int8[], %b::int8[], %b::bool[], %b::int8[], %b::int8[], %b::int8[])
     AS m (reference, delta_montant, delta_solde, delta_en_cours, annulee, depuis, jusqu_a, position)
WHERE r.reference = m.reference AND r.version = m.depuis
"""

_COLONNES: Final = (
    "reference, assure, caisse, nature, date_emission, payable_en_ligne, annulee, montant_initial, solde, en_cours,"
    " version, position"
)

# Une créance par sa référence.
LIRE: Final = f"SELECT {_COLONNES} FROM vues.restant_du WHERE reference = %s"  # noqa: S608 (constantes)

# Quelques créances payables, pour la démonstration : les plus récentes d'abord.
_EXEMPLES: Final = (
    f"SELECT {_COLONNES} FROM vues.restant_du WHERE payable_en_ligne AND NOT annulee AND solde >= %s"  # noqa: S608
    " ORDER BY date_emission DESC, reference LIMIT %s"
)


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
        return max(self.solde, 0)

    @property
    def trop_percu(self) -> int:
        """Ce qui a été payé de trop."""
        return max(-self.solde, 0)

    @property
    def disponible(self) -> int:
        """Le restant dû net des paiements en cours."""
        return max(self.restant_du - self.en_cours, 0)

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

    def ajouter(self, fait: Créance.Event) -> None:  # noqa: C901 (un cas par fait : la table des matières de la vue)
        """Ajoute un fait."""
        match fait:
            case Créance.AvisEmis():
                self.avis = fait
                self.montant = self.solde = fait.montant_initial
            case Créance.PaiementInitié():
                self.en_cours += fait.part
            case Créance.PaiementAccepté():
                self.en_cours -= fait.part_liberee
                self.solde -= fait.part
            case Créance.PaiementÉchoué():
                self.en_cours -= fait.part_liberee
            case Créance.PaiementContrepassé():
                self.solde += fait.part
            case Créance.TropPerçuRemboursé():
                self.solde += fait.montant
            case Créance.EncaissementReçu():
                self.solde -= fait.montant
            case Créance.AvisRectifié():
                self.montant += fait.montant_initial - fait.montant_precedent
                self.solde += fait.montant_initial - fait.montant_precedent
            case Créance.AvisAnnulé():
                self.montant -= fait.montant_precedent
                self.solde -= fait.montant_precedent
                self.annulee = True
            case Créance.PaiementAffiché() | Créance.TropPerçuConstaté():
                pass  # Ne bougent aucun montant, mais la version avance.
            case _:
                raise TypeError(f"fait inconnu de la vue : {type(fait).__name__}")


class RestantDu:
    """La vue, telle qu'un suiveur la mène."""

    nom: Final = "restant_du"
    topics: Final = frozenset(
        {
            fait.TOPIC
            for fait in (
                Créance.AvisEmis,
                Créance.PaiementInitié,
                Créance.PaiementAccepté,
                Créance.PaiementÉchoué,
                Créance.PaiementAffiché,
                Créance.PaiementContrepassé,
                Créance.TropPerçuConstaté,
                Créance.TropPerçuRemboursé,
                Créance.EncaissementReçu,
                Créance.AvisRectifié,
                Créance.AvisAnnulé,
            )
        }
    )

    def appliquer(self, conn: Connection[Any], faits: Sequence[RecordedEvent]) -> None:
        """Additionne les faits par créance, puis deux instructions. Lève VersionInattendue si un fait manque."""
        mouvements: dict[str, _Mouvement] = {}
        for lu in faits:
            fait = lu.event
            reference = fait.originator_id.removeprefix("creance-")
            mouvement = mouvements.get(reference)
            if mouvement is None:
                mouvement = mouvements[reference] = _Mouvement(depuis=fait.originator_version - 1)
            elif fait.originator_version != mouvement.jusqu_a + 1:
                raise VersionInattendue(f"{reference} : v{fait.originator_version} après v{mouvement.jusqu_a}")
            mouvement.ajouter(fait)  # type: ignore[arg-type]
            mouvement.jusqu_a = fait.originator_version
            mouvement.position = lu.position
        self._ouvrir(conn, {ref: m for ref, m in mouvements.items() if m.avis is not None})
        self._bouger(conn, {ref: m for ref, m in mouvements.items() if m.avis is None})

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

    def _bouger(self, conn: Connection[Any], mouvements: dict[str, _Mouvement]) -> None:
        if not mouvements:
            return
        touchees = conn.execute(
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
        ).rowcount
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
