"""Ce qui se répète se dit une fois par période, avec son nombre : un flot ne noie ni le journal ni ce qui le suit."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

C = TypeVar("C", bound=Hashable)

PERIODE_S: Final = 60.0
"""Temps pendant lequel une chose semblable est comptée avant d'être dite de nouveau (secondes)."""

SUIVIES_MAX: Final = 5_000


class Redites(Generic[C]):
    """Ce qui a été dit, et combien de fois depuis ; pour un seul fil d'exécution."""

    def __init__(
        self,
        place: Callable[[], bool] = lambda: True,
        horloge_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Rien n'a été dit. `place` : dit si une ligne de plus est admise, quoi qu'elle dise."""
        self._place = place
        self._horloge_s = horloge_s
        self._vues: OrderedDict[C, tuple[float, int]] = OrderedDict()

    def fois(self, chose: C) -> int | None:
        """Combien de fois la chose est arrivée depuis qu'elle a été dite, celle-ci comprise ; None : à taire."""
        maintenant = self._horloge_s()
        depuis, comptees = self._vues.get(chose, (float("-inf"), 0))
        if maintenant - depuis < PERIODE_S or not self._place():
            self._retenir(chose, depuis, comptees + 1)
            return None
        self._retenir(chose, maintenant, 0)
        return comptees + 1

    def _retenir(self, chose: C, depuis: float, comptees: int) -> None:
        self._vues[chose] = (depuis, comptees)
        self._vues.move_to_end(chose)
        if len(self._vues) > SUIVIES_MAX:
            self._vues.popitem(last=False)
