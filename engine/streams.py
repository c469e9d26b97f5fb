"""Reading streams: the aggregates that they make, and their history with its causes."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

from eventsourcing.persistence import MapperDeserialisationError
from psycopg import Connection

from engine.event import Event
from engine.mapper import EventMapper, UnreadableStream
from engine.outages import describe

# Whole streams, each from its oldest event on.
_STREAMS: Final = """
SELECT flux, version, topic, etat FROM journal.evenements WHERE flux = ANY (%b::text[]) ORDER BY flux, version
"""

# A stream as a story: each event with its cause and the time it was recorded.
_HISTORY: Final = """
SELECT position, flux, version, topic, etat, cause, enregistre_le FROM journal.evenements
WHERE flux = %b
  AND (%b::int8 IS NULL OR version <= %b::int8)
  AND (%b::timestamptz IS NULL OR enregistre_le <= %b::timestamptz)
ORDER BY version
"""


class RecordedEvent(NamedTuple):
    """An event of the log, and the circumstances of its recording."""

    position: int
    event: Event
    cause: str
    enregistre_le: datetime


class Streams:
    """Reads streams, in the caller's transaction."""

    def __init__(self, mapper: EventMapper) -> None:
        """Read with this mapper."""
        self.mapper = mapper

    def load(
        self, conn: Connection[Any], flux: Iterable[str], unreadable: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """The aggregates of these streams, in one query; a stream without event is absent from the result.

        An unreadable stream raises UnreadableStream; with `unreadable` it is named there, and the others are returned.
        """
        return self.request(conn, flux, unreadable)()

    def request(
        self, conn: Connection[Any], flux: Iterable[str], unreadable: dict[str, str] | None = None
    ) -> Callable[[], dict[str, Any]]:
        """Ask for these streams, in one query; what is returned waits for the answer and makes their aggregates of it.

        In a `conn.pipeline()` PostgreSQL looks for them at once and the caller does not wait. `unreadable`: see `load`.
        """
        # A name that PostgreSQL cannot hold is no stream's, whoever says it.
        names = [name for name in dict.fromkeys(flux) if "\x00" not in name]
        if not names:
            return dict
        answer = conn.execute(_STREAMS, (names,), binary=True)

        def reconstitute() -> dict[str, Any]:
            aggregates: dict[str, Any] = {}
            read = self.mapper.passing
            for name, version, topic, state in answer.fetchall():
                try:
                    aggregates[name] = read(name, version, topic, state).mutate(aggregates.get(name))
                except MapperDeserialisationError as error:
                    if unreadable is None:
                        raise UnreadableStream(name, str(error)) from error
                    unreadable.setdefault(name, str(error))
                except Exception as error:
                    # After an unreadable event, or a gap, the later ones do not apply either.
                    if unreadable is None:
                        raise UnreadableStream(name, describe(error)) from error
                    unreadable.setdefault(name, describe(error))
            for name in unreadable or ():
                aggregates.pop(name, None)
            return aggregates

        return reconstitute

    def history(
        self, conn: Connection[Any], flux: str, *, a_la_version: int | None = None, au: datetime | None = None
    ) -> list[RecordedEvent]:
        """The history of a stream, if need be up to a version, or up to what the log held at an instant."""
        rows = conn.execute(_HISTORY, (flux, a_la_version, a_la_version, au, au))
        return [
            RecordedEvent(position, self.mapper.lire(name, version, topic, state), cause, recorded_at)
            for position, name, version, topic, state, cause, recorded_at in rows
        ]
