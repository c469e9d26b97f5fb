"""Helpers that hash again beside this process, each over a connection of its own, all in one snapshot."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, Final, NamedTuple

from psycopg import Connection, IsolationLevel

from engine.database import connect
from preuve.collector import collector_paused
from preuve.found import Rehashed
from preuve.spans import Span, compare

_EXPORT: Final = "SELECT pg_export_snapshot()"


class Helpers(NamedTuple):
    """How many, and where they read."""

    url: str
    processes: int


@contextmanager
def comparing_beside(
    conn: Connection[Any], epoch: str, spans: Sequence[Span], secret: bytes, helpers: Helpers
) -> Iterator[Iterator[Rehashed]]:
    """What each span gives, in order, in the snapshot of `conn`'s transaction, which stays open meanwhile.

    The helpers begin at once: what the caller does before it takes the first result is done beside them.
    """
    (snapshot,) = conn.execute(_EXPORT).fetchone() or ("",)
    beginning = (helpers.url, str(snapshot), epoch, secret)
    pool = ProcessPoolExecutor(helpers.processes, get_context("spawn"), _begin, beginning)
    try:
        yield pool.map(_compare, spans)
    finally:
        pool.shutdown(cancel_futures=True)


class _Helper:
    """What a helper holds: its connection, in the snapshot, for as long as it lives."""

    conn: Connection[Any]
    epoch: str
    secret: bytes


def _begin(url: str, snapshot: str, epoch: str, secret: bytes) -> None:
    _Helper.conn, _Helper.epoch, _Helper.secret = connect(url, application="creances-audit"), epoch, secret
    _Helper.conn.isolation_level = IsolationLevel.REPEATABLE_READ
    _Helper.conn.autocommit = False
    _Helper.conn.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'".encode())


def _compare(span: Span) -> Rehashed:
    with collector_paused():
        return compare(_Helper.conn, _Helper.epoch, span, _Helper.secret)
