"""La vue `delai_affichage` : l'horloge des 24 h, de l'acceptation par la banque à l'affichage sur le compte.

C'est le seul suiveur qui écrive aussi au journal : lisant derrière la position *validée* de `restant_du`, il constate
que le paiement est visible et inscrit `PaiementAffiché`, dans la transaction même où il avance.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from psycopg import AsyncConnection, Connection

from domain.creance import Créance
from engine.batch import Batch
from engine.recorder import RecordedEvent, Recorder, collect

CAUSE: Final = "affichage:restant_du"

# Démarre l'horloge de chaque part acceptée.
_DEMARRER: Final = """
INSERT INTO vues.delai_affichage (transaction, reference, accepte_le)
SELECT * FROM unnest(%b::text[], %b::text[], %b::timestamptz[])
"""

# L'arrête quand la part est affichée.
_ARRETER: Final = """
UPDATE vues.delai_affichage AS d SET affiche_le = a.affiche_le
FROM unnest(%b::text[], %b::text[], %b::timestamptz[]) AS a (transaction, reference, affiche_le)
WHERE d.transaction = a.transaction AND d.reference = a.reference
"""

# L'état de l'horloge, par paiement : affiché quand sa dernière part l'est.
_ETAT: Final = """
WITH par_paiement AS (
    SELECT transaction, min(accepte_le) AS accepte_le,
           CASE WHEN count(*) = count(affiche_le) THEN max(affiche_le) END AS affiche_le
    FROM vues.delai_affichage GROUP BY transaction
), durees AS (
    SELECT *, extract(epoch FROM coalesce(affiche_le, %(maintenant)s) - accepte_le) AS secondes FROM par_paiement
)
SELECT count(*) FILTER (WHERE affiche_le IS NOT NULL),
       count(*) FILTER (WHERE affiche_le IS NULL),
       max(secondes) FILTER (WHERE affiche_le IS NULL),
       count(*) FILTER (WHERE secondes > %(delai_s)s),
       percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY secondes) FILTER (WHERE affiche_le IS NOT NULL)
FROM durees
"""


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
    topics: Final = frozenset({Créance.PaiementAccepté.TOPIC, Créance.PaiementAffiché.TOPIC})

    def __init__(
        self,
        recorder: Recorder,
        horloge: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        constater: bool = True,
    ) -> None:
        """`constater` à Faux n'écrit rien au journal : pour une reconstruction."""
        self.recorder = recorder
        self.horloge = horloge
        self.constater = constater

    def appliquer(self, conn: Connection[Any], faits: Sequence[RecordedEvent]) -> None:
        """Démarre et arrête les horloges du lot, puis constate l'affichage des acceptations qu'il porte."""
        acceptes = [lu.event for lu in faits if isinstance(lu.event, Créance.PaiementAccepté)]
        affiches = [lu.event for lu in faits if isinstance(lu.event, Créance.PaiementAffiché)]
        if acceptes:
            conn.execute(
                _DEMARRER,
                (
                    [a.transaction for a in acceptes],
                    [_reference(a) for a in acceptes],
                    [a.accepte_le for a in acceptes],
                ),
            )
        if affiches:
            conn.execute(
                _ARRETER,
                (
                    [a.transaction for a in affiches],
                    [_reference(a) for a in affiches],
                    [a.affiche_le for a in affiches],
                ),
            )
        if acceptes and self.constater:
            self._constater(conn, acceptes)

    def _constater(self, conn: Connection[Any], acceptes: Sequence[Créance.PaiementAccepté]) -> None:
        """Inscrit l'affichage ; l'ordre d'écriture est pris avant de charger, si bien qu'aucun flux ne peut bouger."""
        self.recorder.take_order(conn)
        creances = self.recorder.load(conn, [fait.originator_id for fait in acceptes])
        maintenant = self.horloge()
        for fait in acceptes:
            creances[fait.originator_id].afficher_paiement(fait.transaction, maintenant=maintenant)
        self.recorder.record(conn, Batch(entries=collect(creances.values(), CAUSE)))


async def etat_du_delai(conn: AsyncConnection[Any], maintenant: datetime, delai: timedelta) -> dict[str, Any]:
    """L'horloge des 24 h : affichés, en attente, la plus vieille attente (secondes), dépassements, centiles."""
    parametres = {"maintenant": maintenant, "delai_s": delai.total_seconds()}
    ligne = await (await conn.execute(_ETAT, parametres)).fetchone()
    affiches, en_attente, plus_ancien, depasses, centiles = ligne or (0, 0, None, 0, None)
    p50, p95, p99 = (float(c) for c in centiles) if centiles else (None, None, None)
    return {
        "delai_secondes": int(delai.total_seconds()),
        "affiches": affiches,
        "en_attente": en_attente,
        "plus_ancien_en_attente_secondes": float(plus_ancien) if plus_ancien is not None else None,
        "depasses": depasses,
        "secondes_p50": p50,
        "secondes_p95": p95,
        "secondes_p99": p99,
    }


def _reference(fait: Créance.Event) -> str:
    return fait.originator_id.removeprefix("creance-")
