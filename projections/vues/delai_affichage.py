"""La vue `delai_affichage` : l'horloge des 24 h, de l'acceptation par la banque à l'affichage sur le compte.

C'est le seul suiveur qui écrive aussi au journal : lisant derrière la position *validée* de `restant_du`, il constate
que le compte montre le paiement et inscrit `PaiementAffiché`, dans la transaction même où il avance. Un paiement que
le compte ne montre pas (événement écarté de `restant_du`, ligne perdue) n'est pas affiché : son horloge court, et il
est essayé de nouveau tant qu'il n'est pas montré.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import structlog
from psycopg import Connection

from domain.creance import Créance
from domain.references import ReferenceTransaction
from engine.batch import Batch
from engine.outages import is_outage
from engine.recorder import RecordedEvent, Recorder, collect
from projections.effets import TOPICS_DU_DELAI
from projections.vues import durees
from projections.vues.restant_du import montrees

CAUSE: Final = "affichage:restant_du"

REPRIS_MAX: Final = 500
"""Parts que le compte ne montrait pas, essayées de nouveau ensemble, au plus."""

Part: TypeAlias = tuple[str, str]
"""Une part acceptée : (transaction, référence de la créance)."""

# Démarre l'horloge de chaque part acceptée ; celles dont l'affichage n'est pas du même lot attendent.
_DEMARRER: Final = """
WITH parts AS (
    SELECT * FROM unnest(%b::text[], %b::text[], %b::timestamptz[], %b::int8[], %b::bool[], %b::bool[])
         AS p (transaction, reference, accepte_le, version, montree, attend)
), attendues AS (
    INSERT INTO vues.affichages_en_attente (transaction, reference, accepte_le)
    SELECT transaction, reference, accepte_le FROM parts WHERE attend ON CONFLICT DO NOTHING
)
INSERT INTO vues.delai_affichage (transaction, reference, accepte_le, version, montree)
SELECT transaction, reference, accepte_le, version, montree FROM parts
"""

# L'arrête quand la part est affichée.
_ARRETER: Final = """
WITH affichees AS (
    SELECT * FROM unnest(%b::text[], %b::text[], %b::timestamptz[]) AS a (transaction, reference, affiche_le)
), sorties AS (
    DELETE FROM vues.affichages_en_attente AS e USING affichees AS a
    WHERE e.transaction = a.transaction AND e.reference = a.reference
)
UPDATE vues.delai_affichage AS d SET affiche_le = a.affiche_le, montree = true
FROM affichees AS a WHERE d.transaction = a.transaction AND d.reference = a.reference
"""

_VIDER_L_ATTENTE: Final = "DELETE FROM vues.affichages_en_attente"
_REFAIRE_L_ATTENTE: Final = """
INSERT INTO vues.affichages_en_attente (transaction, reference, accepte_le)
SELECT transaction, reference, accepte_le FROM vues.delai_affichage WHERE affiche_le IS NULL
"""

# Les parts que le compte ne montrait pas, la plus ancienne d'abord : aucune, le plus souvent.
_A_MONTRER: Final = """
SELECT transaction, reference, version FROM vues.delai_affichage WHERE NOT montree ORDER BY accepte_le
"""

_MONTRER: Final = "UPDATE vues.delai_affichage SET montree = true WHERE transaction = %b AND reference = %b"

# Pour un paiement `p` : il est affiché quand la dernière de ses parts l'est.
AFFICHAGE: Final = """
LEFT JOIN LATERAL (
    SELECT CASE WHEN count(*) = count(affiche_le) THEN max(affiche_le) END AS affiche_le
    FROM vues.delai_affichage WHERE transaction = p.transaction
) AS d ON true
"""


class DelaiAffichage:
    """La vue, et l'écriture de `PaiementAffiché`."""

    nom: Final = "delai_affichage"
    topics: Final = TOPICS_DU_DELAI

    def __init__(
        self,
        recorder: Recorder,
        horloge: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        constater: bool = True,
    ) -> None:
        """`constater` à Faux n'écrit rien au journal : une reconstruction laisse l'affichage à qui mène la vue."""
        self.recorder = recorder
        self.horloge = horloge
        self.constater = constater
        self._refuses: dict[Part, str] = {}
        self._log = structlog.get_logger().bind(suiveur=self.nom)

    def reconcile(self, conn: Connection[Any]) -> None:
        """Essaie de nouveau ce que le compte ne montrait pas : un flux réintégré, une vue reconstruite."""
        if not self.constater:
            return
        a_montrer = {(transaction, reference): version for transaction, reference, version in conn.execute(_A_MONTRER)}
        for part in sorted(montrees(conn, a_montrer))[:REPRIS_MAX]:
            self._montrer(conn, part)

    def _montrer(self, conn: Connection[Any], part: Part) -> None:
        """Constate l'affichage d'une part, seule : une créance illisible n'arrête pas les autres."""
        try:
            with conn.transaction():
                self._constater(conn, [part])
                conn.execute(_MONTRER, part)
        except Exception as erreur:
            if is_outage(erreur):
                raise
            if self._refuses.get(part) != str(erreur):
                self._refuses[part] = str(erreur)
                self._log.error("affichage_refuse", transaction=part[0], reference=part[1], cause=str(erreur))

    def preparer(self, faits: Sequence[RecordedEvent]) -> None:
        """Rien : cette vue n'agit que dans la base."""

    def appliquer(self, conn: Connection[Any], faits: Sequence[RecordedEvent]) -> None:
        """Démarre et arrête les horloges du lot, puis constate l'affichage des acceptations que le compte montre."""
        acceptes = {part_de(lu.event): lu.event for lu in faits if isinstance(lu.event, Créance.PaiementAccepté)}
        affiches = {part_de(lu.event): lu.event for lu in faits if isinstance(lu.event, Créance.PaiementAffiché)}
        versions = {part: fait.originator_version for part, fait in acceptes.items()}
        vues = montrees(conn, versions) if self.constater else set()
        touches = {transaction for transaction, _ in acceptes.keys() | affiches.keys()}
        if not touches:
            return
        etaient_affiches = durees.decompter(conn, touches)
        if acceptes:
            conn.execute(
                _DEMARRER,
                (
                    [transaction for transaction, _ in acceptes],
                    [reference for _, reference in acceptes],
                    [fait.accepte_le for fait in acceptes.values()],
                    [fait.originator_version for fait in acceptes.values()],
                    [part in vues for part in acceptes],
                    [part not in affiches for part in acceptes],
                ),
            )
        if affiches:
            conn.execute(
                _ARRETER,
                (
                    [transaction for transaction, _ in affiches],
                    [reference for _, reference in affiches],
                    [a.affiche_le for a in affiches.values()],
                ),
            )
        if affiches or etaient_affiches:
            durees.compter(conn, touches)
        if etaient_affiches:
            durees.oter_les_vides(conn)
        if vues:
            self._constater(conn, [part for part in acceptes if part in vues])

    def refaire(self, conn: Connection[Any]) -> None:
        """Refait la liste de ce qui attend, et les comptes."""
        conn.execute(_VIDER_L_ATTENTE)
        conn.execute(_REFAIRE_L_ATTENTE)
        durees.refaire(conn)

    def _constater(self, conn: Connection[Any], parts: Iterable[Part]) -> None:
        """Inscrit l'affichage ; l'ordre d'écriture est pris avant de charger, si bien qu'aucun flux ne peut bouger."""
        flux = {part: Créance.flux(part[1]) for part in parts}
        self.recorder.take_order(conn)
        creances: Mapping[str, Créance] = self.recorder.load(conn, flux.values())
        maintenant = self.horloge()
        for (transaction, _), nom in flux.items():
            creances[nom].afficher_paiement(ReferenceTransaction(transaction), maintenant=maintenant)
        self.recorder.record(conn, Batch(entries=collect(creances.values(), CAUSE)))


def part_de(fait: Créance.PaiementAccepté | Créance.PaiementAffiché) -> Part:
    """La part dont parle ce fait."""
    return fait.transaction, Créance.reference_de(fait.originator_id)
