"""Where we are on each partition in our care: PostgreSQL is believed, Kafka only shows the lag."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, LogTruncationError
from kafka.structs import OffsetAndMetadata
from psycopg import Connection

from engine import kafka_clients as clients
from engine import kafka_reader as lecteur
from engine import positions as places
from engine import tracing
from engine.batch import Advance, Partition
from engine.database import Database
from engine.kafka_records import UnreadableBatch
from engine.messages import Message, correlation_of, kafka_time

READINGS: Final = 3
"""How many times a batch is read before it is held to be unreadable: once, the network may have spoilt it."""


class Placement:
    """The partitions of a topic that the group gives into our care, and the next position to read of each."""

    def __init__(self, base: Database, topic: str, consommateur: str) -> None:
        """`consommateur`: its name, for the log of technical events."""
        self.base = base
        self.topic = topic
        self.topic_id: UUID | None = None
        self.attendues: dict[int, int] = {}
        """The next position to read, by partition; a stopped partition is not in it."""
        self.arretees: list[int] = []
        self._partitions: dict[int, Partition] = {}
        self._unread: dict[int, tuple[int, int]] = {}
        """By partition: the last position that could not be read, and how many times in a row."""
        self._log = structlog.get_logger().bind(consommateur=consommateur)

    # --- Taking place ------------------------------------------------------------------------------------------------

    def placer(self, consommateur: KafkaConsumer, partitions: Sequence[int]) -> None:
        """Take place, on each partition, at the position that PostgreSQL knows (0 if it was never read)."""
        topic_id = lecteur.identifiant(consommateur, self.topic)
        if topic_id is None:
            raise clients.TopicUnknown(self.topic)
        with self.base.transaction() as conn:
            ancien = places.encounter(conn, self.topic, topic_id)
            trouvees = places.places(conn, self.topic, topic_id, partitions)
        if ancien is not None:
            self._log.error("topic_recree", ancien=str(ancien), nouveau=str(topic_id))
        self.arretees = sorted(numero for numero, place in trouvees.items() if place.arretee)
        if self.arretees:
            self._log.error("partitions_arretees", partitions=self.arretees)
        self.topic_id = topic_id
        self._partitions = {numero: place.partition for numero, place in trouvees.items()}
        self.attendues = {numero: place.position for numero, place in trouvees.items() if not place.arretee}
        consommateur.resume(*(TopicPartition(self.topic, numero) for numero in self.attendues))
        consommateur.pause(*(TopicPartition(self.topic, numero) for numero in self.arretees))
        for numero, place in trouvees.items():
            consommateur.seek(TopicPartition(self.topic, numero), place.position)
        self._log.info("place", topic_id=str(topic_id), positions=self.attendues)

    def oublier(self) -> None:
        """The partitions are no longer ours: nothing that remains of them may be handled."""
        self.attendues, self.arretees = {}, []

    def is_recreated(self, consommateur: KafkaConsumer) -> bool:
        """Whether the topic is no longer the one where we took place, by the last news."""
        actuel = lecteur.identifiant(consommateur, self.topic)
        return actuel is not None and self.topic_id is not None and actuel != self.topic_id

    def is_gone(self, consommateur: KafkaConsumer) -> bool:
        """Whether the topic where we took place is gone, by the last news."""
        return self.topic_id is not None and lecteur.identifiant(consommateur, self.topic) is None

    # --- Moving ------------------------------------------------------------------------------------------------------

    def retenir(self, lots: Mapping[TopicPartition, Sequence[Any]]) -> list[Message]:
        """The messages read, without those of a reading from before we last took place."""
        messages = []
        maintenant, traced = datetime.now(UTC), tracing.is_on()
        for tp, enregistrements in lots.items():
            attendue = self.attendues.get(tp.partition)
            if attendue is None:
                continue
            partition = self._partitions[tp.partition]
            messages += [
                Message(
                    partition,
                    lu.offset,
                    lu.key,
                    lu.value or b"",
                    kafka_time(lu.timestamp, maintenant),
                    correlation=correlation_of(lu.headers or ()),
                    trace=tracing.trace_of(lu.headers or ()) if traced else None,
                )
                for lu in enregistrements
                if lu.offset >= attendue
            ]
        return messages

    def advances(self, messages: Sequence[Message]) -> list[Advance]:
        """From the position loaded to the last message of the batch, for each partition."""
        derniers = {message.partition: message.offset for message in messages}
        return [
            Advance(partition, self.attendues[partition.partition], dernier + 1)
            for partition, dernier in derniers.items()
        ]

    def avancer(self, advances: Sequence[Advance]) -> None:
        """These advances are recorded."""
        for avancee in advances:
            self.attendues[avancee.partition.partition] = avancee.jusqu_a

    def montrer(self, consommateur: KafkaConsumer) -> None:
        """Tell Kafka where we are; if it forgets, nothing is lost."""
        positions = {
            TopicPartition(self.topic, partition): OffsetAndMetadata(position, "", -1)
            for partition, position in self.attendues.items()
        }
        with suppress(KafkaError):
            consommateur.commit_async(positions)

    # --- What Kafka no longer keeps ----------------------------------------------------------------------------------

    def check_bounds(self, consommateur: KafkaConsumer) -> bool:
        """Compare our positions with what Kafka keeps: it has just refused one. False if the topic has changed.

        Before the start, retention has deleted messages never read: the loss is counted, and we jump to the start.
        Beyond the end, the same topic became shorter: what is written before our position would be skipped without a
        sound, and nobody knows since when. So the partition stops, for good, and the others go on.
        """
        if lecteur.refresh_topic_id(consommateur, self.topic)() != self.topic_id:
            return False  # These bounds would be another topic's.
        attendues = dict(self.attendues)
        debuts, fins = lecteur.bornes(consommateur, self.topic, list(attendues))
        for numero, position in attendues.items():
            if position < debuts[numero]:
                self._perdre(numero, debuts[numero])
                consommateur.seek(TopicPartition(self.topic, numero), debuts[numero])
        raccourcies = {numero: fins[numero] for numero, position in attendues.items() if position > fins[numero]}
        if raccourcies:
            self.arreter(raccourcies)
            consommateur.pause(*(TopicPartition(self.topic, numero) for numero in raccourcies))
        return True

    def stop_for(self, accident: LogTruncationError | UnreadableBatch) -> bool:
        """Stop what this accident of the log touches, the others go on; return whether the role has more to say of it.

        A batch is read `READINGS` times before it is held to be unreadable. It is not skipped then: the broker may be
        mended, or another copy be sound. A person decides.
        """
        if isinstance(accident, LogTruncationError):
            ends = accident.divergent_offsets.items()
            self.arreter({tp.partition: where.offset if where else 0 for tp, where in ends})
            return False
        number = accident.where.partition
        position = self.attendues.get(number)
        if position is None:
            return False
        before, times = self._unread.get(number, (position, 0))
        self._unread[number] = position, times + 1 if before == position else 1
        if self._unread[number][1] < READINGS:
            return False
        self._log.error("lot_illisible", partition=number, position=position, cause=str(accident))
        self.arreter({number: position})
        return True

    def arreter(self, fins: Mapping[int, int]) -> None:
        """Stop partitions, in such a way that no other process, nor this one started again, takes them up.

        `fins`: the end of each, before our position, or our position itself where what lies there cannot be read; a
        partition that is not ours is ignored.
        """
        notres = {numero: fin for numero, fin in fins.items() if numero in self.attendues}
        with self.base.transaction() as conn:
            for numero, fin in notres.items():
                places.arreter(conn, self._partitions[numero], self.attendues[numero], fin)
        for numero, fin in notres.items():
            position = self.attendues.pop(numero)
            self.arretees.append(numero)
            if fin < position:
                self._log.error("position_au_dela_de_la_fin", partition=numero, position=position, fin=fin)

    def must_replace(self, conn: Connection[Any]) -> bool:
        """Whether we are no longer where the log says: a person took up a stopped partition, or a backup came back.

        An older backup restored under us leaves us further than the log: what lies between is to be read again.
        """
        if self.topic_id is None or not (self.attendues or self.arretees):
            return False
        found = places.places(conn, self.topic, self.topic_id, [*self.attendues, *self.arretees])
        behind = {
            number: (place.position, self.attendues[number])
            for number, place in found.items()
            if place.position < self.attendues.get(number, 0)
        }
        if behind:
            self._log.error("positions_en_recul", positions=behind)
        return bool(behind) or not all(found[number].arretee for number in self.arretees)

    def _perdre(self, numero: int, debut: int) -> None:
        depuis = self.attendues[numero]
        with self.base.transaction() as conn:
            places.perdre(conn, self._partitions[numero], depuis, debut)
        self.attendues[numero] = debut
        self._log.error("messages_perdus", partition=numero, depuis=depuis, jusqu_a=debut, messages=debut - depuis)
