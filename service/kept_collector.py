"""A collector that reads the database at scrape time, and keeps what it read for a while."""

import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import closing
from typing import Any, ClassVar, Final, Generic, TypeVar

import psycopg
import structlog
from prometheus_client import Metric
from prometheus_client.registry import Collector
from psycopg import Connection

from engine.database import connect

CONNECT_SECONDS: Final = 2
"""How long a scrape waits for a connection: all collectors together answer within what a request may take."""

SILENT_SECONDS: Final = 5.0
"""How long a database that did not answer is left alone: what one collector waited for, those after it need not."""


class Silence:
    """What collectors of one database share: it did not answer one of them, so the others leave it alone."""

    def __init__(self) -> None:
        """Nobody has waited in vain yet."""
        self._until = float("-inf")

    def begin(self) -> None:
        """Tell that the database did not answer."""
        self._until = time.monotonic() + SILENT_SECONDS

    def lasts(self) -> bool:
        """Whether the database is still to be left alone."""
        return time.monotonic() < self._until


T = TypeVar("T")


class KeptCollector(Collector, Generic[T]):
    """Reads by a connection of its own; without the database what it reads is absent."""

    kept_s: ClassVar[float]
    """Scrapes within this time read the database once (seconds)."""
    unreadable: ClassVar[str]
    """What the log says when the database does not answer."""

    def __init__(self, url: str, silence: Silence | None = None) -> None:
        """`url`: the database; `silence`: shared with the collectors that are scraped along."""
        self._url = url
        self._silence = silence or Silence()
        self._read_at = float("-inf")
        self._last: T | None = None

    @abstractmethod
    def read(self, conn: Connection[Any]) -> T:
        """Read the database."""

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering must not read the database."""
        return iter(())

    def kept(self) -> T | None:
        """What was read, now or at most `kept_s` ago; None if the database did not answer."""
        if time.monotonic() - self._read_at > self.kept_s:
            self._last = self._read_or_tell()
            self._read_at = time.monotonic()
        return self._last

    def _read_or_tell(self) -> T | None:
        if self._silence.lasts():
            return None
        try:
            with closing(connect(self._url, application="creances-metrics", connect_timeout=CONNECT_SECONDS)) as conn:
                return self.read(conn)
        except psycopg.Error as cause:
            if isinstance(cause, psycopg.errors.ConnectionTimeout):
                self._silence.begin()
            structlog.get_logger().warning(self.unreadable, cause=str(cause))
            return None
