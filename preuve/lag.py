"""The unsealed tail: what was written and no seal covers yet."""

from typing import Any, Final, NamedTuple

from psycopg import Connection

# The events after the last sealed one, and since when the oldest waits; an epoch without a seal has all to be sealed.
_TAIL: Final = """
SELECT count(*), extract(epoch FROM clock_timestamp() - min(e.enregistre_le))::float8
FROM journal.evenements e
WHERE e.position > coalesce((
    SELECT s.position FROM journal.sceaux s WHERE s.epoque = (SELECT max(nom) FROM journal.epoques)
    ORDER BY s.taille DESC LIMIT 1), 0)
"""


class Tail(NamedTuple):
    """How many events are not sealed, and how long the oldest has waited (seconds)."""

    events: int
    seconds: float


def unsealed(conn: Connection[Any]) -> Tail:
    """The unsealed tail, in events: positions are given in the order in which transactions end."""
    count, seconds = conn.execute(_TAIL).fetchone() or (0, None)
    return Tail(count, max(0.0, seconds or 0.0))
