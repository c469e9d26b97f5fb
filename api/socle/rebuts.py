"""Ce qui est gardé des formulaires refusés : assez pour rejouer ceux de la banque, jamais un disque offert.

Une place par jour, en octets : une pour chaque adresse, une pour toutes, et de même, à part, pour ce qui a l'allure des
messages de la banque ; ce qui vient de ses réseaux n'a de borne que le total. Un formulaire déjà gardé est compté, pas
gardé une seconde fois.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Final, assert_never

from api.socle.limites import Limites
from api.socle.rate_limiter import RateLimiter

COPIES_TRANSMISES: Final = 10
"""Copies d'un même message scellé mises sur le topic par ce processus ; les suivantes sont comptées, pas gardées."""

EMPREINTES_MAX: Final = 50_000
ADRESSES_MAX: Final = 20_000


class Depot(StrEnum):
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


class Provenance(StrEnum):
    """D'où vient un formulaire refusé : ce qui décide de la place qu'il peut prendre."""

    BANQUE = "banque"
    """D'un réseau que les réglages disent être à elle."""
    PLAUSIBLE = "plausible"
    """L'allure de ses messages, pour l'un de nos commerçants : d'elle, ou de qui l'imite."""
    AUTRE = "autre"


class _Compte:
    """Des octets pris ce jour, en tout et par adresse."""

    def __init__(self, max_: int, par_adresse_max: int) -> None:
        self._max = max_
        self._par_adresse_max = par_adresse_max
        self._adresses: OrderedDict[str, int] = OrderedDict()
        self.pris = 0

    def vider(self) -> None:
        self._adresses.clear()
        self.pris = 0

    def tient(self, octets: int, adresse: str) -> bool:
        siens = self._adresses.get(adresse, 0) + octets
        if adresse in self._adresses:  # Qui revient, même refusé, ne se fait pas oublier : sa part ne renaît pas.
            self._adresses.move_to_end(adresse)
        return siens <= self._par_adresse_max and self.pris + octets <= self._max

    def compter(self, octets: int, adresse: str) -> None:
        self.pris += octets
        self._adresses[adresse] = self._adresses.get(adresse, 0) + octets
        if len(self._adresses) > ADRESSES_MAX:
            self._adresses.popitem(last=False)

    def rendre(self, octets: int, adresse: str) -> None:
        # Jamais sous zéro : le jour a pu changer entre les deux.
        self.pris = max(0, self.pris - octets)
        if adresse in self._adresses:
            self._adresses[adresse] = max(0, self._adresses[adresse] - octets)


class Place:
    """La place du jour ; pour un seul fil d'exécution.

    Ce qui imite la banque prend sur la place de la banque, une part par adresse, et jamais plus de la moitié en tout
    quand elle a dit d'où elle écrit : le reste est à elle seule.
    """

    def __init__(self, limites: Limites, *, banque_connue: bool = False) -> None:
        """Toute la place est libre. `banque_connue` : les réglages disent de quels réseaux la banque écrit."""
        banque = limites.rebuts_de_la_banque_octets_par_jour
        self._seau = RateLimiter(limites.rebuts_par_seconde, limites.rebuts_en_rafale)
        self._jour: date | None = None
        self._banque_max = banque
        self._comptes = {
            Provenance.BANQUE: _Compte(banque, banque),
            Provenance.PLAUSIBLE: _Compte(
                banque // 2 if banque_connue else banque, limites.rebuts_plausibles_par_adresse_octets_par_jour
            ),
            Provenance.AUTRE: _Compte(limites.rebuts_octets_par_jour, limites.rebuts_par_adresse_octets_par_jour),
        }

    def prendre(self, octets: int, adresse: str, maintenant: datetime, provenance: Provenance) -> bool:
        """Prend la place de ce message, s'il y en a."""
        if maintenant.date() != self._jour:
            self._jour = maintenant.date()
            for compte in self._comptes.values():
                compte.vider()
        if not (compte := self._comptes[provenance]).tient(octets, adresse):
            return False
        match provenance:
            case Provenance.BANQUE | Provenance.PLAUSIBLE:
                pris = self._comptes[Provenance.BANQUE].pris + self._comptes[Provenance.PLAUSIBLE].pris
                libre = pris + octets <= self._banque_max
            case Provenance.AUTRE:
                libre = self._seau.prendre()
            case _:
                assert_never(provenance)
        if libre:
            compte.compter(octets, adresse)
        return libre

    def rendre(self, octets: int, adresse: str, provenance: Provenance) -> None:
        """Rend la place d'un message que Kafka n'a pas pris : la banque le renvoie. Le débit, lui, est dépensé."""
        self._comptes[provenance].rendre(octets, adresse)
