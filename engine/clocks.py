"""PostgreSQL's clock beside our own: neither is believed alone.

The log is stamped by PostgreSQL and never goes back; a clock that jumped a day ahead would thus stamp all that follows
with that day, long after it was set right. So it may run ahead of the writer's own clock by a bound, and no further:
what is written during a jump carries at most that much of it, and all is well again that long after.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from psycopg import Connection

AHEAD_MAX: Final = timedelta(seconds=10)
"""How far PostgreSQL's clock may be ahead of ours, or behind, without being told of."""


def skew(theirs: datetime, before: datetime, after: datetime) -> timedelta:
    """How far their clock is ahead of ours (behind: negative), read between these two instants of ours."""
    if theirs > after:
        return theirs - after
    return min(theirs - before, timedelta())


def measure(conn: Connection[Any]) -> timedelta:
    """How far PostgreSQL's clock is ahead of ours."""
    before = datetime.now(UTC)
    (theirs,) = conn.execute("SELECT clock_timestamp()").fetchone() or (before,)
    return skew(theirs, before, datetime.now(UTC))


def disagreement(gap: timedelta) -> str | None:
    """The sentence that says so, if the two are further apart than `AHEAD_MAX`."""
    if abs(gap) <= AHEAD_MAX:
        return None
    side = "avance" if gap > timedelta() else "retarde"
    return (
        f"l'horloge de PostgreSQL {side} de {abs(gap).total_seconds():.0f} s sur celle de cette machine : "
        f"les événements portent au plus {AHEAD_MAX.total_seconds():.0f} s d'avance sur elle"
    )
