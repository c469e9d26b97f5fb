"""The duty of `relance` that closes the days: in one process at a time, each day once the bank has told it, or by 10.

The day before yesterday and older never wait. What a closing needs of others (the authority's time) is asked after it;
the time of the log's signed states is asked here too.
"""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, NamedTuple

import structlog
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from psycopg import Connection

from domain.delai import PARIS
from engine.backoff import Backoff
from engine.lease import Lease
from engine.outages import is_outage
from guichet.guichet import Guichet
from guichet.rapprocher import MIDI, rapports_attendus
from projections.arretes.journal import premier_jour
from projections.arretes.lecture import dernier_jour, jours_sans_jeton
from service import leases
from service.closing import close_days
from service.closing_stamps import stamp_closings
from service.kept_collector import KeptCollector, Silence
from service.point_stamps import stamp_point
from service.reports.merchants import merchants_of
from service.settings import Settings
from service.timestamping import NoTimestamp

NAME: Final = "arrete"

LOOKS_EVERY_S: Final = 60.0
REFUSED_EVERY_S: Final = 600.0
"""How long a day that does not close is left alone: to find that out reads the whole log."""

STAMPS_COUNTED_MAX: Final = 1_000


def days_over(conn: Connection[Any], now: datetime) -> list[date]:
    """The days that are over and not closed, the oldest first."""
    last = dernier_jour(conn)
    first = premier_jour(conn) if last is None else last + timedelta(days=1)
    today = now.astimezone(PARIS).date()
    return [] if first is None else [first + timedelta(days=n) for n in range((today - first).days)]


class ClosingDuty:
    """Closes until it is stopped."""

    def __init__(
        self,
        settings: Settings,
        counter: Guichet,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`settings.arrete_at`: until when yesterday's report of the bank is waited for, in Paris."""
        self._settings = settings
        self._counter = counter
        self._clock = clock
        self._url = counter.base.url
        self._lease = Lease(self._url, NAME, table="vues.baux")
        self._log = structlog.get_logger().bind(role=NAME)
        self._backoff = Backoff(self._log, "arrete_interrompu")

    def run(self, stop: threading.Event) -> None:
        """Look every minute until `stop` is set; an outage, and a day that does not close, are told and tried again."""
        while not stop.is_set():
            pause_s = LOOKS_EVERY_S
            try:
                with leases.led(self._url, NAME, self._lease) as conn:
                    if conn is not None:
                        self.look(conn)
                self._backoff.progress()
            except NoTimestamp as cause:
                self._log.warning("arrete_sans_horodatage", cause=str(cause))
            except Exception as fault:  # noqa: BLE001  told, and tried again; the alert of noon tells it too
                pause_s = self._backoff.fail(fault) if is_outage(fault) else REFUSED_EVERY_S
                if not is_outage(fault):
                    self._log.exception("arrete_refuse")
            stop.wait(pause_s)

    def look(self, conn: Connection[Any]) -> int:
        """Close what is due, ask for its time; return how many days were closed here."""
        until = self.due(conn)
        closed = close_days(self._counter.base, self._counter.recorder, until) if until is not None else []
        for one in closed:
            self._log.info("journee_arretee", jour=one.arrete.jour.isoformat(), empreinte=one.empreinte)
        stamp_closings(self._settings, self._counter.base)
        stamp_point(self._settings, self._counter.base)
        return len(closed)

    def due(self, conn: Connection[Any]) -> date | None:
        """The last day to close now; None: nothing is due."""
        here = self._clock().astimezone(PARIS)
        over = days_over(conn, here)
        if not over:
            return None
        noon = datetime.combine(here.date(), time(MIDI), PARIS)
        waits = here.time() < self._settings.arrete_at and rapports_attendus(conn, merchants_of(self._settings), noon)
        if not waits:
            return over[-1]
        return over[-2] if len(over) > 1 else None


class _Read(NamedTuple):
    overdue: int
    unstamped: int


class ClosingsCollector(KeptCollector[_Read]):
    """The gauges of the closings."""

    kept_s = 60.0
    unreadable = "arretes_illisibles"

    def __init__(
        self,
        url: str,
        *,
        stamped: bool,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        silence: Silence | None = None,
    ) -> None:
        """`stamped`: an authority is set, so that a closing without a token is one too many."""
        super().__init__(url, silence)
        self._stamped = stamped
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """The gauges, as of now or up to a minute ago."""
        if (told := self.kept()) is None:
            return
        yield GaugeMetricFamily(
            "creances_arretes_en_retard",
            "Journées finies qui ne sont pas arrêtées, celle d'hier à partir de midi (Paris)",
            value=told.overdue,
        )
        yield GaugeMetricFamily(
            "creances_arretes_sans_jeton", "Arrêtés que l'autorité n'a pas encore horodatés", value=told.unstamped
        )

    def read(self, conn: Connection[Any]) -> _Read:
        """Count them."""
        here = self._clock().astimezone(PARIS)
        over = days_over(conn, here)
        overdue = len(over) if here.hour >= MIDI else max(len(over) - 1, 0)
        return _Read(overdue, len(jours_sans_jeton(conn, STAMPS_COUNTED_MAX)) if self._stamped else 0)
