"""Un seau à jetons : laisse passer une rafale, puis un débit."""

import time
from collections.abc import Callable


class RateLimiter:
    """Se remplit de `debit` jetons par seconde, jusqu'à `contenance` ; pour un seul fil d'exécution."""

    def __init__(self, debit: float, contenance: int, horloge_s: Callable[[], float] = time.monotonic) -> None:
        """Plein au départ."""
        self._debit = debit
        self._contenance = contenance
        self._horloge_s = horloge_s
        self._jetons = float(contenance)
        self._vu = horloge_s()

    def prendre(self) -> bool:
        """Prend un jeton s'il en reste."""
        maintenant = self._horloge_s()
        self._jetons = min(self._contenance, self._jetons + (maintenant - self._vu) * self._debit)
        self._vu = maintenant
        if self._jetons < 1:
            return False
        self._jetons -= 1
        return True
