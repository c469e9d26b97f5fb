"""What Prometheus reads of the bank's reports: which merchants still await yesterday's, and the open differences."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from psycopg import Connection

from domain.ecart import GenreEcart
from guichet.rapprocher import rapports_attendus
from service.kept_collector import KeptCollector, Silence

_OPEN: Final = "SELECT genre, count(*) FROM vues.ecarts_ouverts GROUP BY genre"


class _Read(NamedTuple):
    awaited: frozenset[str]
    differences: dict[str, int]


class ReportsCollector(KeptCollector[_Read]):
    """The gauges of the reports; what is read changes a few times a day."""

    kept_s = 60.0
    unreadable = "rapports_illisibles"

    def __init__(
        self,
        url: str,
        merchants: Sequence[str],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        silence: Silence | None = None,
    ) -> None:
        super().__init__(url, silence)
        self._merchants = merchants
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """The gauges, as of now or up to a minute ago."""
        told = self.kept()
        if told is None:
            return
        awaited = GaugeMetricFamily(
            "creances_rapport_attendu", "1 si le rapport de transactions de la veille manque", labels=["marchand"]
        )
        for merchant in self._merchants:
            awaited.add_metric([merchant], float(merchant in told.awaited))
        yield awaited
        differences = GaugeMetricFamily(
            "creances_ecarts_ouverts", "Écarts entre les rapports de la banque et nos paiements", labels=["genre"]
        )
        for kind in GenreEcart:
            differences.add_metric([kind.value], told.differences.get(kind.value, 0))
        yield differences

    def read(self, conn: Connection[Any]) -> _Read:
        """Read who still awaits yesterday's report, and the open differences."""
        awaited = rapports_attendus(conn, self._merchants, self._clock())
        return _Read(frozenset(awaited), dict(conn.execute(_OPEN).fetchall()))
