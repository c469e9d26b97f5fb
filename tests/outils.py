"""Ce que plusieurs tests utilisent."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SONDAGE_SECONDES = 0.02


def attendre(condition: Callable[[], T], *, secondes: float = 10.0, quoi: str = "") -> T:
    """Attend que la condition soit vraie et rend sa valeur ; échoue, avec la dernière valeur vue, passé le délai."""
    limite = time.monotonic() + secondes
    while True:
        if valeur := condition():
            return valeur
        if time.monotonic() > limite:
            nom = quoi or getattr(condition, "__name__", repr(condition))
            raise AssertionError(f"Pas arrivé en {secondes:g} s : {nom} (dernière valeur : {valeur!r})")
        time.sleep(SONDAGE_SECONDES)
