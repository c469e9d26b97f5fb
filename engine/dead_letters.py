"""Les rebuts : l'original de chaque message refusé, avec sa cause et sa position d'origine."""

import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog
from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from engine import kafka_clients as clients
from engine.messages import DeadLetter
from engine.outages import Outage

SUFFIXE: Final = ".rebuts"
"""Le topic des rebuts d'un topic porte son nom, puis ce suffixe."""

OCTETS_MAX: Final = 48 * 1024 * 1024
"""Le plus gros message qu'un topic de rebuts prend (octets) : plus que ce qu'aucun topic d'entrée ne laisse passer."""

DELAI_S: Final = 30.0
"""Attente de l'accusé de Kafka, au-delà de laquelle le lot n'est pas enregistré (secondes)."""

TRUNCATED_CAUSE_BYTES: Final = 200
"""Ce qui reste de la cause d'un rebut tronqué (octets) : lui doit passer partout."""

TROP_GRAND: Final = (MessageSizeTooLargeError, RecordListTooLargeError)


LATE_MAX: Final = 1_000
"""Rebuts gardés en attendant que leur topic existe ; au-delà, les plus anciens ne sont plus qu'à leur origine."""


class TopicRefused(Exception):
    """Le topic des rebuts manque, et Kafka ne nous laisse pas le créer."""


class DeadLettersUnreachable(Outage):
    """Kafka n'a pas accusé réception d'un rebut ; le lot n'est pas enregistré."""


class DeadLetters:
    """Produit vers les topics de rebuts ; un rebut est accusé par Kafka avant que le lot ne soit enregistré."""

    def __init__(self, kafka: Mapping[str, Any], ensure: Callable[[str], bool] = lambda _: False) -> None:
        """`kafka` : les réglages de connexion, aux noms de kafka-python. N'ouvre rien avant le premier rebut.

        `ensure` crée un topic de rebuts s'il manque, et dit si elle l'a créé ; elle lève TopicRefused si elle n'en a
        pas le droit, KafkaError si Kafka ne répond pas.
        """
        self.kafka = kafka
        self.ensure = ensure
        self._producteur: KafkaProducer | None = None
        self._en_retard: deque[DeadLetter] = deque(maxlen=LATE_MAX)

    def produire(self, rebuts: Sequence[DeadLetter]) -> None:
        """Produit ces rebuts et attend leur accusé ; lève DeadLettersUnreachable si l'un n'est pas pris.

        Un topic de rebuts que quelqu'un a supprimé est créé de nouveau ; si nous n'en avons pas le droit, la ligne ne
        s'arrête pas pour lui : ces rebuts sont gardés ici et produits quand il est là. L'original, lui, reste à sa
        position d'origine.
        """
        if not rebuts and not self._en_retard:
            return
        en_retard, rebuts = len(self._en_retard), [*self._en_retard, *rebuts]
        try:
            topics = {rebut.message.partition.topic + SUFFIXE for rebut in rebuts}
            if sum(map(self.ensure, topics)):
                self._abandonner()  # Ce producteur croit encore à l'ancien topic.
            self._produire_tous(rebuts)
            self._en_retard.clear()
        except TopicRefused as refus:
            self._en_retard = deque(rebuts, maxlen=LATE_MAX)
            if len(rebuts) > en_retard:
                structlog.get_logger().error("rebuts_en_retard", rebuts=len(self._en_retard), cause=str(refus))
        except KafkaError as erreur:
            self._abandonner()
            raise DeadLettersUnreachable("un rebut n'est pas accusé") from erreur

    def _produire_tous(self, rebuts: Sequence[DeadLetter]) -> None:
        ensemble = [(rebut, self._envoyer(rebut)) for rebut in rebuts]
        # Un à un, une fois que tous ont leur réponse : groupés, de petits messages font un lot trop grand.
        for rebut in [rebut for rebut, futur in ensemble if not _accuse(futur)]:
            if not self._produire_seul(rebut):
                # L'original reste à sa position d'origine ; ne rien produire retiendrait tous les suivants.
                self._envoyer(rebut, tronque=True).get(timeout=DELAI_S)

    def _produire_seul(self, rebut: DeadLetter) -> bool:
        """Produit un rebut par un producteur neuf ; Faux s'il est trop grand à lui seul, et le producteur est neuf."""
        self._abandonner()
        pris = _accuse(self._envoyer(rebut))
        if not pris:
            self._abandonner()
        return pris

    def _envoyer(self, rebut: DeadLetter, *, tronque: bool = False) -> Any:
        """Met un rebut en route ; None si le producteur le trouve trop grand."""
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
                # Idempotent, un producteur à qui Kafka refuse un message trop grand ne produit plus jamais rien ; et un
                # rebut peut se répéter, puisqu'il porte sa position d'origine.
                enable_idempotence=False,
                max_request_size=OCTETS_MAX,
                **clients.PRODUCTEUR,
            )
        return self._producteur

    def _abandonner(self) -> None:
        """Laisse là ce producteur : kafka-python, qu'un message a vu refuser, refuse ensuite tous les autres."""
        producteur, self._producteur = self._producteur, None
        if producteur is not None:
            clients.drop_producer(producteur)

    def fermer(self) -> None:
        """Ferme le producteur, s'il a été ouvert ; tout ce qui comptait est déjà accusé."""
        if self._producteur is not None:
            with suppress(KafkaError):
                self._producteur.close(timeout=clients.PRODUCER_CLOSE_S)


def _accuse(futur: Any) -> bool:
    """Attend l'accusé ; Faux si le rebut est trop grand pour son topic. Lève KafkaError."""
    try:
        if futur is not None:
            futur.get(timeout=DELAI_S)
    except TROP_GRAND:
        return False
    return futur is not None
