"""Ce qui est gardé des formulaires refusés : assez pour rejouer ceux de la banque, jamais un disque offert.

Une place par jour, en octets : une pour chaque adresse, une pour toutes, et une à part pour ce qui porte l'identifiant
d'un de nos commerçants. Un formulaire déjà gardé est compté, pas gardé une seconde fois.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from api.socle.limites import Limites
from api.socle.rate_limiter import RateLimiter

COPIES_TRANSMISES: Final = 10
"""Copies d'un même message scellé mises sur le topic par ce processus ; les suivantes sont comptées, pas gardées."""

EMPREINTES_MAX: Final = 50_000
ADRESSES_MAX: Final = 20_000


class Sort(StrEnum):
    """Ce qu'il advient d'un formulaire refusé."""

    GARDE = "oui"
    PLEIN = "non"
    COPIE = "copie"


def empreinte(valeur: Mapping[str, str]) -> bytes:
    """Ce qui reconnaît une copie : les champs, sans l'heure de leur réception."""
    return hashlib.sha256("\0".join(f"{nom}={valeur[nom]}" for nom in sorted(valeur)).encode()).digest()


class Memoire:
    """Les dernières empreintes vues, et combien de fois."""

    def __init__(self, contenance: int = EMPREINTES_MAX) -> None:
        """Vide."""
        self._contenance = contenance
        self._vues: OrderedDict[bytes, int] = OrderedDict()

    def __contains__(self, vue: bytes) -> bool:
        """Dit si cette empreinte est retenue."""
        return vue in self._vues

    def fois(self, vue: bytes) -> int:
        """Combien de fois cette empreinte a été retenue."""
        return self._vues.get(vue, 0)

    def retenir(self, vue: bytes) -> None:
        """La retient ; la plus ancienne fait place."""
        self._vues[vue] = self.fois(vue) + 1
        if len(self._vues) > self._contenance:
            self._vues.popitem(last=False)


class Place:
    """La place du jour ; pour un seul fil d'exécution."""

    def __init__(self, limites: Limites) -> None:
        """Toute la place est libre."""
        self._limites = limites
        self._seau = RateLimiter(limites.rebuts_par_seconde, limites.rebuts_en_rafale)
        self._jour: date | None = None
        self._adresses: OrderedDict[str, int] = OrderedDict()
        self._tous = 0
        self._plausibles = 0

    def prendre(self, octets: int, adresse: str, maintenant: datetime, *, plausible: bool) -> bool:
        """Prend la place de ce message, s'il y en a."""
        if maintenant.date() != self._jour:
            self._jour = maintenant.date()
            self._adresses.clear()
            self._tous = self._plausibles = 0
        limites = self._limites
        if plausible:
            if self._plausibles + octets > limites.rebuts_de_la_banque_octets_par_jour:
                return False
            self._plausibles += octets
            return True
        pris = self._adresses.get(adresse, 0) + octets
        if pris > limites.rebuts_par_adresse_octets_par_jour or self._tous + octets > limites.rebuts_octets_par_jour:
            return False
        if not self._seau.prendre():
            return False
        self._tous += octets
        self._adresses[adresse] = pris
        if len(self._adresses) > ADRESSES_MAX:
            self._adresses.popitem(last=False)
        return True
