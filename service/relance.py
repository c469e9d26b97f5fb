"""The role `relance`: payments without an answer are asked about at the kiosk; messages past their time go.

Nothing here decides: what the kiosk answers goes the way of any notification, and an expiry is a use case's. Questions
are asked side by side, so that a silent bank holds nobody up: 5,000 payments at 5 s each take 40 workers 11 minutes.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, assert_never

import psycopg
import structlog

from engine import tracing
from engine.backoff import Backoff
from engine.outages import is_outage
from engine.role_state import HEARTBEAT_S, RoleState
from guichet.guichet import Guichet
from guichet.relancer_paiement import Relance, Transmettre, relancer_paiement
from projections.vues.messagerie import purger
from projections.vues.paiements import finis_sans_accord, sans_reponse
from service.settings import Settings
from service.upkeep import Refunds, note_refused_forms

NAME: Final = "relance"

PAUSE_MAX: Final = timedelta(minutes=15)
"""The longest time between two questions about one payment: one that waits at the bank for days stays cheap."""

RESTART_LOOKS_BACK: Final = timedelta(hours=6)
"""How long the role may have been away without missing the payments that ended meanwhile."""


def settles_nothing(outcome: Relance) -> bool:
    """Whether the payment is left alone for a while, longer each time, then asked about again."""
    match outcome:
        case Relance.REPONSE_TRANSMISE | Relance.INJOIGNABLE | Relance.IMPOSSIBLE:
            return True
        case Relance.EXPIRE | Relance.INCONNU_TROP_TOT | Relance.DEJA_CONCLU:
            return False
        case _:
            assert_never(outcome)


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
        """`forward` puts what the kiosk answers on the topic of notifications; it is called from several threads."""
        self._settings = settings
        self._counter = counter
        self._forward = forward
        self._clock = clock
        self._age = settings.politique.interroger_apres
        self._interval = settings.janitor_interval
        self._batch = settings.janitor_batch_size
        self._workers = settings.janitor_workers
        self._delays = sorted(settings.janitor_ask_again)
        self._ended_seen: dict[timedelta, tuple[datetime, str]] = {}
        self._ended_again: set[str] = set()
        self._pauses: dict[str, Pause] = {}
        self._full = False
        self._refunds = Refunds(counter)
        self._log = structlog.get_logger()
        self._state = RoleState(counter.base.url, NAME)
        self._retry = Backoff(self._log, "tournee_interrompue")

    def run(self, stop: threading.Event) -> None:
        """Make a round every interval until `stop` is set, at once if the last was full, with signs of life between."""
        next_round = time.monotonic()
        away = False
        while not stop.is_set():
            try:
                self._beat()
                if time.monotonic() >= next_round:
                    self.round(stop)
                    self._retry.progress()
                    next_round = time.monotonic() + (0 if self._full else self._interval.total_seconds())
                wait_seconds = min(HEARTBEAT_S, max(0.0, next_round - time.monotonic()))
                away = False
            except Exception as fault:
                if not is_outage(fault):
                    raise
                wait_seconds = self._retry.fail(fault)
                self._state.interrupt(fault)
                away = True
            stop.wait(wait_seconds)
        if away:
            return  # A second wait for a connection would take what time there is to stop; `lag` sees its silence.
        with suppress(psycopg.Error), self._counter.base.transaction() as conn:
            self._state.dire(conn, "inactif")

    def round(self, stop: threading.Event) -> dict[str, Relance]:
        """Ask about each payment whose turn it is, purge, tend to support's; what each question gave, by transaction.

        An outage ends the round, but what it had asked keeps its pause.
        """
        due = self._due()
        self._full = len(due) >= self._batch
        outcomes = self._ask(due, stop)
        with self._counter.base.transaction() as conn:
            if purged := purger(conn, self._clock()):
                self._log.info("messages_purges", nombre=purged)
            tracing.purge(conn, self._clock())
        self._refunds.round(self._clock(), lambda: self._beats_on(stop))
        note_refused_forms(self._settings)
        return outcomes

    def _ask(self, due: Sequence[str], stop: threading.Event) -> dict[str, Relance]:
        """Ask side by side, never more at once than there are workers; raise the first outage, once all came back."""
        outcomes: dict[str, Relance] = {}
        outage: BaseException | None = None
        waiting = iter(due)
        asked: dict[Future[Relance], str] = {}
        with ThreadPoolExecutor(self._workers, thread_name_prefix=NAME) as pool:
            while True:
                while len(asked) < self._workers and outage is None and not stop.is_set():
                    if (transaction := next(waiting, None)) is None:
                        break
                    asked[pool.submit(self._one, transaction)] = transaction
                if not asked:
                    break
                done, _ = wait(asked, timeout=HEARTBEAT_S, return_when=FIRST_COMPLETED)
                for future in done:
                    transaction = asked.pop(future)
                    try:
                        outcomes[transaction] = self._tell(transaction, future.result())
                    except Exception as fault:  # noqa: BLE001  an outage; raised below, once nothing is under way
                        outage = outage or fault
                if outage is None:
                    self._beat()
        if outage is not None:
            raise outage
        return outcomes

    def _one(self, transaction: str) -> Relance:
        """Ask about one payment; one that cannot be read or asked about waits, and stops nobody. Raise an outage."""
        try:
            return relancer_paiement(self._counter, transaction, self._forward, self._clock())
        except Exception as fault:
            if is_outage(fault):
                raise
            self._log.exception("paiement_relance_impossible", transaction=transaction)
            return Relance.IMPOSSIBLE

    def _tell(self, transaction: str, outcome: Relance) -> Relance:
        self._pause(transaction, outcome)
        level = self._log.warning if outcome is Relance.INJOIGNABLE else self._log.info
        level("paiement_relance", transaction=transaction, issue=outcome.value)
        return outcome

    def _due(self) -> list[str]:
        """The payments to ask about now; one that is left alone takes nobody's place, nor does one asked about before.

        Those without an answer come first, among them those never asked about, the oldest first; then those whose pause
        is over, the longest first: a bank that is silent on thousands never keeps the next ones from being asked. Then
        those that ended without an acceptance, each delay after their end.
        """
        now = self._clock()
        # One that is over, and was not asked about since, has its answer; or it will begin with short pauses again.
        self._pauses = {payment: pause for payment, pause in self._pauses.items() if pause.until > now - PAUSE_MAX}
        paused = {payment for payment, pause in self._pauses.items() if pause.until > now}
        with self._counter.base.transaction() as conn:
            due = sans_reponse(conn, now - self._age, self._batch, sauf=sorted(self._pauses))
            if len(due) < self._batch:
                once = len(self._pauses) - len(paused)
                over = sans_reponse(conn, now - self._age, once, sauf=sorted({*paused, *due}))
                over.sort(key=lambda payment: self._pauses[payment].until if payment in self._pauses else now)
                due += over[: self._batch - len(due)]
            again = sorted(self._ended_again - paused)
            due += [payment for payment in again if payment not in due][: self._batch - len(due)]
            for delay in self._delays:
                due += self._ended(conn, delay, now, self._batch - len(due), known={*due, *paused})
        return due

    def _ended(
        self, conn: psycopg.Connection[tuple[object, ...]], delay: timedelta, now: datetime, room: int, known: set[str]
    ) -> list[str]:
        """The payments that ended this long ago without an acceptance, since the last time; each comes once a delay."""
        until = now - delay
        if delay not in self._ended_seen:
            # After a start, the shortest delay sees again all that ended meanwhile; the others go on from now.
            first = delay == self._delays[0]
            self._ended_seen[delay] = (now - self._delays[-1] - RESTART_LOOKS_BACK if first else until, "")
        if room <= 0:
            return []
        rows = finis_sans_accord(conn, self._ended_seen[delay], until, room)
        if rows:
            transaction, ended_at = rows[-1]
            self._ended_seen[delay] = (ended_at, transaction)
        found = [transaction for transaction, _ in rows]
        self._ended_again |= set(found)
        return [transaction for transaction in found if transaction not in known]

    def _pause(self, transaction: str, outcome: Relance) -> None:
        """Leave alone, twice as long each time, a payment that the bank holds, or whose kiosk does not answer.

        Any other is left alone for a round: one that the bank does not know yet expires when its time has come, and one
        that is settled may still be without an answer in a view that is behind.
        """
        before = self._pauses.pop(transaction, None)
        lasts = self._interval
        if settles_nothing(outcome) and before:
            lasts = min(PAUSE_MAX, before.lasted * 2)
        self._pauses[transaction] = Pause(self._clock() + lasts, lasts)
        if outcome not in {Relance.INJOIGNABLE, Relance.IMPOSSIBLE}:
            self._ended_again.discard(transaction)

    def _beat(self) -> None:
        if self._state.is_due:
            with self._counter.base.transaction() as conn:
                self._state.dire(conn, "actif")

    def _beats_on(self, stop: threading.Event) -> bool:
        """Give a sign of life if it is due; False once the role is stopping."""
        self._beat()
        return not stop.is_set()
