"""Coming back from an outage: later and later, never at the same time as the others, and without flooding the log."""

import random
from collections.abc import Callable
from typing import Any, Final

from engine.outages import describe

BACKOFF_MIN_S: Final = 0.2
BACKOFF_MAX_S: Final = 10.0
"""Bounds of the wait between two attempts (seconds): it doubles with each failure, and goes back after progress."""

JITTER: Final = 0.5
"""What chance may take off the wait: roles that one outage stopped do not all come back together."""

_DOUBLEMENTS_MAX: Final = 32


def recul(echecs: int, hasard: float, *, minimum_s: float = BACKOFF_MIN_S, maximum_s: float = BACKOFF_MAX_S) -> float:
    """The wait before the next attempt, after so many failures in a row (1 or more); `hasard` from 0 to 1 (seconds)."""
    entiere = min(maximum_s, minimum_s * 2.0 ** min(echecs - 1, _DOUBLEMENTS_MAX))
    return entiere * (1 - JITTER * hasard)


class Backoff:
    """A role's failures since its last progress: how long to wait, and what to say of it.

    One line a failure. Its trace comes only with the first of a cause: ten minutes of outage fit on a page, and a cause
    that changes on the way is seen.
    """

    def __init__(
        self,
        journal: Any,
        evenement: str,
        *,
        maximum_s: float = BACKOFF_MAX_S,
        hasard: Callable[[], float] = random.random,
    ) -> None:
        """`journal`: the role's logger; `evenement`: the name of its lines. `hasard` gives a number from 0 to 1."""
        self.echecs = 0
        self._log = journal
        self._evenement = evenement
        self._maximum_s = maximum_s
        self._hasard = hasard
        self._cause: str | None = None

    def fail(self, erreur: BaseException) -> float:
        """Count and tell a failure; return the wait before the next attempt (seconds)."""
        self.echecs += 1
        attente_s = round(recul(self.echecs, self._hasard(), maximum_s=self._maximum_s), 3)
        cause = describe(erreur)
        self._log.error(
            self._evenement,
            cause=cause,
            essai=self.echecs,
            reprise_dans_s=attente_s,
            exc_info=erreur if _sans_nombres(cause) != self._cause else None,
        )
        self._cause = _sans_nombres(cause)
        return attente_s

    def progress(self) -> None:
        """True progress: a batch recorded, a catch-up done. The outage is over, and that is told once."""
        if self.echecs:
            self._log.info("reprise_apres_panne", evenement=self._evenement, essais=self.echecs)
        self.echecs = 0
        self._cause = None


def _sans_nombres(cause: str) -> str:
    """The cause without what changes at each attempt (a port, a duration, a process number)."""
    return "".join(signe for signe in cause if not signe.isdigit())
