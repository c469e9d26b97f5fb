"""What Prometheus reads of all roles: the lag, the states, the fates; told by the database and Kafka, so by any API."""

import time
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import structlog
from kafka.errors import KafkaError
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from psycopg_pool import PoolTimeout

from journal.bases import Base
from service.retard import lag
from service.settings import Settings

KEPT_SECONDS: Final = 5.0
"""Two scrapes within this time read the servers once."""

_FATES: Final = "SELECT topic, sort, count(*) FROM journal.sorts GROUP BY topic, sort"


class RolesCollector(Collector):
    """Reads at scrape time; servers that do not answer are told by `creances_roles_lisibles 0`, never by an error."""

    def __init__(self, settings: Settings, base: Base) -> None:
        self.settings = settings
        self.base = base
        self._read_at = 0.0
        self._rows: list[dict[str, Any]] = []
        self._fates: list[tuple[str, str, int]] = []
        self._readable = False

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering must not read the servers."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The gauges, as of now or a few seconds ago."""
        if time.monotonic() - self._read_at > KEPT_SECONDS:
            self._read()
        yield GaugeMetricFamily(
            "creances_roles_lisibles", "1 si PostgreSQL et Kafka ont dit le retard des rôles", value=int(self._readable)
        )
        events = GaugeMetricFamily("creances_retard_evenements", "Événements en attente", labels=["role"])
        seconds = GaugeMetricFamily("creances_retard_secondes", "Âge du plus ancien en attente", labels=["role"])
        active = GaugeMetricFamily("creances_role_actif", "1 si le rôle est mené", labels=["role"])
        parked = GaugeMetricFamily(
            "creances_evenements_ecartes", "Événements qu'une vue n'a pu appliquer", labels=["role"]
        )
        for row in self._rows:
            events.add_metric([row["nom"]], row["evenements"])
            seconds.add_metric([row["nom"]], row["secondes"])
            active.add_metric([row["nom"]], int(row["etat"] == "actif"))
            parked.add_metric([row["nom"]], row.get("ecartes", 0))
        fates = GaugeMetricFamily("creances_sorts", "Messages lus, par sort", labels=["topic", "sort"])
        for topic, sort, count in self._fates:
            fates.add_metric([topic, sort], count)
        yield from (events, seconds, active, parked, fates)

    def _read(self) -> None:
        try:
            self._rows = lag(self.settings, self.base)
            with self.base.transaction() as conn:
                self._fates = conn.execute(_FATES).fetchall()
            self._readable = True
        except (psycopg.Error, PoolTimeout, KafkaError):
            structlog.get_logger().exception("roles_illisibles")
            self._readable = False
        self._read_at = time.monotonic()
