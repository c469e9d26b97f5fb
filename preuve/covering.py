"""The signed state that what was counted stands under: the first that holds all of it, or the last one there is.

What is counted is a prefix of the log and the bank's reports up to one of them; a seal holds all that transactions up
to one number wrote, so the last of those that wrote something of it decides.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple

from psycopg import Connection

from preuve.checkpoints import Checkpoint
from preuve.notes import NoteRefused, split

# Per prefix, the last transaction that wrote an event which the prefix before it does not have.
_LAST_OF_EVENTS: Final = """
SELECT width_bucket(position, %(after)s::int8[]), max(coalesce(ecrit_par, 0)) FROM journal.evenements
WHERE position < %(end)s GROUP BY 1
"""

# A report and its lines are written by one transaction.
_LAST_OF_REPORTS: Final = "SELECT coalesce(max(ecrit_par), 0) FROM journal.rapports WHERE rang <= %s"

# The signed states of a tree, and up to which transaction each holds everything.
_STATES: Final = "SELECT p.note, s.jusqu_a FROM journal.points p JOIN journal.sceaux s USING (epoque, taille)"

_CURRENT: Final = f"{_STATES} WHERE epoque = (SELECT max(nom) FROM journal.epoques)"  # noqa: S608  a constant

_FIRST: Final = _CURRENT + " AND s.jusqu_a >= %s ORDER BY s.jusqu_a, taille LIMIT 1"

_LAST: Final = _CURRENT + " ORDER BY taille DESC LIMIT 1"

_NAMED: Final = _STATES + " WHERE epoque = %s AND taille = %s"

_OUTSIDE: Final = """
SELECT (SELECT count(*) FROM journal.evenements WHERE ecrit_par > %(until)s AND position <= %(position)s)
     + (SELECT count(*) FROM journal.rapports WHERE ecrit_par > %(until)s AND rang <= %(reports)s)
     + (SELECT count(*) FROM journal.lignes_de_rapport WHERE ecrit_par > %(until)s AND rapport <= %(reports)s)
"""


class Counted(NamedTuple):
    """What a closing has counted."""

    position: int
    """Up to this position of the log."""
    reports: int
    """And the bank's reports up to this one."""


class Cover(NamedTuple):
    """A signed state, and how many of the rows that were counted it does not hold."""

    checkpoint: Checkpoint
    note: str
    outside: int


def covers(conn: Connection[Any], counted: Sequence[Counted]) -> list[Cover | None]:
    """What each of these (by rising position) stands under now, in the current epoch; None before its first state."""
    return [_cover(conn, one, last) for one, last in zip(counted, _last_writers(conn, counted), strict=True)]


def outside(conn: Connection[Any], counted: Sequence[Counted], states: Sequence[tuple[str, int]]) -> list[Cover | None]:
    """Of each of these, beside the state (epoch, size) that it says to stand under, what that state is worth.

    None: there is no such state.
    """
    found: list[Cover | None] = []
    for one, last, state in zip(counted, _last_writers(conn, counted), states, strict=True):
        row = conn.execute(_NAMED, state).fetchone()
        found.append(None if row is None else _with_outside(conn, one, last, *row))
    return found


def _last_writers(conn: Connection[Any], counted: Sequence[Counted]) -> list[int]:
    """The last transaction that wrote something of each, in one reading of the log for all."""
    if not counted:
        return []
    after = [one.position + 1 for one in counted]
    by_prefix = dict(conn.execute(_LAST_OF_EVENTS, {"after": after, "end": after[-1]}).fetchall())
    of_events = accumulate((by_prefix.get(rank, 0) for rank in range(len(counted))), max)
    of_reports = {reports: _of_reports(conn, reports) for reports in {one.reports for one in counted}}
    return [max(last, of_reports[one.reports]) for one, last in zip(counted, of_events, strict=True)]


def _of_reports(conn: Connection[Any], reports: int) -> int:
    (last,) = conn.execute(_LAST_OF_REPORTS, (reports,)).fetchone() or (0,)
    return int(last)


def _cover(conn: Connection[Any], counted: Counted, last: int) -> Cover | None:
    row = conn.execute(_FIRST, (last,)).fetchone() or conn.execute(_LAST).fetchone()
    return None if row is None else _with_outside(conn, counted, last, *row)


def _with_outside(conn: Connection[Any], counted: Counted, last: int, note: str, until: int) -> Cover | None:
    count = 0
    if last > until:
        values = {"until": until, **counted._asdict()}
        (count,) = conn.execute(_OUTSIDE, values).fetchone() or (0,)
    try:
        return Cover(Checkpoint.parse(split(note)[0]), note, count)
    except NoteRefused:  # Not what was signed: `audit --preuve` tells it.
        return None
