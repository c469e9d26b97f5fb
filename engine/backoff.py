"""Revenir d'une panne : de plus en plus tard, jamais au même instant que les autres, et sans inonder le journal."""

import random
from collections.abc import Callable
from typing import Any, Final

from engine.outages import describe

BACKOFF_MIN_S: Final = 0.2
BACKOFF_MAX_S: Final = 10.0
"""Bornes de l'attente entre deux essais (secondes) : elle double à chaque échec, et revient au bas après un progrès."""

JITTER: Final = 0.5
"""Ce que le hasard peut ôter à l'attente : les rôles qu'une même panne a arrêtés ne reviennent pas tous ensemble."""

_DOUBLEMENTS_MAX: Final = 32


def recul(echecs: int, hasard: float, *, minimum_s: float = BACKOFF_MIN_S, maximum_s: float = BACKOFF_MAX_S) -> float:
    """L'attente avant l'essai suivant, après tant d'échecs de suite (1 au moins) ; `hasard` va de 0 à 1 (secondes)."""
    entiere = min(maximum_s, minimum_s * 2.0 ** min(echecs - 1, _DOUBLEMENTS_MAX))
    return entiere * (1 - JITTER * hasard)


class Backoff:
    """Les échecs d'un rôle depuis son dernier progrès : combien attendre, et qu'en dire.

    Une ligne par échec. Sa trace n'accompagne que le premier d'une cause : dix minutes de panne tiennent en une
    page, et une cause qui change en chemin se voit.
    """

    def __init__(
        self,
        journal: Any,
        evenement: str,
        *,
        maximum_s: float = BACKOFF_MAX_S,
        hasard: Callable[[], float] = random.random,
    ) -> None:
        """`journal` : le logger du rôle ; `evenement` : le nom de ses lignes. `hasard` donne un nombre de 0 à 1."""
        self.echecs = 0
        self._log = journal
        self._evenement = evenement
        self._maximum_s = maximum_s
        self._hasard = hasard
        self._cause: str | None = None

    def fail(self, erreur: BaseException) -> float:
        """Compte et dit un échec ; rend l'attente avant l'essai suivant (secondes)."""
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
        """Un vrai progrès : un lot enregistré, un rattrapage fini. La panne est passée, et se dit une fois."""
        if self.echecs:
            self._log.info("reprise_apres_panne", evenement=self._evenement, essais=self.echecs)
        self.echecs = 0
        self._cause = None


def _sans_nombres(cause: str) -> str:
    """La cause sans ce qui change à chaque essai (un port, une durée, un numéro de processus)."""
    return "".join(signe for signe in cause if not signe.isdigit())
