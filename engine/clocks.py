"""PostgreSQL's clock beside our own: neither is believed alone.

The log is stamped by PostgreSQL and never goes back; a clock that jumped a day ahead would thus stamp all that follows
with that day, long after it was set right. So it may run ahead of the writer's own clock by a bound, and no further:
what is written during a jump carries at most that much of it, and all is well again that long after. Each statement
that writes to the log says that bound (`AT_MOST`), and the database keeps every row between the last event and there
(0044_une_seule_heure.sql): what one gesture writes bears one time, whatever the clock does.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from psycopg import Connection

AHEAD_MAX: Final = timedelta(seconds=10)
"""How far PostgreSQL's clock may be ahead of ours, or behind, without being told of."""

AT_MOST: Final = "set_config('creances.au_plus_tard', %b, true)"
"""Stands in the FROM of each statement that writes to the log, given `latest()`: the latest time that its rows bear.

Read before the first row is made, and gone with the transaction.
"""


def ours() -> datetime:
    """This machine's time."""
    return datetime.now(UTC)


def latest(clock: Callable[[], datetime] = ours) -> str:
    """The latest time that what is written now may bear."""
    return (clock() + AHEAD_MAX).isoformat()


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
