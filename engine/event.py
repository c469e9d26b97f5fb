"""What the engine needs of an event and of an aggregate; what they say is none of its business."""

from datetime import datetime
from typing import Any, ClassVar, Protocol


class Event(Protocol):
    """A pydantic model, stored as its JSON under a topic that names no module.

    A changed field asks for a higher `class_version`, and for `upcast_vN_vN+1(state)` (see `engine.mapper`).
    """

    TOPIC: ClassVar[str]
    class_version: ClassVar[int]
    KEPT: ClassVar[bool]
    """Whether its `mutate` leaves the event itself in the aggregate."""

    @property
    def originator_id(self) -> str:
        """The stream."""

    @property
    def originator_version(self) -> int:
        """Its place in the stream, from 1 on."""

    @property
    def timestamp(self) -> datetime:
        """When it was decided, by the clock of whoever decided."""

    def mutate(self, aggregate: Any) -> Any:
        """The aggregate after this event; None before the first."""


class Aggregate(Protocol):
    """What was decided and is not recorded yet; its class holds the classes of its events."""

    @property
    def pending_events(self) -> list[Any]:
        """The events triggered since it was loaded, in order."""


__all__ = ["Aggregate", "Event"]
