"""Ce qu'un même appelant peut demander : une rafale, puis un débit ; au-delà, 429 et l'heure de revenir.

L'appelant est la personne que son jeton ou sa session nomme ; à défaut, l'adresse d'où il vient. Les messages de la
banque n'y sont pas : seuls les formulaires refusés comptent, à leur adresse.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, NamedTuple, TypeAlias

from starlette.requests import Request

from api.socle.limites import Limites
from api.socle.problemes import Probleme
from api.socle.rate_limiter import RateLimiter

APPELANTS_MAX: Final = 20_000
"""Appelants suivis, par genre, au plus ; le plus ancien est oublié."""

_PREFIXE_IPV6: Final = 64
"""Un abonné reçoit tout un réseau : ses adresses comptent ensemble."""


Reseau: TypeAlias = IPv4Network | IPv6Network


class GenreDeDebit(StrEnum):
    """Ce qui se compte à part."""

    LECTURE = "lecture"
    ECRITURE = "ecriture"
    SESSION = "session"
    """Une session lue dans la base, quoi que la page en fasse : servie, refusée, introuvable."""
    CONNEXION = "connexion"
    REFUS = "refus"
    PLAUSIBLE = "plausible"
    """Un formulaire refusé qui a l'allure de ceux de la banque, sans venir d'un réseau à elle."""
    COURRIEL = "courriel"


class Debit(NamedTuple):
    """Un débit admis."""

    par_seconde: float
    rafale: int


COURRIELS: Final = Debit(5 / 3600, 5)
"""Cinq courriels d'avance, puis cinq par heure : un reçu s'envoie à soi, pas à tous."""


PLAUSIBLES: Final = Debit(4, 240)


class Debits:
    """Les seaux de chaque appelant ; pour un seul fil d'exécution."""

    def __init__(
        self,
        lectures: Debit,
        ecritures: Debit,
        connexions: Debit,
        refus: Debit,
        horloge_s: Callable[[], float] = time.monotonic,
        *,
        plausibles: Debit = PLAUSIBLES,
    ) -> None:
        """Un débit par genre."""
        self._debits = {
            GenreDeDebit.LECTURE: lectures,
            GenreDeDebit.ECRITURE: ecritures,
            GenreDeDebit.SESSION: _deux_fois(lectures, ecritures),
            GenreDeDebit.CONNEXION: connexions,
            GenreDeDebit.REFUS: refus,
            GenreDeDebit.PLAUSIBLE: plausibles,
            GenreDeDebit.COURRIEL: COURRIELS,
        }
        self._horloge_s = horloge_s
        self._seaux: dict[GenreDeDebit, OrderedDict[str, RateLimiter]] = {
            genre: OrderedDict() for genre in GenreDeDebit
        }

    def admettre(self, genre: GenreDeDebit, appelant: str) -> bool:
        """Compte un appel, et dit s'il tient dans le débit."""
        seaux = self._seaux[genre]
        if (seau := seaux.get(appelant)) is None:
            debit = self._debits[genre]
            seau = seaux[appelant] = RateLimiter(debit.par_seconde, debit.rafale, self._horloge_s)
            if len(seaux) > APPELANTS_MAX:
                seaux.popitem(last=False)
        else:
            seaux.move_to_end(appelant)
        return seau.prendre()

    def exiger(self, genre: GenreDeDebit, appelant: str) -> None:
        """Compte un appel ; lève Probleme 429 au-delà du débit."""
        if not self.admettre(genre, appelant):
            raise self.trop(genre)

    def trop(self, genre: GenreDeDebit) -> Probleme:
        """Le refus d'un appel de ce genre, au-delà du débit : 429, et quand revenir."""
        par_seconde = self._debits[genre].par_seconde
        attente_s = math.ceil(1 / par_seconde) if par_seconde > 0 else 60
        detail = "Vous avez fait trop de demandes en peu de temps : merci de recommencer dans quelques instants."
        return Probleme(429, "trop_de_demandes", detail, en_tetes={"Retry-After": str(attente_s)})


def _deux_fois(lectures: Debit, ecritures: Debit) -> Debit:
    """Un formulaire lit sa session deux fois, et une page refusée aussi : de quoi faire tout ce qui est admis."""
    return Debit(2 * (lectures.par_seconde + ecritures.par_seconde), 2 * (lectures.rafale + ecritures.rafale))


def debits_de(limites: Limites) -> Debits:
    """Les débits de ces bornes : une rafale d'une minute, puis le débit."""
    return Debits(
        _par_minute(limites.lectures_par_minute),
        _par_minute(limites.ecritures_par_minute),
        _par_minute(limites.connexions_par_minute),
        _par_minute(limites.refus_par_minute),
        plausibles=_par_minute(limites.plausibles_par_minute),
    )


def _par_minute(nombre: int) -> Debit:
    return Debit(nombre / 60, nombre)


def genre_de(requete: Request) -> GenreDeDebit:
    """Lire ou écrire."""
    return GenreDeDebit.LECTURE if requete.method in {"GET", "HEAD"} else GenreDeDebit.ECRITURE


def adresse_de(requete: Request) -> str:
    """L'adresse du client ; celle que dit un mandataire n'y est que si un réglage le nomme."""
    return compte_de(requete.client.host if requete.client else "")


def compte_de(hote: str) -> str:
    """Sous quoi cette adresse se compte ; telle quelle si ce n'en est pas une."""
    adresse = _lue(hote)
    if isinstance(adresse, IPv6Address):
        return str(int(adresse) >> (128 - _PREFIXE_IPV6))
    return str(adresse)


def vient_de(requete: Request, reseaux: Sequence[Reseau]) -> bool:
    """Dit si le client est de l'un de ces réseaux."""
    adresse = _lue(requete.client.host if requete.client else "")
    return not isinstance(adresse, str) and any(adresse in reseau for reseau in reseaux)


def _lue(hote: str) -> IPv4Address | IPv6Address | str:
    """L'adresse, une IPv4 dite en IPv6 rendue à elle-même ; telle quelle si ce n'en est pas une."""
    try:
        adresse = ip_address(hote)
    except ValueError:
        return hote
    return (adresse.ipv4_mapped if isinstance(adresse, IPv6Address) else None) or adresse
