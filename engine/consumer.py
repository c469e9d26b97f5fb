"""The loop: read a batch of messages, decide, record everything as one block with the position read.

The positions recorded in PostgreSQL are the truth; those that Kafka keeps only show the lag. Killed anywhere, the loop
goes on from the last committed position: each message counts exactly once.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

import structlog
from kafka import KafkaConsumer
from kafka.errors import KafkaError, LogTruncationError, OffsetOutOfRangeError
from psycopg import Connection

from engine import kafka_clients as clients
from engine import kafka_reader as lecteur
from engine import tracing, waiting_room
from engine.backoff import BACKOFF_MAX_S, Backoff
from engine.batch import Batch, Settled
from engine.conflicts import Conflict, PositionConflict
from engine.database import Database
from engine.dead_letters import DeadLetters
from engine.decision import decide
from engine.kafka_records import UnreadableBatch
from engine.listener import Listener
from engine.messages import Message, Outcome, add_fate
from engine.outages import describe, is_outage
from engine.placement import Placement
from engine.recorder import Recorder
from engine.role_state import RoleState

REJECTED: Final = "rejetee"
"""The fate of a message that no decision could take."""

Prendre = Callable[[Connection[Any], Sequence[Message], datetime], Outcome]

PLACE_MAX_S: Final = 30.0
"""How long a consumer may be without an answer about its share before it joins anew (seconds).

A member whose share is empty has its answer: there are more of them than partitions.
"""


class UnexpectedFault(Exception):
    """A fault in deciding a batch or recording it: a defect of the code, or data that the database refuses."""


class TopicRecreated(PositionConflict):
    """The topic is no longer the one whose positions we hold: these messages may have been read from the new one."""


class Consumer:
    """Consumes a topic, in batches, in a group."""

    def __init__(
        self,
        *,
        nom: str,
        topic: str,
        base: Database,
        recorder: Recorder,
        prendre: Prendre,
        rebuts: DeadLetters,
        kafka: Mapping[str, Any],
        groupe: str,
        lot_max: int = 500,
        attente_s: float = 0.5,
        place_max_s: float = PLACE_MAX_S,
        horloge: Callable[[], datetime] = lambda: datetime.now(UTC),
        etape: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`kafka`: the connection's settings, by kafka-python's names. `etape` is called between two steps."""
        self.nom = nom
        self.topic = topic
        self.base = base
        self.recorder = recorder
        self.prendre = prendre
        self.rebuts = rebuts
        self.kafka = kafka
        self.groupe = groupe
        self.lot_max = lot_max
        self.attente_s = attente_s
        self.place_max_s = max(place_max_s, 2 * kafka.get("max_poll_interval_ms", 0) / 1000)
        self.horloge = horloge
        self.etape = etape
        self._log = structlog.get_logger().bind(consommateur=nom)
        self._etat = RoleState(base.url, nom)
        self._reprise = Backoff(self._log, "consommateur_interrompu")
        self.placement = Placement(base, topic, nom)
        self._identifiant: Callable[[], UUID | None] = lambda: None
        """The topic's id, asked for again after the last reading; None: the topic is gone, the batch is not."""
        self._a_replacer = False
        self._a_verifier = False
        self._ouvert_a = 0.0
        self._awaited: set[str] | None = set()
        """The streams that messages wait for and that the last batches touched; None: some of all, once in a while,
        since a stream may have been mended."""
        self._looked_to = 0
        """The rank up to which all were looked at: those that nothing will release keep the others from nothing."""

    # --- The loop ---------------------------------------------------------------------------------------------------

    def run(self, arret: threading.Event) -> None:
        """Consume until asked to stop; come back alone from an outage of Kafka or PostgreSQL, and tell it."""
        while not arret.is_set():
            try:
                self._consommer(arret)
            except Exception as erreur:  # noqa: BLE001 (every failure is kept, then tried again)
                attente_s = self._reprise.fail(erreur)
                self._etat.interrupt(erreur)
                if isinstance(erreur, clients.GroupStuck):
                    self._log.error("groupe_dissous", groupe=self.groupe, dit=lecteur.dissolve(self.kafka, self.groupe))
                arret.wait(attente_s)

    def _consommer(self, arret: threading.Event) -> None:
        consommateur = lecteur.ouvrir(self.kafka, groupe=self.groupe, client=self.nom, lot_max=self.lot_max)
        self._ouvert_a = time.monotonic()
        self.placement.topic_id = None
        try:
            # Known before joining the group: a leader that knows nothing of it yet would give nothing to anybody.
            if not consommateur.partitions_for_topic(self.topic):
                raise clients.TopicUnknown(self.topic)
            ecoute = Listener(self.placement, consommateur)
            consommateur.subscribe([self.topic], listener=ecoute)
            while not arret.is_set():
                ecoute.require_answer(self.groupe, self.place_max_s)
                self._battre(consommateur)
                self._tour(consommateur)
                if self._awaited is None or self._awaited:
                    self.release()
        finally:
            lecteur.fermer(consommateur, settle=arret.is_set())
        with self.base.transaction() as conn:
            self._etat.dire(conn, "inactif")

    def _tour(self, consommateur: KafkaConsumer) -> None:
        """Read a batch and record it."""
        if self.placement.is_gone(consommateur):
            # Gone. Staying in the group would not do: recreated, its leader may know nothing of it when it shares out.
            raise clients.TopicUnknown(self.topic)
        if self._a_replacer or self.placement.is_recreated(consommateur):
            self.placement.placer(consommateur, [tp.partition for tp in consommateur.assignment()])
            self._a_replacer = False
        if self._a_verifier:
            self._a_verifier = self._a_replacer = not self.placement.check_bounds(consommateur)
        self.etape("lire")
        try:
            lots = lecteur.poll(consommateur, 0 if self._awaited else self.attente_s)
        except OffsetOutOfRangeError:
            self._a_verifier = True
            return
        except (LogTruncationError, UnreadableBatch) as accident:
            self._a_replacer = True
            if self.placement.stop_for(accident):
                self._etat.interrupt(accident)
            return
        messages = self.placement.retenir(lots)
        if not messages:
            return
        self._identifiant = lecteur.refresh_topic_id(consommateur, self.topic)  # Answers while we decide.
        try:
            with tracing.consumed(self.topic, messages):
                self.enregistrer(messages)
        except PositionConflict as conflit:
            # Another consumer has read these messages already, or they are not those we took them for.
            self._log.warning("lot_abandonne", messages=len(messages), cause=type(conflit).__name__)
            self._a_replacer = True
            return
        self._reprise.progress()
        self.placement.montrer(consommateur)
        self.etape("suite")

    # --- What waited ------------------------------------------------------------------------------------------------

    def release(self) -> None:
        """Apply what waited and can be applied, one stream at a time, in order; the rest goes on waiting."""
        streams, self._awaited = self._awaited, set()
        with self.base.transaction() as conn:
            ones = waiting_room.waiting(conn, self.topic, streams, after=self._looked_to if streams is None else 0)
        if streams is None:
            full = len(ones) == waiting_room.STREAMS_MAX
            self._looked_to = max(one.first for one in ones) if full else 0
        for stream, messages, _ in ones:
            if self._lift(stream, messages) and len(messages) == waiting_room.MESSAGES_MAX:
                self._awaited.add(stream)  # The next ones of it, once the line has gone on.

    def _lift(self, stream: str, messages: Sequence[Message]) -> int:
        """Apply these, in order; return how many no longer wait. A faulty one is rejected alone, as in a batch."""
        try:
            applied = decide(self.base, self.recorder, partial(self._release, messages, self.prendre))
        except PositionConflict:
            return 0  # Somebody else did.
        except Exception as erreur:
            if is_outage(erreur):
                raise
            self._log.exception("attente_fautive", flux=stream, messages=len(messages))
            if milieu := len(messages) // 2:
                return self._lift(stream, messages[:milieu]) + self._lift(stream, messages[milieu:])
            rejeter = _rejeter(f"faute imprévue : {describe(erreur)}")
            return decide(self.base, self.recorder, partial(self._release, messages, rejeter))
        if applied:
            self._log.info("attente_levee", flux=stream, messages=applied)
        return applied

    def _release(self, messages: Sequence[Message], prendre: Prendre, conn: Connection[Any]) -> int:
        traitement = prendre(conn, messages, self.horloge())
        lot = traitement.lot
        lot.settled = [Settled(fate.partition, fate.offset, fate.sort, fate.cause) for fate in lot.fates]
        lot.fates = []
        self.rebuts.produire(traitement.rebuts)
        self.etape("lever")
        self.recorder.record(conn, lot)
        return len(lot.settled)

    # --- A batch ------------------------------------------------------------------------------------------------------

    def enregistrer(self, messages: Sequence[Message]) -> None:
        """Decide a batch and record it as one block with its positions.

        An unexpected fault (a defect of the code, data that PostgreSQL refuses) does not hold up the other messages:
        the batch is cut in two until the faulty one is alone, which is rejected with its cause and goes to the dead
        letters. An outage is nobody's fault: it goes up as it is, and nothing is recorded.

        Raises PositionConflict if somebody else has read these messages.
        """
        try:
            self._enregistrer(messages, self.prendre)
        except UnexpectedFault as faute:
            self._log.exception("lot_fautif", messages=len(messages), origine=messages[0].origine)
            if len(messages) > 1:
                milieu = len(messages) // 2
                self.enregistrer(messages[:milieu])
                self.enregistrer(messages[milieu:])
            else:
                self._enregistrer(messages, _rejeter(f"faute imprévue : {faute}"))

    def _enregistrer(self, messages: Sequence[Message], prendre: Prendre) -> None:
        maintenant = self.horloge()
        advances = self.placement.advances(messages)
        mis_au_rebut: set[tuple[int, int]] = set()
        touches: set[str] = set()

        def decision(conn: Connection[Any]) -> None:
            self.etape("decider")
            traitement = prendre(conn, messages, maintenant)
            if self._identifiant() not in {None, self.placement.topic_id}:
                raise TopicRecreated(self.topic)
            traitement.lot.advances = advances
            self.etape("rebuter")
            nouveaux = [
                rebut
                for rebut in traitement.rebuts
                if (rebut.message.partition.partition, rebut.message.offset) not in mis_au_rebut
            ]
            self.rebuts.produire(nouveaux)
            mis_au_rebut.update((rebut.message.partition.partition, rebut.message.offset) for rebut in nouveaux)
            self.etape("inscrire")
            self.recorder.record(conn, traitement.lot)
            self.etape("valider")
            touches.update(traitement.awaited)

        try:
            decide(self.base, self.recorder, decision)
        except (Conflict, KafkaError):  # Kafka is asked within the decision: its absence is no message's fault.
            raise
        except Exception as erreur:
            if is_outage(erreur):
                raise
            raise UnexpectedFault(describe(erreur)) from erreur
        self.etape("valide")
        self.placement.avancer(advances)
        if self._awaited is not None:
            self._awaited |= touches

    def _battre(self, consommateur: KafkaConsumer) -> None:
        """Give a sign of life, as long as Kafka gives some too. Raises KafkaUnreachable."""
        clients.require_news(consommateur._cluster)  # noqa: SLF001 (see `engine.kafka_clients`)
        if self._etat.is_due:
            with self.base.transaction() as conn:
                self._etat.dire(conn, "actif")
                self._a_replacer |= self.placement.must_replace(conn)
            self._awaited = None
            self.rebuts.produire([])  # Those that waited for their topic.
            if time.monotonic() - self._ouvert_a > BACKOFF_MAX_S:
                self._reprise.progress()  # Nothing to read, but all answer.


def _rejeter(cause: str) -> Prendre:
    def prendre(_conn: Connection[Any], messages: Sequence[Message], _maintenant: datetime) -> Outcome:
        traitement = Outcome(Batch(), [])
        for message in messages:
            add_fate(traitement, message, REJECTED, cause, objet=None, champs={}, dead=True)
        return traitement

    return prendre
