"""Le recorder : écrire un lot d'un bloc, dans l'ordre où les transactions se valident, et lire des flux.

**L'ordre.** Un suiveur lit le journal par positions croissantes. Il ne manque rien si les positions apparaissent dans
l'ordre où les transactions se valident ; c'est ce que garantit un verrou consultatif, pris juste avant d'écrire les
événements et rendu par la validation. Le `LOCK TABLE` de la bibliothèque attendrait derrière VACUUM et demanderait plus
que le droit d'INSERT.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from eventsourcing.persistence import (
    ApplicationRecorder,
    MapperDeserialisationError,
    Notification,
    StoredEvent,
    Subscription,
)
from psycopg import Connection, Pipeline
from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb
from pydantic_core import to_json

from domain.faits import Agregat, Fait
from engine import waiting_room
from engine.batch import Advance, Batch, Entry, Fate, IdempotencyKey, Partition
from engine.clocks import AHEAD_MAX
from engine.conflicts import traduire
from engine.database import Database
from engine.mapper import EventMapper, UnreadableStream
from engine.outages import describe

ORDER_LOCK: Final = 0x6F72647265
"""Clé du verrou consultatif qui ordonne les écritures (« ordre » en ASCII)."""

CANAL: Final = "journal"
"""Canal NOTIFY : réveille les suiveurs."""

ORDER_HELD_MAX_S: Final = 10.0
"""How long a writer that is frozen or cut off may keep the others from writing (seconds)."""

# Takes the write order until the end of the transaction; apart, so that the next statement sees everything. From then
# on this session may not stay silent: PostgreSQL ends it, and so frees the order.
_ORDONNER: Final = """
SELECT pg_advisory_xact_lock(%b::int8), set_config('idle_in_transaction_session_timeout', %b, true),
       set_config('creances.au_plus_tard', %b, true)
"""

# The same from PostgreSQL 17 on, where a transaction itself has a bound, also while it waits in a pipeline.
_ORDONNER_17: Final = """
SELECT pg_advisory_xact_lock(%b::int8), set_config('transaction_timeout', %b, true),
       set_config('creances.au_plus_tard', %b, true)
"""
_VERSION_17: Final = 170_000

# Writes the events of a batch; the database gives them their position and their time (0020_droits.sql): PostgreSQL's,
# never before their predecessor's, and never further ahead of the writer's own clock than `clocks.AHEAD_MAX`.
_ECRIRE_EVENEMENTS: Final = """
INSERT INTO journal.evenements (flux, version, topic, etat, cause)
SELECT e.flux, e.version, e.topic, e.etat, e.cause
FROM unnest(%b::text[], %b::int8[], %b::text[], %b::bytea[], %b::text[])
     WITH ORDINALITY AS e (flux, version, topic, etat, cause, rang)
ORDER BY e.rang
RETURNING position
"""

# Réveille les suiveurs à la validation.
_REVEILLER: Final = f"NOTIFY {CANAL}"

# Avance les positions Kafka lues, une ligne par partition du lot.
_ECRIRE_POSITIONS: Final = """
INSERT INTO journal.positions (topic_id, topic, partition, depuis, jusqu_a)
SELECT * FROM unnest(%b::uuid[], %b::text[], %b::int4[], %b::int8[], %b::int8[])
"""

# Enregistre le sort de chaque message du lot, et avance leurs comptes.
_ECRIRE_SORTS: Final = """
WITH ecrits AS (
    INSERT INTO journal.sorts (topic_id, topic, partition, decalage, sort, cause, objet, empreinte, champs)
    SELECT * FROM unnest(%b::uuid[], %b::text[], %b::int4[], %b::int8[], %b::text[], %b::text[], %b::text[],
                         %b::bytea[], %b::jsonb[])
    RETURNING topic_id, topic, partition, sort
)
INSERT INTO vues.sorts AS s (topic_id, topic, partition, sort, messages)
SELECT topic_id, topic, partition, sort, count(*) FROM ecrits GROUP BY topic_id, topic, partition, sort
ORDER BY topic_id, partition, sort
ON CONFLICT (topic_id, partition, sort) DO UPDATE SET messages = s.messages + excluded.messages
"""

# Enregistre la réponse donnée à une requête.
_ECRIRE_CLE: Final = """
INSERT INTO journal.cles_idempotence (auteur, cle, empreinte, reponse, correlation) VALUES (%b, %b, %b, %b, %b)
"""

# Retrouve la réponse donnée à une requête.
_LIRE_CLE: Final = "SELECT empreinte, reponse FROM journal.cles_idempotence WHERE auteur = %b AND cle = %b"

# Charge des flux entiers, du plus ancien fait au plus récent.
_LIRE_FLUX: Final = """
SELECT flux, version, topic, etat FROM journal.evenements WHERE flux = ANY (%b::text[]) ORDER BY flux, version
"""

# Lit une tranche d'un flux, pour la bibliothèque.
_LIRE_TRANCHE: Final = """
SELECT flux, version, topic, etat FROM journal.evenements
WHERE flux = %s AND version > %s AND (%s::int8 IS NULL OR version <= %s::int8) ORDER BY version LIMIT %s
"""
_LIRE_TRANCHE_A_REBOURS: Final = _LIRE_TRANCHE.replace("ORDER BY version", "ORDER BY version DESC")

# Raconte un flux : chaque fait avec sa cause et son heure d'enregistrement.
_RACONTER: Final = """
SELECT position, flux, version, topic, etat, cause, enregistre_le FROM journal.evenements
WHERE flux = %b
  AND (%b::int8 IS NULL OR version <= %b::int8)
  AND (%b::timestamptz IS NULL OR enregistre_le <= %b::timestamptz)
ORDER BY version
"""

# La position suivante à lire de chaque partition d'un topic.
_LIRE_POSITIONS: Final = """
SELECT partition, max(jusqu_a) FROM journal.positions WHERE topic_id = %b GROUP BY partition
"""

# Un numéro de transaction encore libre aujourd'hui.
_NUMERO_SUIVANT: Final = "SELECT nextval('journal.numeros_de_transaction')"


class RecordedEvent(NamedTuple):
    """Un fait du journal et les circonstances de son enregistrement."""

    position: int
    event: Fait
    cause: str
    enregistre_le: datetime


class Recorder(ApplicationRecorder):
    """Le recorder du service ; il est aussi celui que la bibliothèque attend (`ApplicationRecorder`).

    Toutes ses méthodes à `conn` s'inscrivent dans la transaction de l'appelant.
    """

    def __init__(
        self,
        base: Database,
        mapper: EventMapper | None = None,
        *,
        order_held_max_s: float = ORDER_HELD_MAX_S,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Écrit et lit dans cette base, avec ce mapper ; voir `take_order` pour `order_held_max_s`."""
        self.base = base
        self._clock = clock
        self._held_max = f"{round(order_held_max_s * 1000)}ms"
        self.mapper = mapper or EventMapper()

    # --- Écrire ------------------------------------------------------------------------------------------------------

    def record(self, conn: Connection[Any], lot: Batch) -> list[int]:
        """Écrit le lot, une instruction par table ; rend les positions des événements.

        Les instructions partent sans attendre la réponse de la précédente : PostgreSQL écrit les sorts pendant que les
        faits sont encore mis en octets.

        Lève PositionConflict, ConflitDeClé ou VersionConflict ; la transaction est alors perdue.
        """
        try:
            with conn.pipeline() as pipeline:
                self._ecrire_positions(conn, lot.advances)
                self._ecrire_sorts(conn, lot.fates)
                self._ecrire_cle(conn, lot.cle)
                waiting_room.hold(conn, lot.held)
                waiting_room.settle(conn, lot.settled)
                return self._ecrire_evenements(
                    conn,
                    [self.mapper.to_stored_event(inscription.event) for inscription in lot.entries],
                    [inscription.cause for inscription in lot.entries],
                    pipeline,
                )
        except UniqueViolation as violation:
            raise traduire(violation) from violation

    def take_order(self, conn: Connection[Any], pipeline: Pipeline | None = None) -> None:
        """Take the write order now: until the transaction ends, no stream can advance any further.

        It is held for `order_held_max_s` at most: a writer that is frozen or cut off loses it. Inside a pipeline,
        before its Sync, PostgreSQL before 17 takes a silent client for a busy one and no time-out applies: Sync first.
        """
        latest = (self._clock() + AHEAD_MAX).isoformat()
        if conn.info.server_version >= _VERSION_17:
            conn.execute(_ORDONNER_17, (ORDER_LOCK, self._held_max, latest))
            return
        conn.execute(_ORDONNER, (ORDER_LOCK, self._held_max, latest))
        if pipeline is not None:
            pipeline.sync()

    def next_number(self, conn: Connection[Any]) -> int:
        """Un numéro de transaction, de 1 à 999 999, en cycle."""
        (numero,) = conn.execute(_NUMERO_SUIVANT).fetchone() or (0,)
        return int(numero)

    def _ecrire_evenements(
        self,
        conn: Connection[Any],
        evenements: Sequence[StoredEvent],
        causes: Sequence[str],
        pipeline: Pipeline | None = None,
    ) -> list[int]:
        if not evenements:
            return []
        self.take_order(conn, pipeline)
        lignes = conn.execute(
            _ECRIRE_EVENEMENTS,
            (
                [evenement.originator_id for evenement in evenements],
                [evenement.originator_version for evenement in evenements],
                [evenement.topic for evenement in evenements],
                [evenement.state for evenement in evenements],
                causes,
            ),
        ).fetchall()
        conn.execute(_REVEILLER)
        return [position for (position,) in lignes]

    def _ecrire_positions(self, conn: Connection[Any], advances: Sequence[Advance]) -> None:
        if advances:
            conn.execute(
                _ECRIRE_POSITIONS,
                (
                    [avancee.partition.topic_id for avancee in advances],
                    [avancee.partition.topic for avancee in advances],
                    [avancee.partition.partition for avancee in advances],
                    [avancee.depuis for avancee in advances],
                    [avancee.jusqu_a for avancee in advances],
                ),
            )

    def _ecrire_sorts(self, conn: Connection[Any], sorts: Sequence[Fate]) -> None:
        if sorts:
            conn.execute(
                _ECRIRE_SORTS,
                (
                    [rendu.partition.topic_id for rendu in sorts],
                    [rendu.partition.topic for rendu in sorts],
                    [rendu.partition.partition for rendu in sorts],
                    [rendu.offset for rendu in sorts],
                    [rendu.sort for rendu in sorts],
                    [rendu.cause for rendu in sorts],
                    [rendu.objet for rendu in sorts],
                    [rendu.empreinte for rendu in sorts],
                    [Jsonb(rendu.champs, to_json) for rendu in sorts],
                ),
            )

    def _ecrire_cle(self, conn: Connection[Any], cle: IdempotencyKey | None) -> None:
        if cle is not None:
            conn.execute(_ECRIRE_CLE, (cle.auteur, cle.cle, cle.empreinte, Jsonb(cle.reponse), cle.correlation))

    # --- Lire --------------------------------------------------------------------------------------------------------

    def load(
        self, conn: Connection[Any], flux: Iterable[str], unreadable: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Reconstitue les agrégats de ces flux, en une requête ; un flux sans événement est absent du résultat.

        Un flux illisible lève UnreadableStream ; avec `unreadable`, il y est nommé, et les autres sont rendus.
        """
        return self.request(conn, flux, unreadable)()

    def request(
        self, conn: Connection[Any], flux: Iterable[str], unreadable: dict[str, str] | None = None
    ) -> Callable[[], dict[str, Any]]:
        """Demande ces flux, en une requête ; ce qui est rendu attend la réponse, et reconstitue leurs agrégats.

        Dans un `conn.pipeline()`, PostgreSQL les cherche dès maintenant et l'appelant n'attend pas. `unreadable` : voir
        `load`.
        """
        noms = list(dict.fromkeys(flux))
        if not noms:
            return dict
        reponse = conn.execute(_LIRE_FLUX, (noms,), binary=True)

        def reconstituer() -> dict[str, Any]:
            agregats: dict[str, Any] = {}
            lire = self.mapper.lire
            for nom, version, topic, etat in reponse.fetchall():
                try:
                    agregats[nom] = lire(nom, version, topic, etat).mutate(agregats.get(nom))
                except MapperDeserialisationError as erreur:
                    if unreadable is None:
                        raise UnreadableStream(nom, str(erreur)) from erreur
                    unreadable.setdefault(nom, str(erreur))
                except Exception as erreur:
                    # Après un événement illisible, ou un trou, les suivants ne s'appliquent pas non plus.
                    if unreadable is None:
                        raise UnreadableStream(nom, describe(erreur)) from erreur
                    unreadable.setdefault(nom, describe(erreur))
            for nom in unreadable or ():
                agregats.pop(nom, None)
            return agregats

        return reconstituer

    def history(
        self, conn: Connection[Any], flux: str, *, a_la_version: int | None = None, au: datetime | None = None
    ) -> list[RecordedEvent]:
        """L'histoire d'un flux, au besoin arrêtée à une version, ou au préfixe du journal enregistré à un instant."""
        lignes = conn.execute(_RACONTER, (flux, a_la_version, a_la_version, au, au))
        return [
            RecordedEvent(position, self.mapper.lire(nom, version, topic, etat), cause, enregistre_le)
            for position, nom, version, topic, etat, cause, enregistre_le in lignes
        ]

    def cle(self, conn: Connection[Any], auteur: str, cle: str) -> IdempotencyKey | None:
        """La réponse déjà donnée à cette clé par cet auteur, s'il y en a une."""
        ligne = conn.execute(_LIRE_CLE, (auteur, cle)).fetchone()
        return IdempotencyKey(auteur, cle, bytes(ligne[0]), ligne[1]) if ligne else None

    def positions(self, conn: Connection[Any], topic_id: UUID) -> dict[int, int]:
        """La position suivante à lire de chaque partition déjà lue de ce topic."""
        return dict(conn.execute(_LIRE_POSITIONS, (topic_id,)).fetchall())

    # --- L'interface de la bibliothèque ------------------------------------------------------------------------------

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """Écrit ces événements seuls, dans une transaction à eux ; `cause` dit pourquoi. Lève VersionConflict."""
        with self._transaction() as conn:
            try:
                return self._ecrire_evenements(
                    conn, stored_events, [kwargs.get("cause", "application")] * len(stored_events)
                )
            except UniqueViolation as violation:
                raise traduire(violation) from violation

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Lit une tranche d'un flux."""
        requete = _LIRE_TRANCHE_A_REBOURS if desc else _LIRE_TRANCHE
        with self._transaction() as conn:
            lignes = conn.execute(requete, (str(originator_id), gt or 0, lte, lte, limit))
            return [StoredEvent(*ligne) for ligne in lignes]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Lit une tranche du journal."""
        premier = (start or 0) + (0 if inclusive_of_start else 1)
        with self._transaction() as conn:
            lignes = conn.execute(
                "SELECT flux, version, topic, etat, position FROM journal.evenements WHERE position >= %s"
                " AND (%s::int8 IS NULL OR position <= %s) AND (%s OR topic = ANY (%s))"
                " ORDER BY position LIMIT %s",
                (premier, stop, stop, not topics, list(topics), limit),
            )
            return [Notification(*ligne) for ligne in lignes]

    def max_notification_id(self) -> int | None:
        """La dernière position du journal ; None s'il est vide."""
        with self._transaction() as conn:
            (derniere,) = conn.execute("SELECT max(position) FROM journal.evenements").fetchone() or (None,)
            return derniere

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        """Non offert : les suiveurs de `engine.follower` lisent par lots."""
        raise NotImplementedError

    @contextmanager
    def _transaction(self) -> Iterator[Connection[Any]]:
        with self.base.transaction() as conn:
            yield conn


def collect(agregats: Iterable[Agregat], cause: str) -> list[Entry]:
    """Recueille les faits que ces agrégats viennent de déclencher, avec leur cause commune."""
    entries = []
    for agregat in agregats:
        entries += [Entry(fait, cause) for fait in agregat.pending_events]  # type: ignore[arg-type]
        agregat.pending_events.clear()
    return entries


__all__ = ["CANAL", "ORDER_LOCK", "Partition", "RecordedEvent", "Recorder", "collect"]
