"""The time of the log's signed states, asked of the authority now and then: a proof of a balance bears it."""

from pathlib import Path
from typing import Any

from psycopg import Connection

from engine import clocks
from engine.database import Database
from preuve import stamped
from preuve.checkpoints import Checkpoint
from service.settings import Settings
from service.timestamping import NoTimestamp, roots_of, stamp, verify


def stamp_point(settings: Settings, base: Database) -> int | None:
    """Stamp the last signed state, if the last one stamped is old enough; return how many leaves it has.

    None: there was nothing to stamp, or no authority is set. Raises NoTimestamp: it is away, wrong, or clocks disagree.
    """
    if settings.tsa_url is None or settings.tsa_roots is None:
        return None
    with base.transaction() as conn:
        state = stamped.due(conn, settings.tsa_interval)
        if state is None:
            return None
        if (said := clocks.disagreement(clocks.measure(conn))) is not None:
            raise NoTimestamp(said)
    got = stamp(settings.tsa_url, roots_of(settings.tsa_roots), state.text)
    with base.transaction() as conn:
        stamped.keep(conn, state, settings.tsa_url, got.at, got.response)
    return state.size


def unsigned_points(conn: Connection[Any], roots: Path) -> list[Checkpoint]:
    """The states whose token the authority did not sign for them. Raises NoTimestamp: unreadable roots."""
    trusted = roots_of(roots)
    found = []
    for state, text, token in stamped.tokens(conn):
        try:
            verify(token, trusted, text)
        except NoTimestamp:
            found.append(state)
    return found
