"""How a decision is taken in one transaction, and taken again when somebody else was faster."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import structlog
from psycopg import Connection

from engine.conflicts import KeyConflict, LogContradicts, VersionConflict
from engine.database import Database
from engine.outages import is_retryable
from engine.recorder import Recorder

OPTIMISTIC_ATTEMPTS: Final = 3
"""Conflicts after which the write order is taken before loading."""

OUTAGE_ATTEMPTS: Final = 2
"""Attempts in all when the connection is lost; a recorded request is found by its key, not decided again."""

_T = TypeVar("_T")


def decide(database: Database, recorder: Recorder, decision: Callable[[Connection[Any]], _T]) -> _T:
    """Run a decision in a transaction, and run it again, whole, if somebody recorded before it.

    After `OPTIMISTIC_ATTEMPTS` conflicts the write order is taken before loading: the next attempt cannot lose. If the
    answer to the commit was lost, the decision run again finds what is recorded: its key, or the state it produced.

    Raises LogContradicts if it then loses the very version that it lost before: what is stored belies itself. Another
    one is only another name already taken.
    """
    conflicts = outages = 0
    lost = ""
    while True:
        ordered = conflicts >= OPTIMISTIC_ATTEMPTS
        try:
            with database.transaction() as conn:
                if ordered:
                    recorder.take_order(conn)
                return decision(conn)
        except (VersionConflict, KeyConflict) as conflict:
            if ordered and isinstance(conflict, VersionConflict) and str(conflict) == lost:
                raise LogContradicts(lost) from conflict
            lost = str(conflict)
            conflicts += 1
            structlog.get_logger().info("decision_reprise", conflit=type(conflict).__name__, essai=conflicts)
        except Exception as error:
            outages += 1
            if outages >= OUTAGE_ATTEMPTS or not is_retryable(error):
                raise
            structlog.get_logger().warning("decision_apres_panne", essai=outages)
