"""What a follower could not apply: set aside with its cause, and all that comes later in the same stream with it.

The only module that writes `vues.ecartes`. An operator releases; the leader, never the command line, applies what is
released, in the stream's order. What was written by a newer version of the code waits for a leader of that version,
which releases it by itself.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from psycopg import Connection


class LogRow(Protocol):
    """What is asked here of a row of the log."""

    @property
    def stream(self) -> str:
        """Its stream."""

    @property
    def topic(self) -> str:
        """The kind of its event."""

    @property
    def state(self) -> bytes:
        """Its event, as it is stored."""


Row = TypeVar("Row", bound=LogRow)

# The streams, of these, whose later events are set aside.
_STREAMS: Final = "SELECT DISTINCT flux FROM vues.ecartes WHERE suiveur = %b AND flux = ANY (%b::text[])"

_SET_ASIDE: Final = """
INSERT INTO vues.ecartes (suiveur, position, flux, cause, type_inconnu) VALUES (%b, %b, %b, %b, %b)
ON CONFLICT (suiveur, position) DO UPDATE
SET cause = excluded.cause, type_inconnu = excluded.type_inconnu, libere_le = NULL
"""

# The kinds of events that a follower did not know, and waits for.
_UNKNOWN: Final = """
SELECT DISTINCT type_inconnu FROM vues.ecartes
WHERE suiveur = %b AND type_inconnu IS NOT NULL AND libere_le IS NULL
"""

# Releases the streams that waited for these kinds, and for no other.
_RELEASE_KNOWN: Final = """
UPDATE vues.ecartes x SET libere_le = clock_timestamp()
WHERE x.suiveur = %b AND x.type_inconnu = ANY (%b::text[]) AND NOT EXISTS (
    SELECT FROM vues.ecartes y
    WHERE y.suiveur = x.suiveur AND y.flux = x.flux AND y.type_inconnu <> ALL (%b::text[])
)
"""

# The events of the streams that were released, in order.
_RELEASED: Final = """
SELECT e.position, e.flux, e.version, e.topic, e.etat, e.cause, e.enregistre_le
FROM vues.ecartes x JOIN journal.evenements e USING (position)
WHERE x.suiveur = %b
  AND x.flux IN (SELECT flux FROM vues.ecartes WHERE suiveur = %b AND libere_le IS NOT NULL)
ORDER BY e.position
"""

_FORGET: Final = "DELETE FROM vues.ecartes WHERE suiveur = %b AND flux = %b"

# The stream of an event that a follower set aside, and whether somebody released it already.
_ONE: Final = """
SELECT flux, libere_le IS NOT NULL FROM vues.ecartes WHERE suiveur = %b AND position = %b
"""

# Releases a stream: all that was set aside of it.
_RELEASE: Final = """
UPDATE vues.ecartes SET libere_le = clock_timestamp() WHERE suiveur = %b AND flux = %b AND libere_le IS NULL
"""

_FORGET_ALL: Final = "DELETE FROM vues.ecartes WHERE suiveur = %b"

# Back to waiting: it failed again.
_KEEP: Final = "UPDATE vues.ecartes SET libere_le = NULL, cause = %b WHERE suiveur = %b AND flux = %b"


class SetAside(NamedTuple):
    """A stream that a follower set aside."""

    stream: str
    released: bool


def streams(conn: Connection[Any], follower: str, of: Sequence[str]) -> set[str]:
    """The streams, of these, that this follower has set aside."""
    return {stream for (stream,) in conn.execute(_STREAMS, (follower, list(of)))}


def sort_out(
    rows: Sequence[Row], aside: set[str], unknown: Callable[[str, bytes], str | None]
) -> tuple[list[Row], list[tuple[Row, str, str | None]]]:
    """Those that can be applied, and those to be set aside, with the cause and the kind that is not known.

    `aside`: the streams that are set aside already. What follows an unknown event in its stream waits with it.
    """
    streams_aside = set(aside)
    known: list[Row] = []
    held: list[tuple[Row, str, str | None]] = []
    for row in rows:
        if row.stream in streams_aside:
            held.append((row, "suit un événement écarté du même flux", None))
        elif (kind := unknown(row.topic, row.state)) is not None:
            streams_aside.add(row.stream)
            held.append((row, f"type inconnu de cette version du service : {kind}", kind))
        else:
            known.append(row)
    return known, held


def add(
    conn: Connection[Any], follower: str, position: int, stream: str, *, cause: str, unknown: str | None = None
) -> None:
    """Set this event aside; `unknown`: its kind, if a newer version of the code is waited for."""
    conn.execute(_SET_ASIDE, (follower, position, stream, cause, unknown))


def release_known(conn: Connection[Any], follower: str, knows: Callable[[str], bool]) -> None:
    """Release the streams that waited for a version of the code that knows these kinds of events, and has come."""
    known = [kind for (kind,) in conn.execute(_UNKNOWN, (follower,)) if knows(kind)]
    if known:
        conn.execute(_RELEASE_KNOWN, (follower, known, known))


def one(conn: Connection[Any], follower: str, position: int) -> SetAside | None:
    """The stream of this event, if this follower set it aside."""
    row = conn.execute(_ONE, (follower, position)).fetchone()
    return SetAside(*row) if row else None


def release(conn: Connection[Any], follower: str, stream: str) -> bool:
    """Let the leader apply what was set aside of this stream; false if there was nothing to release."""
    return conn.execute(_RELEASE, (follower, stream)).rowcount > 0


def released(conn: Connection[Any], follower: str) -> list[Any]:
    """The rows of the log of the streams that somebody released, in the log's order."""
    return conn.execute(_RELEASED, (follower, follower)).fetchall()


def forget(conn: Connection[Any], follower: str, stream: str) -> None:
    """This stream is applied again, whole."""
    conn.execute(_FORGET, (follower, stream))


def keep(conn: Connection[Any], follower: str, stream: str, cause: str) -> None:
    """This stream goes on waiting, for this cause."""
    conn.execute(_KEEP, (cause, follower, stream))


def forget_all(conn: Connection[Any], follower: str) -> None:
    """All of it is tried again in its place: this follower starts from the beginning."""
    conn.execute(_FORGET_ALL, (follower,))
