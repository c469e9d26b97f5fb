"""Où l'on en est de chaque partition confiée : PostgreSQL fait foi, Kafka n'en montre que le retard."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata
from psycopg import Connection

from engine import kafka_clients as clients
from engine import kafka_reader as lecteur
from engine import positions as places
from engine.batch import Advance, Partition
from engine.database import Database
from engine.messages import Message, correlation_of, kafka_time


class Placement:
    """Les partitions d'un topic que le groupe nous confie, et la position suivante à lire de chacune."""

    def __init__(self, base: Database, topic: str, consommateur: str) -> None:
        """`consommateur` : son nom, pour le journal des événements techniques."""
        self.base = base
        self.topic = topic
        self.topic_id: UUID | None = None
        self.attendues: dict[int, int] = {}
        """La position suivante à lire, par partition ; une partition à l'arrêt n'y est pas."""
        self.arretees: list[int] = []
        self._partitions: dict[int, Partition] = {}
        self._log = structlog.get_logger().bind(consommateur=consommateur)

    # --- Prendre place -----------------------------------------------------------------------------------------------

    def placer(self, consommateur: KafkaConsumer, partitions: Sequence[int]) -> None:
        """Se place, sur chaque partition, à la position que PostgreSQL connaît (0 si elle n'a jamais été lue)."""
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
        """Les partitions ne sont plus à nous : rien de ce qui en reste ne doit être traité."""
        self.attendues, self.arretees = {}, []

    def is_recreated(self, consommateur: KafkaConsumer) -> bool:
        """Dit si le topic n'est plus celui où l'on s'est placé, d'après la dernière nouvelle."""
        actuel = lecteur.identifiant(consommateur, self.topic)
        return actuel is not None and self.topic_id is not None and actuel != self.topic_id

    def is_gone(self, consommateur: KafkaConsumer) -> bool:
        """Dit si le topic où l'on s'est placé n'est plus là, d'après la dernière nouvelle."""
        return self.topic_id is not None and lecteur.identifiant(consommateur, self.topic) is None

    # --- Avancer -----------------------------------------------------------------------------------------------------

    def retenir(self, lots: Mapping[TopicPartition, Sequence[Any]]) -> list[Message]:
        """Les messages lus, sans ceux d'une lecture antérieure au dernier placement."""
        messages = []
        maintenant = datetime.now(UTC)
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
                )
                for lu in enregistrements
                if lu.offset >= attendue
            ]
        return messages

    def advances(self, messages: Sequence[Message]) -> list[Advance]:
        """De la position chargée au dernier message du lot, pour chaque partition."""
        derniers = {message.partition: message.offset for message in messages}
        return [
            Advance(partition, self.attendues[partition.partition], dernier + 1)
            for partition, dernier in derniers.items()
        ]

    def avancer(self, advances: Sequence[Advance]) -> None:
        """Ces avancées sont enregistrées."""
        for avancee in advances:
            self.attendues[avancee.partition.partition] = avancee.jusqu_a

    def montrer(self, consommateur: KafkaConsumer) -> None:
        """Dit à Kafka où nous en sommes ; s'il l'oublie, rien n'est perdu."""
        positions = {
            TopicPartition(self.topic, partition): OffsetAndMetadata(position, "", -1)
            for partition, position in self.attendues.items()
        }
        with suppress(KafkaError):
            consommateur.commit_async(positions)

    # --- Ce que Kafka ne garde plus ----------------------------------------------------------------------------------

    def check_bounds(self, consommateur: KafkaConsumer) -> bool:
        """Compare nos positions à ce que Kafka garde : il vient de refuser l'une d'elles. Faux si le topic a changé.

        En deçà du début, la rétention a effacé des messages jamais lus : la perte est comptée, et l'on saute au début.
        Au-delà de la fin, le même topic a raccourci : ce qui s'écrira en deçà de notre position serait sauté sans
        bruit, et personne ne sait depuis quand. La partition s'arrête donc, pour de bon, et les autres continuent.
        """
        if lecteur.refresh_topic_id(consommateur, self.topic)() != self.topic_id:
            return False  # Ces bornes seraient celles d'un autre topic.
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

    def arreter(self, fins: Mapping[int, int]) -> None:
        """Arrête des partitions, de façon qu'un autre processus, ou celui-ci relancé, ne les reprenne pas.

        `fins` : la fin de chacune, en deçà de notre position ; une partition qui n'est pas à nous est ignorée.
        """
        notres = {numero: fin for numero, fin in fins.items() if numero in self.attendues}
        with self.base.transaction() as conn:
            for numero, fin in notres.items():
                places.arreter(conn, self._partitions[numero], self.attendues[numero], fin)
        for numero, fin in notres.items():
            position = self.attendues.pop(numero)
            self.arretees.append(numero)
            self._log.error("position_au_dela_de_la_fin", partition=numero, position=position, fin=fin)

    def resumption_decided(self, conn: Connection[Any]) -> bool:
        """Dit si une personne a repris l'une des partitions à l'arrêt."""
        if self.topic_id is None or not self.arretees:
            return False
        trouvees = places.places(conn, self.topic, self.topic_id, self.arretees)
        return not all(place.arretee for place in trouvees.values())

    def _perdre(self, numero: int, debut: int) -> None:
        depuis = self.attendues[numero]
        with self.base.transaction() as conn:
            places.perdre(conn, self._partitions[numero], depuis, debut)
        self.attendues[numero] = debut
        self._log.error("messages_perdus", partition=numero, depuis=depuis, jusqu_a=debut, messages=debut - depuis)
