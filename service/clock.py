"""What Prometheus reads of the 24 h clock: how many accepted payments are not displayed yet, and for how long."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from psycopg import Connection

from projections.lectures.delai import attentes
from service.kept_collector import KeptCollector, Silence


class ClockCollector(KeptCollector[tuple[int, float]]):
    """The gauges of the clock: how many wait, and for how long the oldest (seconds)."""

    kept_s = 5.0
    unreadable = "horloge_illisible"

    def __init__(self, url: str, limit: timedelta, silence: Silence | None = None) -> None:
        super().__init__(url, silence)
        self._limit = limit

    def collect(self) -> Iterator[Metric]:
        """The gauges, as of now or a few seconds ago."""
        pending = self.kept()
        yield GaugeMetricFamily(
            "creances_affichage_delai_secondes",
            "Temps permis entre l'acceptation par la banque et l'affichage",
            value=self._limit.total_seconds(),
        )
        if pending is not None:
            count, oldest = pending
            yield GaugeMetricFamily(
                "creances_affichage_en_attente", "Paiements acceptés, pas encore affichés", value=count
            )
            yield GaugeMetricFamily(
                "creances_affichage_attente_secondes", "Depuis combien de temps le plus ancien attend", value=oldest
            )

    def read(self, conn: Connection[Any]) -> tuple[int, float]:
        """Read the payments that wait."""
        pending = attentes(conn)
        oldest = (datetime.now(UTC) - pending[0].accepte_le).total_seconds() if pending else 0.0
        return len(pending), oldest
