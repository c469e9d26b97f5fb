"""Filling an empty `restant_du` from the whole log, three ways, in events that concern the view per second."""

import time
from collections.abc import Callable
from typing import Any, Final

import psycopg
from psycopg import Connection

from bench import ceiling
from bench.data import DEBT, SHARE, Scale
from bench.processes import bench_script, wait_for
from bench.servers import Database, Servers
from bench.stage import Stage
from projections import RestantDu
from service.rebuilding import rebuild
from service.settings import Settings

START_SECONDS: Final = 60.0

# Empties the view and sends its follower back to the start, as dropping it would.
_EMPTY: Final = (
    "TRUNCATE vues.restant_du, vues.trop_percus; UPDATE vues.suiveurs SET position = 0 WHERE nom = 'restant_du'"
)
_EMPTY_LIBRARY: Final = "TRUNCATE soldes; DELETE FROM suivi_tracking WHERE application_name = 'banque'"

# How far the library's projection is, and how many events that is.
_TRACKED: Final = "SELECT coalesce(max(notification_id), 0) FROM suivi_tracking WHERE application_name = 'banque'"
_PROJECTED: Final = "SELECT count(*) FROM banque_events WHERE notification_id <= %s AND topic = ANY (%s)"
_LAST: Final = "SELECT max(notification_id) FROM banque_events WHERE topic = ANY (%s)"


def concerned(scale: Scale) -> int:
    """How many events of the log concern the view: each avis, each reservation."""
    return scale.creances + scale.payments


def ours(servers: Servers, stage: Stage, database: Database) -> float:
    """`creances rebuild restant_du`: beside the live view, its indexes, compared row by row, verified, swapped."""
    settings = servers.settings(database, stage.topics)
    with psycopg.connect(database.owner_url, autocommit=True) as conn:
        return _timed(servers, stage, conn, lambda: _swapped(settings), beside=True)


def _swapped(settings: Settings) -> None:
    done = rebuild(settings, RestantDu.nom)
    if not done.swapped or done.different:
        raise RuntimeError(f"not swapped as it was: {done}")


def by_hand(servers: Servers, stage: Stage, database: Database) -> float:
    """The ceiling."""
    with psycopg.connect(database.owner_url, autocommit=True) as conn:
        return _timed(servers, stage, conn, lambda: ceiling.rebuild(conn))


def by_library(servers: Servers, stage: Stage, seconds_max: float) -> tuple[float, float]:
    """The library's runner, watched for so long at most; the rate, and the part of the log that it did by then."""
    topics = sorted(RestantDu.topics)
    settings = servers.settings(stage.library, stage.topics)
    with psycopg.connect(stage.library.owner_url, autocommit=True) as conn:
        conn.execute(_EMPTY_LIBRARY)
        servers.checkpoint()
        last = _number(conn, _LAST, topics)
        with bench_script(settings, "library", "project") as runner:
            first = wait_for(lambda: _number(conn, _TRACKED), [runner], START_SECONDS, "library: first event")
            start = time.perf_counter()
            reached = first
            while reached < last and time.perf_counter() - start < seconds_max:
                runner.ensure_running()
                time.sleep(0.05)
                reached = _number(conn, _TRACKED)
            seconds = time.perf_counter() - start
        before, after = (_number(conn, _PROJECTED, number, topics) for number in (first, reached))
    return (after - before) / seconds, after / concerned(stage.scale)


def _timed(
    servers: Servers, stage: Stage, conn: Connection[Any], filling: Callable[[], object], *, beside: bool = False
) -> float:
    if not beside:
        conn.execute(_EMPTY)
    servers.checkpoint()
    start = time.perf_counter()
    filling()
    seconds = time.perf_counter() - start
    scale = stage.scale
    found = conn.execute("SELECT sum(solde)::int8, sum(en_cours)::int8, count(*) FROM vues.restant_du").fetchone()
    if found != (scale.creances * DEBT, scale.payments * SHARE, scale.creances):
        raise RuntimeError(f"rebuilt balances are {found}")
    return concerned(scale) / seconds


def _number(conn: Connection[Any], query: str, *parameters: object) -> int:
    (number,) = conn.execute(query, parameters or None).fetchone() or (0,)
    return int(number)
