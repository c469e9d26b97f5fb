"""The watch: every view compared with the log round and round, and a record a minute of the lags and of the clock.

It runs beside `relance`, in one process at a time (a lease). What it costs is bounded: after each slice it rests in
proportion to the time the slice took, PostgreSQL's included.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from psycopg import Connection

from engine.backoff import Backoff
from engine.database import Database
from engine.lease import Lease
from engine.outages import describe, is_outage
from guichet.guichet import Guichet
from projections.lectures.horloge import etat_de_l_horloge
from projections.lectures.releves import PointDHorloge, effacer_les_vieux, noter_l_horloge, noter_les_retards
from projections.parite import Comparateur
from projections.parite_accords import edition_du_code, lire_le_bloc
from projections.parite_tenue import noter, noter_un_manque, ou_en_est
from projections.vues import VUES
from service import leases
from service.lag import KeptReader, lag
from service.settings import Settings

NAME: Final = "veille"

RECORDED_EVERY_S: Final = 60.0
ASLEEP_S: Final = 5.0
"""How long to wait for the lease, and between two looks at it."""

PAUSE_MIN_S: Final = 0.05


class Watch:
    """Compares and records until it is stopped; one at a time."""

    def __init__(
        self,
        settings: Settings,
        counter: Guichet,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`settings.parity_share`: the part of a core that comparing may take; 0: never."""
        self._settings = settings
        self._counter = counter
        self._clock = clock
        self._url = counter.base.url
        self._lease = Lease(self._url, NAME, table="vues.baux")
        self._log = structlog.get_logger().bind(role=NAME)
        self._backoff = Backoff(self._log, "veille_interrompue")
        self._reader = KeptReader(settings)
        self._recorded_at = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop` is set; an outage is waited out."""
        while not stop.is_set():
            try:
                with leases.led(self._url, NAME, self._lease) as conn:
                    if conn is None:
                        stop.wait(ASLEEP_S)
                    else:
                        self._watch(conn, stop)
            except Exception as fault:  # noqa: BLE001  (told, and tried again: nothing depends on it but its own figures)
                stop.wait(self._backoff.fail(fault))
            finally:
                self._reader.close()

    def _watch(self, conn: Connection[Any], stop: threading.Event) -> None:
        edition = edition_du_code()
        comparers = {
            name: Comparateur(conn, view, self._counter.recorder, edition=edition)
            for name, view in VUES.items()
            if view.par_flux
        }
        names = list(comparers)
        turn = 0
        while not stop.is_set():
            self._lease.require()
            started = time.monotonic()
            if started - self._recorded_at >= RECORDED_EVERY_S:
                self.record(conn)
                self._recorded_at = started
            if self._settings.parity_share <= 0:
                stop.wait(ASLEEP_S)
                continue
            started = time.monotonic()
            # One view's round is done before the next begins: each goes as fast as the share allows.
            if self.compare(conn, comparers[names[turn % len(names)]]):
                turn += 1
            self._backoff.progress()
            took_s = time.monotonic() - started
            stop.wait(min(max(took_s * (1 / self._settings.parity_share - 1), PAUSE_MIN_S), RECORDED_EVERY_S))

    def compare(self, conn: Connection[Any], comparer: Comparateur) -> bool:
        """Compare one slice; whether the view's round is over, or could not go on."""
        table, after = ou_en_est(conn, comparer.vue)
        try:
            block = lire_le_bloc(conn, comparer.nom, table, after)
            slice_ = comparer.comparer(table, after, bloc=block)
        except Exception as fault:
            if is_outage(fault):
                raise
            self._log.exception("parite_fautive", vue=comparer.nom, apres=after)
            noter_un_manque(conn, comparer.nom, describe(fault))
            return True
        for found in slice_.constats:
            self._log.error("vue_differente", vue=comparer.nom, cle=found.cle, genre=found.genre, dit=found.phrase)
        return noter(conn, comparer.vue, table, slice_)

    def record(self, conn: Connection[Any]) -> None:
        """Write this minute down, and forget what is older than a month."""
        now = self._clock()
        minute = now.replace(second=0, microsecond=0)
        limit = self._settings.politique.delai_affichage
        state = etat_de_l_horloge(conn, now, limit)
        point = PointDHorloge(
            minute,
            state.affiches,
            state.en_attente,
            state.plus_ancien_s or 0.0,
            state.depasses,
            state.depasses_affiches,
            state.presumes,
        )
        with conn.transaction():
            noter_l_horloge(conn, point, state.par_caisse)
            noter_les_retards(conn, minute, self._lags(self._counter.base))
            if minute.minute == 0:
                effacer_les_vieux(conn, now)

    def _lags(self, base: Database) -> dict[str, tuple[int, float]]:
        return {
            row["nom"]: (row["evenements"], row["secondes"])
            for row in lag(self._settings, base, self._reader)
            if row["evenements"] is not None
        }


__all__ = ["NAME", "Watch"]
