"""The role `relance`: payments without an answer are asked about at the kiosk; messages past their time are deleted.

Nothing here decides: what the kiosk answers goes the way of any notification, and an expiry is a use case's.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import psycopg
import structlog

from engine.backoff import Backoff
from engine.outages import is_outage
from engine.role_state import HEARTBEAT_S, RoleState
from guichet.guichet import Guichet
from guichet.relancer_paiement import Relance, Transmettre, relancer_paiement
from projections.vues.messagerie import purger
from projections.vues.paiements import sans_reponse
from service.settings import Settings

NAME: Final = "relance"

PAUSE_MAX: Final = timedelta(minutes=15)
"""The longest time between two questions about one payment: one that waits at the bank for days stays cheap."""


class Pause(NamedTuple):
    """How long a payment is left alone after an answer that settles nothing."""

    until: datetime
    lasted: timedelta


class RelanceRole:
    """Makes its rounds until it is stopped; an outage of PostgreSQL or Kafka interrupts one, and the next goes on."""

    def __init__(
        self,
        settings: Settings,
        counter: Guichet,
        forward: Transmettre,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`forward` puts what the kiosk answers on the topic of notifications."""
        self._counter = counter
        self._forward = forward
        self._clock = clock
        self._age = settings.politique.interroger_apres
        self._interval = settings.janitor_interval
        self._batch = settings.janitor_batch_size
        self._pauses: dict[str, Pause] = {}
        self._log = structlog.get_logger()
        self._state = RoleState(counter.base.url, NAME)
        self._retry = Backoff(self._log, "tournee_interrompue")

    def run(self, stop: threading.Event) -> None:
        """Make a round every interval until `stop` is set, and give a sign of life in between."""
        next_round = time.monotonic()
        while not stop.is_set():
            try:
                self._beat()
                if time.monotonic() >= next_round:
                    self.round(stop)
                    self._retry.progress()
                    next_round = time.monotonic() + self._interval.total_seconds()
                wait_seconds = min(HEARTBEAT_S, max(0.0, next_round - time.monotonic()))
            except Exception as fault:
                if not is_outage(fault):
                    raise
                wait_seconds = self._retry.fail(fault)
                self._state.interrupt(fault)
            stop.wait(wait_seconds)
        with suppress(psycopg.Error), self._counter.base.transaction() as conn:
            self._state.dire(conn, "inactif")

    def round(self, stop: threading.Event) -> dict[str, Relance]:
        """Ask about each payment whose turn it is, and purge; what each question gave, by transaction.

        An outage ends the round, but what it had asked keeps its pause.
        """
        outcomes: dict[str, Relance] = {}
        for transaction in self._due():
            if stop.is_set():
                break
            self._beat()
            outcome = relancer_paiement(self._counter, transaction, self._forward, self._clock())
            self._pause(transaction, outcome)
            level = self._log.warning if outcome is Relance.INJOIGNABLE else self._log.info
            level("paiement_relance", transaction=transaction, issue=outcome.value)
            outcomes[transaction] = outcome
        with self._counter.base.transaction() as conn:
            if purged := purger(conn, self._clock()):
                self._log.info("messages_purges", nombre=purged)
        return outcomes

    def _due(self) -> list[str]:
        """The payments to ask about now, the oldest first; one that is left alone takes nobody's place."""
        now = self._clock()
        # One that is over, and was not asked about since, has its answer; or it will begin with short pauses again.
        self._pauses = {payment: pause for payment, pause in self._pauses.items() if pause.until > now - PAUSE_MAX}
        paused = [payment for payment, pause in self._pauses.items() if pause.until > now]
        with self._counter.base.transaction() as conn:
            return sans_reponse(conn, now - self._age, self._batch, sauf=paused)

    def _pause(self, transaction: str, outcome: Relance) -> None:
        """Leave alone, twice as long each time, a payment that the bank holds, or whose kiosk does not answer."""
        before = self._pauses.pop(transaction, None)
        if outcome in {Relance.REPONSE_TRANSMISE, Relance.INJOIGNABLE}:
            lasts = min(PAUSE_MAX, before.lasted * 2 if before else self._interval)
            self._pauses[transaction] = Pause(self._clock() + lasts, lasts)

    def _beat(self) -> None:
        if self._state.is_due:
            with self._counter.base.transaction() as conn:
                self._state.dire(conn, "actif")
