"""Ce que l'API attend de Kafka : prendre un message et l'accuser, ou dire qu'il ne peut pas."""

from collections.abc import Sequence
from typing import Literal, Protocol

from engine.outages import Outage

GenreDeMessage = Literal["notifications", "rebuts"]
"""Le topic visé : les notifications du kiosque, ou leurs rebuts."""

EnTetes = Sequence[tuple[str, bytes]]


class KafkaIndisponible(Outage):
    """Kafka n'a pas accusé réception du message."""


class Publier(Protocol):
    """Met un message sur un topic et n'en revient qu'une fois l'accusé de Kafka reçu."""

    async def __call__(self, genre: GenreDeMessage, cle: bytes | None, valeur: bytes, en_tetes: EnTetes, /) -> None:
        """Lève KafkaIndisponible si l'accusé ne vient pas."""
