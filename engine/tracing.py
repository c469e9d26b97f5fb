"""Traces, as the machine knows them: a context that comes with a message, and is kept beside what it caused.

The machine draws nothing itself: whoever runs it may give it a `Tracer`. Without one, each hook costs a comparison.
A kept context is no truth of the log: it is erasable, and no event, fate or answer holds it. It is kept for an event
(`stream:version`), and for a message that waits (its origin).
"""

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from psycopg import Connection

from engine.batch import Batch
from engine.event import Event
from engine.messages import Message, Trace
from engine.streams import RecordedEvent

KEPT: Final = timedelta(days=30)
"""How long a context is kept: beyond, an event published again bears one derived from its cause."""

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

_PARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MEMBER: Final = re.compile(
    rb"(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
    rb"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_STATE_BYTES_MAX: Final = 512
_MEMBERS_MAX: Final = 32

_KEEP: Final = """
INSERT INTO vues.traces (objet, traceparent, tracestate)
SELECT * FROM unnest(%b::text[], %b::text[], %b::text[]) ON CONFLICT (objet) DO NOTHING
"""
_KEPT: Final = "SELECT objet, traceparent, tracestate FROM vues.traces WHERE objet = ANY (%b::text[])"
_PURGE: Final = "DELETE FROM vues.traces WHERE gardee_le < %b"


class Tracer(Protocol):
    """Who draws the spans."""

    def consumed(self, topic: str, messages: Sequence[Message]) -> AbstractContextManager[None]:
        """Around a batch of messages, until it is committed."""

    def recorded(self, conn: Connection[Any], lot: Batch) -> None:
        """What is being recorded, in its transaction: keep its contexts."""

    def followed(
        self, name: str, conn: Connection[Any], events: Sequence[RecordedEvent]
    ) -> AbstractContextManager[None]:
        """Around a follower's batch, until it is committed; `conn` is in no transaction yet."""


class _Given:
    """The process's tracer: one, as there is one log."""

    tracer: Tracer | None = None


_GIVEN: Final = _Given()


def use(tracer: Tracer | None) -> None:
    """Have the machine traced by this one, or by nobody."""
    _GIVEN.tracer = tracer


def is_on() -> bool:
    """Whether this process traces."""
    return _GIVEN.tracer is not None


def consumed(topic: str, messages: Sequence[Message]) -> AbstractContextManager[None]:
    """See `Tracer.consumed`."""
    return nullcontext() if _GIVEN.tracer is None else _GIVEN.tracer.consumed(topic, messages)


def recorded(conn: Connection[Any], lot: Batch) -> None:
    """See `Tracer.recorded`."""
    if _GIVEN.tracer is not None:
        _GIVEN.tracer.recorded(conn, lot)


def followed(name: str, conn: Connection[Any], events: Sequence[RecordedEvent]) -> AbstractContextManager[None]:
    """See `Tracer.followed`."""
    return nullcontext() if _GIVEN.tracer is None else _GIVEN.tracer.followed(name, conn, events)


# --- What is kept ----------------------------------------------------------------------------------------------------


def event_key(event: Event) -> str:
    """The name under which an event's context is kept."""
    return f"{event.originator_id}:{event.originator_version}"


def keep(conn: Connection[Any], traces: Mapping[str, Trace]) -> None:
    """Keep these contexts, in the caller's transaction."""
    if traces:
        states = [trace.tracestate for trace in traces.values()]
        conn.execute(_KEEP, (list(traces), [trace.traceparent for trace in traces.values()], states))


def kept(conn: Connection[Any], keys: Collection[str]) -> dict[str, Trace]:
    """The context of each of these that has one."""
    if not keys:
        return {}
    return {key: Trace(parent, state) for key, parent, state in conn.execute(_KEPT, (list(keys),))}


def kept_of(conn: Connection[Any], events: Sequence[RecordedEvent]) -> dict[str, Trace]:
    """The contexts of these events, by `event_key`; the database is not asked where nobody traces."""
    return {} if _GIVEN.tracer is None else kept(conn, [event_key(read.event) for read in events])


def purge(conn: Connection[Any], now: datetime) -> int:
    """Erase the contexts that have been kept long enough; return how many."""
    return conn.execute(_PURGE, (now - KEPT,)).rowcount


# --- W3C Trace Context ------------------------------------------------------------------------------------------------


def trace_of(headers: Sequence[tuple[str, bytes | None]]) -> Trace | None:
    """The context that these headers bear, as W3C Trace Context defines it; None if it is absent or malformed.

    A malformed `tracestate` costs only itself.
    """
    parents = [value or b"" for name, value in headers if name.lower() == TRACEPARENT]
    states = [value or b"" for name, value in headers if name.lower() == TRACESTATE]
    if len(parents) != 1:
        return None
    read = _PARENT.fullmatch(parents[0].strip(b" \t"))
    if read is None or read[1] == b"ff" or (read[1] == b"00" and read[5] is not None):
        return None
    if not int(read[2], 16) or not int(read[3], 16):
        return None
    parent = f"00-{read[2].decode()}-{read[3].decode()}-{int(read[4], 16) & 1:02x}"
    return Trace(parent, _state(b",".join(states)))


def _state(value: bytes) -> str | None:
    members = [member for part in value.split(b",") if (member := part.strip(b" \t"))]
    keys = {member.partition(b"=")[0] for member in members}
    if not members or len(members) > _MEMBERS_MAX or len(keys) < len(members):
        return None
    joined = b",".join(members)
    if len(joined) > _STATE_BYTES_MAX or not all(_MEMBER.fullmatch(member) for member in members):
        return None
    return joined.decode("ascii")


def headers_of(trace: Trace) -> list[tuple[str, bytes]]:
    """The Kafka headers that say this context."""
    said = [(TRACEPARENT, trace.traceparent.encode())]
    return said if trace.tracestate is None else [*said, (TRACESTATE, trace.tracestate.encode())]
