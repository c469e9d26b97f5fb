"""What a follower could not apply: set aside with its cause, and all that comes later in the same stream with it.

The only module that writes `vues.ecartes`.
An operator releases; the leader, never the command line, applies what is released, in the stream's order.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from psycopg import Connection

# The streams, of these, whose later events are set aside.
_STREAMS: Final = "SELECT DISTINCT flux FROM vues.ecartes WHERE suiveur = %b AND flux = ANY (%b::text[])"

_SET_ASIDE: Final = """
INSERT INTO vues.ecartes (suiveur, position, flux, cause) VALUES (%b, %b, %b, %b)
ON CONFLICT (suiveur, position) DO UPDATE SET cause = excluded.cause, libere_le = NULL
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


def add(conn: Connection[Any], follower: str, position: int, stream: str, cause: str) -> None:
    """Set this event aside."""
    conn.execute(_SET_ASIDE, (follower, position, stream, cause))


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
