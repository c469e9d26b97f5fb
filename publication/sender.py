"""L'émetteur : un producteur idempotent, qui envoie par vagues et attend chaque accusé.

**L'ordre.** Si un envoi échoue et qu'un suivant du même flux passe, un consommateur qui ignore les versions déjà
dépassées perd la première pour toujours. L'idempotence du producteur ne l'empêche pas : passé son délai, kafka-python
abandonne un lot et envoie le suivant. Ici une vague tient en un seul lot Kafka par partition, et la vague suivante
attend l'accusé de toute la précédente : un lot est pris entier ou pas du tout, aucune version n'en dépasse une autre.

Un producteur qui a failli est abandonné, avec ce qu'il retenait : l'appelant recommencera depuis sa position.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

import structlog
from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError, UnknownError
from kafka.partitioner.default import murmur2

from engine import kafka_clients as clients
from engine.outages import Outage
from publication.cloudevent import CloudEvent

OCTETS_MAX: Final = 1024 * 1024
"""Le plus gros message que le topic prend (octets)."""

LOT_OCTETS: Final = 512 * 1024
"""Un lot Kafka : ce qu'une vague porte, au plus, dans une partition (octets). Mesuré : au-delà, rien à gagner."""

ACCUSE_S: Final = 15.0
"""Attente des accusés d'une vague, au-delà de laquelle Kafka est en panne (secondes)."""

CONNEXION_S: Final = 5.0
"""Attente d'un premier courtier, ou de ce qu'il sait du topic (secondes)."""

FRAICHEUR_S: Final = 0.5
"""Âge de ce que l'on sait du topic, au-delà duquel on le redemande (secondes)."""

_AMASSER_MS: Final = 20_000
"""Plus long que d'amasser une vague : un lot ne part qu'à la fin de celle-ci, quand on le demande."""


class KafkaAbsent(Outage):
    """Kafka ne répond pas, ou n'accuse pas réception."""


class TopicAbsent(Outage):
    """Le topic des événements publiés n'existe pas : `creances topics` le crée."""


class TopicRecreated(Outage):
    """Le topic n'est plus celui où l'on publiait : tout est à publier de nouveau."""


class MessageTropGrand(Exception):
    """Kafka refuse un message pour sa taille : l'événement ne pourra jamais être publié tel quel."""


class Sender:
    """Envoie des messages vers un topic ; ouvert à la première demande, rouvert après une panne."""

    def __init__(self, kafka: Mapping[str, Any], topic: str) -> None:
        """`kafka` : les réglages de connexion, aux noms de kafka-python."""
        self.kafka = kafka
        self.topic = topic
        self._producteur: KafkaProducer | None = None
        self._topic_id: UUID | None = None
        self._vu = 0.0
        self._log = structlog.get_logger().bind(topic=topic)

    def topic_id(self) -> UUID:
        """L'identifiant du topic, tel que Kafka le disait il y a peu : recréé, il en a un autre.

        Demande à Kafka de le redire sans l'attendre, sauf s'il se tait depuis `CONNEXION_S`.

        Lève KafkaAbsent ou TopicAbsent.
        """
        producteur = self._ouvert()
        age = time.monotonic() - self._vu
        if age > FRAICHEUR_S:
            self._redemander(producteur, attendre=age > CONNEXION_S)
        actuel: UUID | None = producteur._metadata.topic_id(self.topic)  # noqa: SLF001
        if actuel is None or actuel != self._topic_id:
            # Les numéros de séquence du producteur sont ceux de l'ancien topic.
            self.abandonner()
            if actuel is None:
                raise TopicAbsent(self.topic)
            self._ouvert()
        assert self._topic_id is not None  # noqa: S101 (posé à l'ouverture)
        return self._topic_id

    def _redemander(self, producteur: KafkaProducer, *, attendre: bool) -> None:
        recue = threading.Event()
        demande = producteur._metadata.request_update()  # noqa: SLF001 (kafka-python ne l'offre pas autrement)
        demande.add_both(lambda *_: recue.set())
        producteur._sender.wakeup()  # noqa: SLF001
        if attendre and (not recue.wait(CONNEXION_S) or demande.failed()):
            self.abandonner()
            raise KafkaAbsent(str(demande.exception or "pas de réponse"))

    def emettre(self, messages: Sequence[CloudEvent], topic_id: UUID) -> None:
        """Envoie ces messages dans l'ordre à ce topic, et ne rend la main que tous accusés.

        Lève KafkaAbsent, TopicAbsent, TopicRecreated ou MessageTropGrand ; une partie peut être prise, dans l'ordre.
        """
        producteur = self._ouvert()
        if self._topic_id != topic_id:
            raise TopicRecreated(self.topic)
        try:
            partitions = sorted(producteur.partitions_for(self.topic))
            for vague in vagues(messages, len(partitions)):
                self._envoyer(producteur, vague, partitions)
        except (MessageSizeTooLargeError, RecordListTooLargeError) as erreur:
            self.abandonner()
            raise MessageTropGrand(str(erreur)) from erreur
        except KafkaError as erreur:
            self.abandonner()
            raise KafkaAbsent(f"{type(erreur).__name__}: {erreur}") from erreur

    def marquer(self, marque: Callable[[int], CloudEvent], topic_id: UUID) -> None:
        """Envoie une marque dans chaque partition, composée pour son rang, derrière ce qui y est déjà.

        Lève ce que lève `emettre`.
        """
        try:
            partitions = self._ouvert().partitions_for(self.topic)
        except KafkaError as erreur:
            self.abandonner()
            raise KafkaAbsent(f"{type(erreur).__name__}: {erreur}") from erreur
        self.emettre([marque(rang)._replace(partition=rang) for rang in range(len(partitions))], topic_id)

    def abandonner(self) -> None:
        """Lâche le producteur et ce qu'il n'a pas envoyé ; son `close` attendrait l'accusé d'un courtier absent."""
        if self._producteur is None:
            return
        clients.drop_producer(self._producteur, attente_s=CONNEXION_S)
        self._producteur, self._topic_id = None, None

    def _ouvert(self) -> KafkaProducer:
        if self._producteur is not None:
            return self._producteur
        try:
            producteur: KafkaProducer = clients.open_client(
                KafkaProducer,
                **self.kafka,
                acks="all",
                enable_idempotence=True,
                batch_size=LOT_OCTETS,
                linger_ms=_AMASSER_MS,
                max_request_size=OCTETS_MAX,
                request_timeout_ms=round(ACCUSE_S * 500),
                delivery_timeout_ms=round(ACCUSE_S * 1000) + _AMASSER_MS,
                bootstrap_timeout_ms=round(CONNEXION_S * 1000),
                max_block_ms=round(CONNEXION_S * 1000),
                metrics_enabled=False,
            )
        except KafkaError as erreur:
            raise KafkaAbsent(f"{type(erreur).__name__}: {erreur}") from erreur
        self._producteur = producteur
        try:
            producteur.partitions_for(self.topic)
        except KafkaError as erreur:
            self.abandonner()
            raise TopicAbsent(self.topic) from erreur
        self._topic_id = producteur._metadata.topic_id(self.topic)  # noqa: SLF001
        if self._topic_id is None:
            self.abandonner()
            raise TopicAbsent(f"{self.topic} : le courtier n'en dit pas l'identifiant (Kafka 2.8 au moins)")
        self._vu = time.monotonic()
        producteur._metadata.add_listener(self._surveiller)  # noqa: SLF001
        return producteur

    def _surveiller(self, metadonnees: Any) -> None:
        """Dans le fil du producteur : un lot qu'il retente ne doit pas tomber dans le topic recréé entre-temps."""
        self._vu = time.monotonic()
        actuel = metadonnees.topic_id(self.topic)
        producteur = self._producteur
        if producteur is None or actuel is None or actuel == self._topic_id:
            return
        self._log.warning("topic_recree_pendant_l_envoi", ancien=str(self._topic_id), nouveau=str(actuel))
        producteur._transaction_manager.transition_to_fatal_error(KafkaError("topic recréé"))  # noqa: SLF001

    def _envoyer(
        self, producteur: KafkaProducer, vague: Sequence[tuple[int, CloudEvent]], partitions: list[int]
    ) -> None:
        futurs = [
            producteur.send(self.topic, message.valeur, message.cle, message.en_tetes, partition=partitions[rang])
            for rang, message in vague
        ]
        limite = time.monotonic() + ACCUSE_S
        while not all(futur.is_done for futur in futurs):
            # UnknownError : le courtier a trouvé un lot trop grand, kafka-python l'a coupé ; on attend ses morceaux.
            with suppress(UnknownError):
                producteur.flush(timeout=max(limite - time.monotonic(), 0.0))
        for futur in futurs:
            if futur.failed():
                raise futur.exception


def vagues(messages: Sequence[CloudEvent], partitions: int) -> Iterator[list[tuple[int, CloudEvent]]]:
    """Coupe des messages en vagues, dont aucune ne dépasse un lot Kafka par partition ; rend aussi leur partition.

    La partition est celle que tout client de Kafka tirerait de la clé. Lève MessageTropGrand.
    """
    vague: list[tuple[int, CloudEvent]] = []
    octets = [0] * partitions
    for message in messages:
        rang = (murmur2(message.cle) & 0x7FFFFFFF) % partitions if message.partition is None else message.partition
        place = message.octets
        if place > OCTETS_MAX:
            raise MessageTropGrand(f"{place} octets, {OCTETS_MAX} au plus")
        if octets[rang] and octets[rang] + place > LOT_OCTETS - _OCTETS_D_EN_TETE:
            yield vague
            vague, octets = [], [0] * partitions
        vague.append((rang, message))
        octets[rang] += place
    if vague:
        yield vague


_OCTETS_D_EN_TETE: Final = 1024
"""L'en-tête d'un lot Kafka, au plus (octets)."""
