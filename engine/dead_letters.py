"""The dead letters: the original of each refused message, with its cause and its position of origin."""

import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog
from kafka import KafkaProducer
from kafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidConfigurationError,
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)

from engine import kafka_clients as clients
from engine.messages import DeadLetter
from engine.outages import Outage

SUFFIXE: Final = ".rebuts"
"""A topic's dead letters have a topic of its name, followed by this."""

OCTETS_MAX: Final = 48 * 1024 * 1024
"""The largest message that a topic of dead letters takes (bytes): more than any input topic lets pass."""

DELAI_S: Final = 30.0
"""How long to wait for Kafka's acknowledgement before the batch is not recorded (seconds)."""

TRUNCATED_CAUSE_BYTES: Final = 200
"""What remains of the cause of a truncated dead letter (bytes): that one must pass everywhere."""

TROP_GRAND: Final = (MessageSizeTooLargeError, RecordListTooLargeError)


LATE_MAX: Final = 1_000
"""Dead letters kept until their topic exists; beyond, the oldest are only at their origin."""


REFUSALS: Final = (
    ClusterAuthorizationFailedError,
    TopicAuthorizationFailedError,
    PolicyViolationError,
    InvalidConfigurationError,
    InvalidPartitionsError,
    InvalidReplicationFactorError,  # As many copies as promised, and fewer brokers than that.
    InvalidTopicError,
)
"""What Kafka answers for as long as nobody changes it: waiting for it would stop the line."""


class TopicRefused(Exception):
    """Kafka does not let us write to the topic of dead letters, or create it where it is missing."""


class DeadLettersUnreachable(Outage):
    """Kafka did not acknowledge a dead letter; the batch is not recorded."""


class DeadLetters:
    """Produces to the topics of dead letters; Kafka acknowledges each before the batch is recorded."""

    def __init__(self, kafka: Mapping[str, Any], ensure: Callable[[str], bool] = lambda _: False) -> None:
        """`kafka`: the connection's settings, by kafka-python's names. Opens nothing before the first dead letter.

        `ensure` creates a topic of dead letters if it is missing, and says whether it did; it raises TopicRefused if it
        may not, KafkaError if Kafka does not answer.
        """
        self.kafka = kafka
        self.ensure = ensure
        self._producteur: KafkaProducer | None = None
        self._en_retard: deque[DeadLetter] = deque(maxlen=LATE_MAX)

    def produire(self, rebuts: Sequence[DeadLetter]) -> None:
        """Produce these and wait for their acknowledgement; raise DeadLettersUnreachable if one is not taken.

        A topic of dead letters that somebody deleted is created again; if we may not, the line does not stop for it:
        these are kept here and produced when it is there. The original stays at its position of origin.
        """
        if not rebuts and not self._en_retard:
            return
        en_retard, rebuts = len(self._en_retard), [*self._en_retard, *rebuts]
        try:
            topics = {rebut.message.partition.topic + SUFFIXE for rebut in rebuts}
            if sum(map(self.ensure, topics)):
                self._abandonner()  # This producer still believes in the former topic.
            self._produire_tous(rebuts)
            self._en_retard.clear()
        except (TopicRefused, *REFUSALS) as refus:
            self._abandonner()
            self._en_retard = deque(rebuts, maxlen=LATE_MAX)
            if len(rebuts) > en_retard:
                structlog.get_logger().error("rebuts_en_retard", rebuts=len(self._en_retard), cause=str(refus))
        except KafkaError as erreur:
            self._abandonner()
            raise DeadLettersUnreachable("un rebut n'est pas accusé") from erreur

    def _produire_tous(self, rebuts: Sequence[DeadLetter]) -> None:
        ensemble = [(rebut, self._envoyer(rebut)) for rebut in rebuts]
        # One by one, once all have their answer: together, small messages make a batch that is too large.
        for rebut in [rebut for rebut, futur in ensemble if not _accuse(futur)]:
            if not self._produire_seul(rebut):
                # The original stays at its position of origin; producing nothing would hold up all that come after.
                self._envoyer(rebut, tronque=True).get(timeout=DELAI_S)

    def _produire_seul(self, rebut: DeadLetter) -> bool:
        """Produce one by a new producer; False if it is too large by itself, and the producer is new again."""
        self._abandonner()
        pris = _accuse(self._envoyer(rebut))
        if not pris:
            self._abandonner()
        return pris

    def _envoyer(self, rebut: DeadLetter, *, tronque: bool = False) -> Any:
        """Send one off; None if the producer finds it too large."""
        message = rebut.message
        en_tetes = [
            ("cause", rebut.cause.encode()[: TRUNCATED_CAUSE_BYTES if tronque else None]),
            ("origine-topic", message.partition.topic.encode()),
            ("origine-topic-id", str(message.partition.topic_id).encode()),
            ("origine-partition", str(message.partition.partition).encode()),
            ("origine-position", str(message.offset).encode()),
            ("sha256", hashlib.sha256(message.valeur).hexdigest().encode()),
        ]
        if tronque:
            en_tetes.append(("tronque", b"trop grand pour ce topic"))
        cle, valeur = (None, b"") if tronque else (message.cle, message.valeur)
        try:
            return self._ouvert().send(message.partition.topic + SUFFIXE, value=valeur, key=cle, headers=en_tetes)
        except TROP_GRAND:
            if tronque:
                raise
            return None

    def _ouvert(self) -> KafkaProducer:
        if self._producteur is None:
            self._producteur = clients.open_client(
                KafkaProducer,
                **self.kafka,
                acks="all",
                # Idempotent, a producer whose message Kafka finds too large never produces anything again; and a
                # dead letter may come twice, since it bears its position of origin.
                enable_idempotence=False,
                max_request_size=OCTETS_MAX,
                **clients.PRODUCTEUR,
            )
        return self._producteur

    def _abandonner(self) -> None:
        """Drop this producer: kafka-python, once a message was refused, refuses all others."""
        producteur, self._producteur = self._producteur, None
        if producteur is not None:
            clients.drop_producer(producteur)

    def fermer(self) -> None:
        """Close the producer, if it was opened; all that mattered is acknowledged."""
        if self._producteur is not None:
            with suppress(KafkaError):
                self._producteur.close(timeout=clients.PRODUCER_CLOSE_S)


def _accuse(futur: Any) -> bool:
    """Wait for the acknowledgement; False if it is too large for its topic. Raises KafkaError."""
    try:
        if futur is not None:
            futur.get(timeout=DELAI_S)
    except TROP_GRAND:
        return False
    return futur is not None
