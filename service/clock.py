"""What Prometheus reads of the 24 h clock: how many accepted payments are not displayed yet, and for how long."""

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg
import structlog
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from engine.database import connect
from projections.vues.delai_affichage import attentes

CONNECT_SECONDS: Final = 2
"""How long a scrape waits for a connection: all collectors together answer within what a request may take."""

KEPT_SECONDS: Final = 5.0
"""Two scrapes within this time read the database once."""


class ClockCollector(Collector):
    """Reads at scrape time, by a connection of its own; without the database its gauges are absent."""

    def __init__(self, url: str, limit: timedelta) -> None:
        self._url = url
        self._limit = limit
        self._read_at = float("-inf")
        self._pending: tuple[int, float] | None = None

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering must not read the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The gauges, as of now or a few seconds ago."""
        if time.monotonic() - self._read_at > KEPT_SECONDS:
            self._read()
        yield GaugeMetricFamily(
            "creances_affichage_delai_secondes",
            "Temps permis entre l'acceptation par la banque et l'affichage",
            value=self._limit.total_seconds(),
        )
        if self._pending is not None:
            count, oldest = self._pending
            yield GaugeMetricFamily(
                "creances_affichage_en_attente", "Paiements acceptés, pas encore affichés", value=count
            )
            yield GaugeMetricFamily(
                "creances_affichage_attente_secondes", "Depuis combien de temps le plus ancien attend", value=oldest
            )

    def _read(self) -> None:
        try:
            with closing(connect(self._url, application="creances-metrics", connect_timeout=CONNECT_SECONDS)) as conn:
                pending = attentes(conn)
                oldest = (datetime.now(UTC) - pending[0].accepte_le).total_seconds() if pending else 0.0
                self._pending = len(pending), oldest
        except psycopg.Error as cause:
            structlog.get_logger().warning("horloge_illisible", cause=str(cause))
            self._pending = None
        self._read_at = time.monotonic()
