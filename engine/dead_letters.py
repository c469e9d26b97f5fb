"""Les rebuts : l'original de chaque message refusé, avec sa cause et sa position d'origine."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

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


class DeadLettersUnreachable(Outage):
    """Kafka n'a pas accusé réception d'un rebut ; le lot n'est pas enregistré."""


class DeadLetters:
    """Produit vers les topics de rebuts ; un rebut est accusé par Kafka avant que le lot ne soit enregistré."""

    def __init__(self, kafka: Mapping[str, Any]) -> None:
        """`kafka` : les réglages de connexion, aux noms de kafka-python. N'ouvre rien avant le premier rebut."""
        self.kafka = kafka
        self._producteur: KafkaProducer | None = None

    def produire(self, rebuts: Sequence[DeadLetter]) -> None:
        """Produit ces rebuts et attend leur accusé ; lève DeadLettersUnreachable si l'un n'est pas pris."""
        if not rebuts:
            return
        try:
            ensemble = [(rebut, self._envoyer(rebut)) for rebut in rebuts]
            # Un à un, une fois que tous ont leur réponse : groupés, de petits messages font un lot trop grand.
            for rebut in [rebut for rebut, futur in ensemble if not _accuse(futur)]:
                if not self._produire_seul(rebut):
                    # L'original reste à sa position d'origine ; ne rien produire retiendrait tous les suivants.
                    self._envoyer(rebut, tronque=True).get(timeout=DELAI_S)
        except KafkaError as erreur:
            self._abandonner()
            raise DeadLettersUnreachable("un rebut n'est pas accusé") from erreur

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
