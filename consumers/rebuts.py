"""Les rebuts : l'original de chaque message refusé, avec sa cause et sa position d'origine."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kafka import KafkaProducer
from kafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from guichet.messages import Rebut

SUFFIXE: Final = ".rebuts"
"""Le topic des rebuts d'un topic porte son nom, puis ce suffixe."""

OCTETS_MAX: Final = 48 * 1024 * 1024
"""Le plus gros message qu'un topic de rebuts prend (octets) : plus que ce qu'aucun topic d'entrée ne laisse passer."""

DÉLAI_S: Final = 30.0
"""Attente de l'accusé de Kafka, au-delà de laquelle le lot n'est pas enregistré (secondes)."""


class Rebuts:
    """Produit vers les topics de rebuts ; un rebut est accusé par Kafka avant que le lot ne soit enregistré."""

    def __init__(self, kafka: Mapping[str, Any]) -> None:
        """`kafka` : les réglages de connexion, aux noms de kafka-python. N'ouvre rien avant le premier rebut."""
        self.kafka = kafka
        self._producteur: KafkaProducer | None = None

    def produire(self, rebuts: Sequence[Rebut]) -> None:
        """Produit ces rebuts et attend leur accusé ; lève KafkaError si l'un n'est pas pris."""
        if not rebuts:
            return
        if self._producteur is None:
            self._producteur = KafkaProducer(
                **self.kafka,
                acks="all",
                allow_auto_create_topics=False,
                max_request_size=OCTETS_MAX,
            )
        for rebut, futur in [(rebut, self._envoyer(rebut, rebut.message.valeur)) for rebut in rebuts]:
            try:
                futur.get(timeout=DÉLAI_S)
            except (MessageSizeTooLargeError, RecordListTooLargeError):
                # L'original reste à sa position d'origine ; ne rien produire retiendrait tous les suivants.
                self._envoyer(rebut, b"", tronqué=True).get(timeout=DÉLAI_S)

    def _envoyer(self, rebut: Rebut, valeur: bytes, *, tronqué: bool = False) -> Any:
        message = rebut.message
        en_têtes = [
            ("cause", rebut.cause.encode()),
            ("origine-topic", message.partition.topic.encode()),
            ("origine-topic-id", str(message.partition.topic_id).encode()),
            ("origine-partition", str(message.partition.partition).encode()),
            ("origine-position", str(message.décalage).encode()),
            ("sha256", hashlib.sha256(message.valeur).hexdigest().encode()),
        ]
        if tronqué:
            en_têtes.append(("tronque", b"trop grand pour ce topic"))
        assert self._producteur is not None  # noqa: S101 (ouvert par `produire`)
        return self._producteur.send(message.partition.topic + SUFFIXE, value=valeur, key=message.clé, headers=en_têtes)

    def fermer(self) -> None:
        """Ferme le producteur, s'il a été ouvert."""
        if self._producteur is not None:
            self._producteur.close(timeout=DÉLAI_S)
