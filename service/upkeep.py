"""What the role `relance` does for support in each round: pending refunds are asked again, dead letters noted."""

import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Final

import structlog

from domain.refus import Refus
from engine.database import connect
from engine.outages import is_outage
from guichet.guichet import Guichet
from guichet.reglement.banque import executer
from guichet.reglement.proposer import Suite
from service.dead_letters import note_quietly
from service.settings import Settings

REFUNDS_MAX: Final = 50
"""Refunds asked about in one round, at most."""

ROUND_S: Final = 10.0
"""After this long a round asks about no further refund: a silent bank holds up neither the role nor the payments."""

# The refunds that two persons decided and the bank has not answered yet.
_PENDING: Final = "SELECT anomalie FROM vues.reglements WHERE etat = 'en_execution' ORDER BY saisi_le, anomalie"


class Refunds:
    """Asks the bank again about each refund it has not answered: one that stays open takes nobody's place."""

    def __init__(self, counter: Guichet, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`monotonic`: seconds, by which a round is cut short."""
        self._counter = counter
        self._monotonic = monotonic
        self._asked: dict[str, int] = {}
        self._turn = 0

    def round(self, now: datetime, goes_on: Callable[[], bool]) -> int:
        """Ask about those never asked about, then about those asked longest ago; return how many are over.

        `goes_on` is called before each; the round ends where it says no. Raises an outage.
        """
        with self._counter.base.transaction() as conn:
            pending = [ident for (ident,) in conn.execute(_PENDING)]
        self._asked = {ident: turn for ident, turn in self._asked.items() if ident in set(pending)}
        limit = self._monotonic() + ROUND_S
        over = 0
        for ident in sorted(pending, key=lambda ident: self._asked.get(ident, 0))[:REFUNDS_MAX]:
            if self._monotonic() >= limit or not goes_on():
                break
            self._turn += 1
            self._asked[ident] = self._turn
            over += self._one(ident, now)
        return over

    def _one(self, ident: str, now: datetime) -> bool:
        try:
            return executer(self._counter, ident, now).suite is not Suite.EN_EXECUTION
        except Refus as refused:  # Somebody else, or an earlier round that the view does not show yet, finished it.
            structlog.get_logger().info("remboursement_deja_conclu", anomalie=ident, cause=refused.code)
        except Exception as fault:
            if is_outage(fault):
                raise
            structlog.get_logger().exception("remboursement_fautif", anomalie=ident)
        return False


def note_refused_forms(settings: Settings) -> None:
    """Note the forms refused at the door since the last round, so that support's list shows them."""
    if settings.kafka_bootstrap is None or settings.database_url is None:
        return
    with closing(connect(settings.database_url, application="creances-relance")) as conn:
        note_quietly(settings, conn)
