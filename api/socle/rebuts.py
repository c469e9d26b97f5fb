"""Ce qui est gardé des formulaires refusés : assez pour rejouer ceux de la banque, jamais un disque offert.

Une place par jour, en octets : une pour chaque adresse, une pour toutes, et une à part pour ce qui porte l'identifiant
d'un de nos commerçants. Un formulaire déjà gardé est compté, pas gardé une seconde fois.
"""

import base64
import binascii
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from api.socle.limites import Limites
from api.socle.rate_limiter import RateLimiter

CHAMPS: Final = ("Data", "Seal", "InterfaceVersion", "Encode", "SealAlgorithm")
"""Les champs que la banque envoie ; aucun autre n'est gardé ni transmis."""

EMPREINTES_MAX: Final = 50_000
ADRESSES_MAX: Final = 20_000


class Sort(StrEnum):
    """Ce qu'il advient d'un formulaire refusé."""

    GARDE = "oui"
    PLEIN = "non"
    COPIE = "copie"


def connus(champs: Mapping[str, str]) -> dict[str, str]:
    """Les seuls champs que la banque envoie."""
    return {nom: champs[nom] for nom in CHAMPS if nom in champs}


def empreinte(champs: Mapping[str, str]) -> bytes:
    """Ce qui reconnaît une copie : les champs, sans l'heure de leur réception."""
    return hashlib.sha256("\0".join(f"{nom}={champs.get(nom)}" for nom in CHAMPS).encode()).digest()


def est_plausible(champs: Mapping[str, str], commercants: AbstractSet[str]) -> bool:
    """Dit si le formulaire a l'allure d'un message de la banque pour l'un de nos commerçants."""
    donnees = champs.get("Data", "")
    if not donnees or not champs.get("Seal"):
        return False
    if champs.get("Encode", "").startswith("base64"):
        try:
            donnees = base64.urlsafe_b64decode(donnees.replace("+", "-").replace("/", "_")).decode()
        except (binascii.Error, ValueError):
            return False
    return any(f"merchantId={commercant}" in donnees.split("|") for commercant in commercants)


class Memoire:
    """Les dernières empreintes vues, et combien de fois."""

    def __init__(self, contenance: int = EMPREINTES_MAX) -> None:
        """Vide."""
        self._contenance = contenance
        self._vues: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, vue: bytes) -> bool:
        """Dit si cette empreinte est retenue."""
        return vue in self._vues

    def retenir(self, vue: bytes) -> None:
        """La retient ; la plus ancienne fait place."""
        self._vues[vue] = None
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
