"""What a follower set aside, and its release: the leader applies it at its next round, whoever asked."""

from typing import Any, Final, NamedTuple

from psycopg import Connection

# The stream of an event that a follower set aside, and whether somebody released it already.
_ONE: Final = """
SELECT flux, libere_le IS NOT NULL FROM vues.ecartes WHERE suiveur = %b AND position = %b
"""

# Releases a stream: all that was set aside of it.
_RELEASE: Final = """
UPDATE vues.ecartes SET libere_le = clock_timestamp() WHERE suiveur = %b AND flux = %b AND libere_le IS NULL
"""


class SetAside(NamedTuple):
    """A stream that a follower set aside."""

    stream: str
    released: bool


def set_aside(conn: Connection[Any], follower: str, position: int) -> SetAside | None:
    """The stream of this event, if this follower set it aside."""
    row = conn.execute(_ONE, (follower, position)).fetchone()
    return SetAside(*row) if row else None


def release(conn: Connection[Any], follower: str, stream: str) -> bool:
    """Let the leader apply what was set aside of this stream; false if there was nothing to release."""
    return conn.execute(_RELEASE, (follower, stream)).rowcount > 0
