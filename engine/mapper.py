"""Between an event and what is stored: a stable topic, a state in ASCII JSON, and the climb from former versions.

Two readings: `lire` validates all that the event's class says; `read` is the lean one (`engine.lean`), for whoever
reads over and over what this service wrote. What the lean one does not read, the strict one decides.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast
from uuid import UUID

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Mapper, MapperDeserialisationError, StoredEvent, Transcoder
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from engine import lean
from engine.event import Event

_NOT_IN_STATE: Final = {"originator_id", "originator_version"}
"""Borne by the columns `flux` and `version`, hence not repeated in the state."""

_VERSION: Final = b'{"class_version"'
"""How a state that says its version begins; one without it is of version 1."""

_VERSION_MARK: Final = "@"
"""Between a topic and a version, in the name of a kind of event."""

_A_VERSION: Final = re.compile(r"[0-9]{1,9}")


class UnreadableStream(MapperDeserialisationError):
    """A stream holds an event that cannot be read: nothing can be decided about it until it is mended."""

    def __init__(self, stream: str, cause: str) -> None:
        """Keep which stream, and why."""
        super().__init__(cause)
        self.stream = stream


class EventMapper(Mapper[str]):
    """The library's mapper, with pydantic: the state is the event's JSON, validated when it is read.

    A state of a former version is lifted by `upcast_vN_vN+1(state)` of its class before it is validated.
    """

    def __init__(self, aggregates: Iterable[type]) -> None:
        """Map the events of these aggregates: the classes nested in theirs that declare a `TOPIC`, and no other.

        Without transcoder, compression or cipher: the chain of proofs seals the stored bytes.
        """
        super().__init__(cast("Transcoder", None))
        self._classes: dict[str, Any] = {
            topic: nested
            for aggregate in aggregates
            for nested in vars(aggregate).values()
            if isinstance(nested, type) and isinstance(topic := vars(nested).get("TOPIC"), str)
        }
        self._lean = _Readers(self._classes, lean.reader)
        self._passing = _Readers(self._classes, lean.passing)

    @property
    def topics(self) -> frozenset[str]:
        """The topics of all the events that are known here."""
        return frozenset(self._classes)

    def unknown(self, topic: str, state: bytes) -> str | None:
        """The kind of this event, if a newer version of the code wrote it: its topic, and its version beyond ours."""
        known = self._classes.get(topic)
        if known is None:
            return topic
        if not state.startswith(_VERSION) or (stored := _stored_version(state)) <= known.class_version:
            return None
        return f"{topic}{_VERSION_MARK}{stored}"

    def knows(self, kind: str) -> bool:
        """Whether what `unknown` once named can be read now.

        A damaged row may name anything: what is no version is one that nobody will ever know.
        """
        topic, mark, version = kind.partition(_VERSION_MARK)
        known = self._classes.get(topic)
        if known is None or not mark:
            return known is not None
        return _A_VERSION.fullmatch(version) is not None and int(version) <= known.class_version

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        """The event as it is stored. Raises MapperDeserialisationError if it could not be read again."""
        event = cast("Any", domain_event)
        return StoredEvent(event.originator_id, event.originator_version, event.TOPIC, self.write(event))

    def write(self, event: Any) -> bytes:
        """The state of an event, as it is stored. Raises MapperDeserialisationError if it could not be read again."""
        try:
            writer = lean.writer(event.__class__)
            return writer(event)
        except lean.NOT_READ:
            return _written_strictly(event)

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        """The stored event. Raises MapperDeserialisationError if it cannot be read."""
        return self.lire(
            stored_event.originator_id, stored_event.originator_version, stored_event.topic, stored_event.state
        )

    def read(self, stream: str, version: int, topic: str, state: bytes) -> Any:
        """The same event as `lire`, without its validation. Raises MapperDeserialisationError if it cannot be read."""
        try:
            return self._lean[topic](stream, version, state)
        except lean.NOT_READ:
            return self.lire(stream, version, topic, state)

    def passing(self, stream: str, version: int, topic: str, state: bytes) -> Any:
        """What `read` gives, for whoever applies it by its `mutate` and lets it go: half the price."""
        try:
            return self._passing[topic](stream, version, state)
        except lean.NOT_READ:
            return self.lire(stream, version, topic, state)

    def lire(self, flux: UUID | str, version: int, topic: str, etat: bytes) -> Any:
        """The event that these four columns hold. Raises MapperDeserialisationError if it cannot be read."""
        try:
            known = self._classes[topic]
            if known.class_version == 1 and not etat.startswith(_VERSION):
                return known.__pydantic_validator__.validate_json(_with_columns(flux, version, etat))
            return _lift(known, flux, version, etat)
        except (KeyError, ValidationError, ValueError, TypeError, AttributeError) as error:
            message = f"événement illisible : {flux} v{version} ({topic}) : {error}"
            raise MapperDeserialisationError(message) from error


class _Readers(dict[str, lean.Reader]):
    """The lean readers by topic, each made when its first event is read."""

    def __init__(self, classes: Mapping[str, Any], make: Callable[[Any], lean.Reader]) -> None:
        super().__init__()
        self._known = classes
        self._make = make

    def __missing__(self, topic: str) -> lean.Reader:
        self[topic] = reader = self._make(self._known[topic])
        return reader


def _written_strictly(event: Any) -> bytes:
    """The state as pydantic writes it, once it has validated all of it. Raises MapperDeserialisationError."""
    try:
        valid = event.__pydantic_validator__.validate_python(vars(event))
    except ValidationError as error:
        raise MapperDeserialisationError(f"{event.TOPIC} ne s'écrit pas : {error}") from error
    state: bytes = valid.__pydantic_serializer__.to_json(valid, exclude=_NOT_IN_STATE)
    return state if event.class_version == 1 else b'{"class_version":%d,%s' % (event.class_version, state[1:])


def _with_columns(stream: UUID | str, version: int, state: bytes) -> bytes:
    """The state with what the columns hold: one reading of the JSON is then enough, validation included.

    The columns come last: they prevail over a state that would say them itself.
    """
    if not state.endswith(b"}"):
        raise ValueError("l'état n'est pas un objet JSON")
    return b'%b,"originator_id":%b,"originator_version":%d}' % (state[:-1], to_json(stream), version)


def _stored_version(state: bytes) -> int:
    """The version that a state says; 1 for one that cannot be read: reading it will tell why."""
    try:
        return int(from_json(state)["class_version"])
    except (ValueError, TypeError, KeyError, OverflowError):
        return 1


def _lift(known: Any, stream: UUID | str, version: int, state: bytes) -> Event:
    """Lift the state to today's version, then validate it."""
    fields: dict[str, Any] = from_json(state)
    stored_version = fields.pop("class_version", 1)
    if stored_version > known.class_version:
        raise ValueError(
            f"écrit en version {stored_version}, et cette version du service n'en connaît que {known.class_version}"
        )
    while stored_version < known.class_version:
        getattr(known, f"upcast_v{stored_version}_v{stored_version + 1}")(fields)
        stored_version += 1
    fields["originator_id"] = stream
    fields["originator_version"] = version
    return cast("Event", known.__pydantic_validator__.validate_python(fields))
