"""What Prometheus reads of the bank's reports: which merchants still await yesterday's, and the open differences."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Final, NamedTuple

import psycopg
import structlog
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from engine.database import connect
from guichet.rapprochement.ecarts import GenreEcart
from guichet.rapprocher import rapports_attendus

CONNECT_SECONDS: Final = 2
"""How long a scrape waits for a connection: all collectors together answer within what a request may take."""

KEPT_SECONDS: Final = 60.0
"""Scrapes within this time read the database once: what is read here changes a few times a day."""

_OPEN: Final = "SELECT genre, count(*) FROM vues.ecarts_ouverts GROUP BY genre"


class _Read(NamedTuple):
    awaited: frozenset[str]
    differences: dict[str, int]


class ReportsCollector(Collector):
    """Reads at scrape time, by a connection of its own; without the database its gauges are absent."""

    def __init__(
        self, url: str, merchants: Sequence[str], clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._url = url
        self._merchants = merchants
        self._clock = clock
        self._read_at = float("-inf")
        self._last: _Read | None = None

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering must not read the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The gauges, as of now or up to a minute ago."""
        if time.monotonic() - self._read_at > KEPT_SECONDS:
            self._last = self._read()
            self._read_at = time.monotonic()
        if self._last is None:
            return
        awaited = GaugeMetricFamily(
            "creances_rapport_attendu", "1 si le rapport de transactions de la veille manque", labels=["marchand"]
        )
        for merchant in self._merchants:
            awaited.add_metric([merchant], float(merchant in self._last.awaited))
        yield awaited
        differences = GaugeMetricFamily(
            "creances_ecarts_ouverts", "Écarts entre les rapports de la banque et nos paiements", labels=["genre"]
        )
        for kind in GenreEcart:
            differences.add_metric([kind.value], self._last.differences.get(kind.value, 0))
        yield differences

    def _read(self) -> _Read | None:
        try:
            with closing(connect(self._url, application="creances-metrics", connect_timeout=CONNECT_SECONDS)) as conn:
                awaited = rapports_attendus(conn, self._merchants, self._clock())
                return _Read(frozenset(awaited), dict(conn.execute(_OPEN).fetchall()))
        except psycopg.Error as cause:
            structlog.get_logger().warning("rapports_illisibles", cause=str(cause))
            return None
