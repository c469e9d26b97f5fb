"""Entre un fait du domaine et ce qui est stocké : un sujet stable, un état en JSON ASCII, et la montée de version."""

from typing import Any, Final, cast
from uuid import UUID

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Mapper, MapperDeserialisationError, StoredEvent, Transcoder
from eventsourcing.utils import TopicError, resolve_topic
from pydantic import ValidationError
from pydantic_core import from_json, to_json

# Importés pour que leurs faits inscrivent leurs sujets avant toute lecture.
from domain.anomalie import Anomalie
from domain.creance import Créance
from domain.faits import Fait
from domain.messagerie import Messagerie
from domain.paiement import Paiement

AGREGATS: Final = (Créance, Paiement, Messagerie, Anomalie)

_HORS_ETAT: Final = {"originator_id", "originator_version"}
"""Portés par les colonnes `flux` et `version`, donc pas répétés dans l'état."""

_VERSION: Final = b'{"class_version"'
"""Début d'un état qui dit sa version ; un état sans elle est de la version 1."""


class UnreadableStream(MapperDeserialisationError):
    """A stream holds an event that cannot be read: nothing can be decided about it until it is mended."""

    def __init__(self, stream: str, cause: str) -> None:
        """Keep which stream, and why."""
        super().__init__(cause)
        self.stream = stream


class EventMapper(Mapper[str]):
    """Le mapper de la bibliothèque, en pydantic : l'état est le JSON du fait, validé à la lecture.

    Un état d'une version antérieure est monté par `upcast_vN_vN+1(etat)` de sa classe, avant la validation.
    """

    def __init__(self) -> None:
        """Sans transcodeur, compression ni chiffrement : la chaîne de preuve scelle les octets stockés."""
        super().__init__(cast("Transcoder", None))

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        """Rend le fait sous sa forme stockée."""
        fait = cast("Fait", domain_event)
        etat = fait.__pydantic_serializer__.to_json(fait, exclude=_HORS_ETAT)
        if fait.class_version > 1:
            etat = b'{"class_version":%d,%s' % (fait.class_version, etat[1:])
        return StoredEvent(fait.originator_id, fait.originator_version, fait.TOPIC, etat)

    def to_domain_event(self, stored_event: StoredEvent) -> Fait:
        """Rend le fait stocké. Lève MapperDeserialisationError s'il n'est pas lisible."""
        return self.lire(
            stored_event.originator_id, stored_event.originator_version, stored_event.topic, stored_event.state
        )

    def lire(self, flux: UUID | str, version: int, topic: str, etat: bytes) -> Fait:
        """Rend le fait que portent ces quatre colonnes. Lève MapperDeserialisationError s'il n'est pas lisible."""
        try:
            classe: type[Fait] = resolve_topic(topic)
            if classe.class_version == 1 and not etat.startswith(_VERSION):
                octets = _avec_colonnes(flux, version, etat)
                return cast("Fait", classe.__pydantic_validator__.validate_json(octets))
            return _monter(classe, flux, version, etat)
        except (TopicError, ValidationError, ValueError, TypeError, AttributeError) as erreur:
            message = f"événement illisible : {flux} v{version} ({topic}) : {erreur}"
            raise MapperDeserialisationError(message) from erreur


def _avec_colonnes(flux: UUID | str, version: int, etat: bytes) -> bytes:
    """L'état, complété de ce que portent les colonnes : une seule lecture du JSON suffit alors, validation comprise.

    Les colonnes viennent en dernier : elles l'emportent sur un état qui les dirait lui-même.
    """
    if not etat.endswith(b"}"):
        raise ValueError("l'état n'est pas un objet JSON")
    return b'%b,"originator_id":%b,"originator_version":%d}' % (etat[:-1], to_json(flux), version)


def _monter(classe: type[Fait], flux: UUID | str, version: int, etat: bytes) -> Fait:
    """Monte l'état à la version d'aujourd'hui, puis le valide."""
    champs: dict[str, Any] = from_json(etat)
    version_stockee = champs.pop("class_version", 1)
    while version_stockee < classe.class_version:
        getattr(classe, f"upcast_v{version_stockee}_v{version_stockee + 1}")(champs)
        version_stockee += 1
    champs["originator_id"] = flux
    champs["originator_version"] = version
    return cast("Fait", classe.__pydantic_validator__.validate_python(champs))
