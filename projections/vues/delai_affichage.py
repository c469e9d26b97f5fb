"""La vue `delai_affichage` : l'horloge des 24 h, de l'acceptation par la banque à l'affichage sur le compte.

C'est le seul suiveur qui écrive aussi au journal : lisant derrière la position *validée* de `restant_du`, il constate
que le compte montre le paiement et inscrit `PaiementAffiché`, dans la transaction même où il avance. Un paiement que
le compte ne montre pas (événement écarté de `restant_du`, ligne perdue) n'est pas affiché : son horloge court, et il
est essayé de nouveau tant qu'il n'est pas montré.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, TypeAlias

import structlog
from eventsourcing.persistence import MapperDeserialisationError
from psycopg import AsyncConnection, Connection

from domain.agregats import AGREGATS
from domain.creance import Créance
from domain.paiement import Paiement
from domain.references import ReferenceTransaction
from engine.batch import Batch
from engine.mapper import EventMapper
from engine.outages import is_outage
from engine.recorder import RecordedEvent, Recorder, collect
from projections.effets import TOPICS_DU_DELAI
from projections.vues.restant_du import montrees

CAUSE: Final = "affichage:restant_du"

REPRIS_MAX: Final = 500
"""Parts que le compte ne montrait pas, essayées de nouveau ensemble, au plus."""

Part: TypeAlias = tuple[str, str]
"""Une part acceptée : (transaction, référence de la créance)."""

# Démarre l'horloge de chaque part acceptée.
_DEMARRER: Final = """
INSERT INTO vues.delai_affichage (transaction, reference, accepte_le, version, montree)
SELECT * FROM unnest(%b::text[], %b::text[], %b::timestamptz[], %b::int8[], %b::bool[])
"""

# L'arrête quand la part est affichée.
_ARRETER: Final = """
UPDATE vues.delai_affichage AS d SET affiche_le = a.affiche_le, montree = true
FROM unnest(%b::text[], %b::text[], %b::timestamptz[]) AS a (transaction, reference, affiche_le)
WHERE d.transaction = a.transaction AND d.reference = a.reference
"""

# Les parts que le compte ne montrait pas, la plus ancienne d'abord : aucune, le plus souvent.
_A_MONTRER: Final = """
SELECT transaction, reference, version FROM vues.delai_affichage WHERE NOT montree ORDER BY accepte_le
"""

_MONTRER: Final = "UPDATE vues.delai_affichage SET montree = true WHERE transaction = %b AND reference = %b"

# Où en est la vue.
_POSITION: Final = "SELECT position FROM vues.suiveurs WHERE nom = 'delai_affichage'"

# Ce que le journal dit de plus que la vue : au-delà de sa position, et ce qu'elle a écarté (par un index à lui).
_AU_DELA: Final = f"""
SELECT flux, version, topic, etat FROM journal.evenements
WHERE position > %s AND topic IN ({", ".join(f"'{topic}'" for topic in sorted(TOPICS_DU_DELAI))})
UNION ALL
SELECT e.flux, e.version, e.topic, e.etat FROM vues.ecartes x JOIN journal.evenements e USING (position)
WHERE x.suiveur = 'delai_affichage' AND x.position <= %s
ORDER BY flux, version
"""  # noqa: S608 (des topics du domaine)

# Les parts que la vue dit en attente : par un index qui ne tient qu'elles.
_EN_ATTENTE: Final = "SELECT transaction, reference, accepte_le FROM vues.delai_affichage WHERE affiche_le IS NULL"

# Ce que la banque a dit de ces paiements.
_CONCLUS: Final = """
SELECT flux, version, topic, etat FROM journal.evenements WHERE flux = ANY (%s) AND topic = %s
"""

# L'état de l'horloge, par paiement : affiché quand sa dernière part l'est ; la vue, et ce que le journal dit de plus.
_ETAT: Final = """
WITH parts AS (
    SELECT transaction, coalesce(d.accepte_le, n.accepte_le) AS accepte_le,
           coalesce(d.affiche_le, n.affiche_le) AS affiche_le
    FROM vues.delai_affichage d
    FULL JOIN unnest(%(transactions)s::text[], %(references)s::text[], %(acceptes)s::timestamptz[],
                     %(affiches)s::timestamptz[]) AS n (transaction, reference, accepte_le, affiche_le)
         USING (transaction, reference)
), par_paiement AS (
    SELECT transaction, min(accepte_le) AS accepte_le,
           CASE WHEN count(*) = count(affiche_le) THEN max(affiche_le) END AS affiche_le
    FROM parts WHERE accepte_le IS NOT NULL GROUP BY transaction
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
        acceptes = {_part(lu.event): lu.event for lu in faits if isinstance(lu.event, Créance.PaiementAccepté)}
        affiches = [lu.event for lu in faits if isinstance(lu.event, Créance.PaiementAffiché)]
        versions = {part: fait.originator_version for part, fait in acceptes.items()}
        vues = montrees(conn, versions) if self.constater else set()
        if acceptes:
            conn.execute(
                _DEMARRER,
                (
                    [transaction for transaction, _ in acceptes],
                    [reference for _, reference in acceptes],
                    [fait.accepte_le for fait in acceptes.values()],
                    [fait.originator_version for fait in acceptes.values()],
                    [part in vues for part in acceptes],
                ),
            )
        if affiches:
            conn.execute(
                _ARRETER,
                (
                    [a.transaction for a in affiches],
                    [Créance.reference_de(a.originator_id) for a in affiches],
                    [a.affiche_le for a in affiches],
                ),
            )
        if vues:
            self._constater(conn, [part for part in acceptes if part in vues])

    def _constater(self, conn: Connection[Any], parts: Iterable[Part]) -> None:
        """Inscrit l'affichage ; l'ordre d'écriture est pris avant de charger, si bien qu'aucun flux ne peut bouger."""
        flux = {part: Créance.flux(part[1]) for part in parts}
        self.recorder.take_order(conn)
        creances: Mapping[str, Créance] = self.recorder.load(conn, flux.values())
        maintenant = self.horloge()
        for (transaction, _), nom in flux.items():
            creances[nom].afficher_paiement(ReferenceTransaction(transaction), maintenant=maintenant)
        self.recorder.record(conn, Batch(entries=collect(creances.values(), CAUSE)))


class Attente(NamedTuple):
    """Un paiement accepté que le compte ne montre pas encore."""

    transaction: str
    accepte_le: datetime
    """Le départ de son horloge."""
    presume: bool
    """Vrai si l'heure de la banque n'était pas crédible : le départ est celui de la réception."""


class _AuDela:
    """Ce que le journal dit des horloges au-delà de la vue : juste même si son suiveur est arrêté."""

    def __init__(self, lignes: Iterable[tuple[str, int, str, bytes]]) -> None:
        """Les faits illisibles sont laissés : l'audit les nomme."""
        mapper = EventMapper(AGREGATS)
        self.acceptes: dict[Part, datetime] = {}
        self.affiches: dict[Part, datetime] = {}
        for ligne in lignes:
            try:
                fait = mapper.lire(*ligne)
            except MapperDeserialisationError:
                continue
            if isinstance(fait, Créance.PaiementAccepté):
                self.acceptes[_part(fait)] = fait.accepte_le
            elif isinstance(fait, Créance.PaiementAffiché):
                self.affiches[_part(fait)] = fait.affiche_le

    def parametres(self) -> dict[str, list[Any]]:
        """Une colonne par champ, une ligne par part."""
        parts = list(self.acceptes | self.affiches)
        return {
            "transactions": [transaction for transaction, _ in parts],
            "references": [reference for _, reference in parts],
            "acceptes": [self.acceptes.get(part) for part in parts],
            "affiches": [self.affiches.get(part) for part in parts],
        }


def attentes(conn: Connection[Any]) -> list[Attente]:
    """Les paiements acceptés que le compte ne montre pas, le plus ancien d'abord, d'après le journal."""
    (position,) = conn.execute(_POSITION).fetchone() or (0,)
    au_dela = _AuDela(conn.execute(_AU_DELA, (position, position)))
    parts = {(transaction, ref): accepte_le for transaction, ref, accepte_le in conn.execute(_EN_ATTENTE)}
    departs: dict[str, datetime] = {}
    for part, accepte_le in (parts | au_dela.acceptes).items():
        if part not in au_dela.affiches:
            departs[part[0]] = min(accepte_le, departs.get(part[0], accepte_le))
    presumes = _departs_presumes(conn, departs)
    tries = sorted(departs.items(), key=lambda depart: (depart[1], depart[0]))
    return [Attente(transaction, accepte_le, transaction in presumes) for transaction, accepte_le in tries]


def _departs_presumes(conn: Connection[Any], transactions: Iterable[str]) -> set[str]:
    """Ceux de ces paiements dont l'heure de la banque n'était pas crédible."""
    mapper, flux = EventMapper(AGREGATS), [Paiement.flux(transaction) for transaction in transactions]
    presumes: set[str] = set()
    for ligne in conn.execute(_CONCLUS, (flux, Paiement.PaiementConclu.TOPIC)) if flux else ():
        with suppress(MapperDeserialisationError):
            fait = mapper.lire(*ligne)
            if isinstance(fait, Paiement.PaiementConclu) and fait.depart_presume:
                presumes.add(Paiement.transaction_de(fait.originator_id))
    return presumes


async def etat_du_delai(conn: AsyncConnection[Any], maintenant: datetime, delai: timedelta) -> dict[str, Any]:
    """L'horloge des 24 h : affichés, en attente, la plus vieille attente (secondes), dépassements, centiles."""
    (position,) = await (await conn.execute(_POSITION)).fetchone() or (0,)
    au_dela = _AuDela(await (await conn.execute(_AU_DELA, (position, position))).fetchall())
    parametres = {"maintenant": maintenant, "delai_s": delai.total_seconds()} | au_dela.parametres()
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


def _part(fait: Créance.PaiementAccepté | Créance.PaiementAffiché) -> Part:
    return fait.transaction, Créance.reference_de(fait.originator_id)
