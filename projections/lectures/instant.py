"""« Telle que connue le… » : l'instant ou la version que le support demande, lu sans doute possible, ou refusé.

« Connue » veut dire enregistrée : l'histoire à un instant est le début du journal, jusqu'à lui.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

from domain.delai import PARIS, a_paris, jour_de_paris
from domain.refus import Refus

SAISIE_MAX: Final = 64

_HIER: Final = {"hier": 1, "aujourd'hui": 0, "aujourd’hui": 0, "avant-hier": 2}
_JOUR: Final = r"(?:(?P<a>\d{4})-(?P<m>\d{2})-(?P<j>\d{2})|(?P<j2>\d{1,2})/(?P<m2>\d{1,2})/(?P<a2>\d{4}))"
_HEURE: Final = r"(?P<h>\d{2})\s?[:h]\s?(?P<min>\d{2})(?::(?P<s>\d{2})(?:[.,](?P<us>\d{1,6}))?)?"
# Dans une adresse, un « + » non échappé arrive en blanc.
_DECALAGE: Final = r"(?P<z>Z|[+\- ]\d{2}:?\d{2})?"
_INSTANT: Final = re.compile(rf"{_JOUR}(?:(?:T|\s+(?:à\s+)?){_HEURE}{_DECALAGE})?", re.ASCII | re.IGNORECASE)


class InstantIllisible(Refus):
    """La date demandée ne se lit pas, ou pas d'une seule façon."""

    code = "instant_illisible"
    phrase_de_base = (
        "Cette date ne se lit pas : écrivez un jour (2026-11-25 ou 25/11/2026, compté jusqu'à sa fin) ou un instant"
        " (2026-11-25T14:30, à l'heure de Paris). Dans l'heure où l'horloge change, dites aussi le décalage"
        " (2026-10-25T02:30+01:00)."
    )


class InstantFutur(Refus):
    """L'instant demandé n'est pas encore passé."""

    code = "instant_futur"
    phrase_de_base = "Cet instant est à venir : rien n'en est encore connu."


class RienEncore(Refus):
    """À l'instant demandé, rien n'était encore enregistré."""

    code = "rien_encore"
    phrase_de_base = "À cet instant, rien n'était encore enregistré"

    def __init__(self, depuis: datetime) -> None:
        """`depuis` : quand le premier événement l'a été."""
        super().__init__(depuis)
        self.depuis = depuis

    @property
    def phrase(self) -> str:
        """La phrase, qui dit à partir de quand il y a quelque chose à lire."""
        return f"{self.phrase_de_base} : le premier événement l'a été le {en_toutes_lettres(self.depuis)}."


class VersionInconnue(Refus):
    """La version demandée n'existe pas."""

    code = "version_inconnue"
    phrase_de_base = "Cette version n'existe pas"

    def __init__(self, derniere: int) -> None:
        """`derniere` : la dernière qui existe ; 0 si ce qui est demandé n'est pas même un nombre."""
        super().__init__(derniere)
        self.derniere = derniere

    @property
    def phrase(self) -> str:
        """La phrase, qui dit lesquelles existent."""
        if not self.derniere:
            return f"{self.phrase_de_base} : une version est un nombre, à partir de 1."
        return f"{self.phrase_de_base} : la dernière est la {self.derniere}."


class ObjetInconnu(Refus):
    """Rien ne porte ce nom."""

    code = "objet_inconnu"
    phrase_de_base = "Rien n'est enregistré sous ce nom : vérifiez-le, ou cherchez autrement (montant, jour, carte…)."


class Instant(NamedTuple):
    """L'instant demandé, et la phrase qui dit comment il a été compris."""

    au: datetime
    phrase: str


def lire_instant(saisie: str, maintenant: datetime) -> Instant:
    """L'instant que dit cette saisie ; un jour seul vaut jusqu'à sa fin, à Paris. Lève InstantIllisible, InstantFutur.

    Le jour présent, qui n'est pas fini, vaut jusqu'à maintenant.
    """
    texte = saisie.strip()
    if texte.lower() in _HIER:
        return _fin_du_jour(jour_de_paris(maintenant) - timedelta(days=_HIER[texte.lower()]), maintenant)
    lu = _INSTANT.fullmatch(texte) if len(texte) <= SAISIE_MAX else None
    if lu is None:
        raise InstantIllisible
    try:
        jour = date(int(lu["a"] or lu["a2"]), int(lu["m"] or lu["m2"]), int(lu["j"] or lu["j2"]))
        if lu["h"] is None:
            return _fin_du_jour(jour, maintenant)
        au = _instant(jour, lu)
    except (ValueError, OverflowError):
        raise InstantIllisible from None
    if au > maintenant:
        raise InstantFutur
    return Instant(au, f"Telle que connue le {en_toutes_lettres(au)}, à l'heure de Paris.")


def en_toutes_lettres(instant: datetime) -> str:
    """`25/11/2026 à 14:30:05`, à l'heure de Paris."""
    return f"{instant.astimezone(PARIS):%d/%m/%Y à %H:%M:%S}"


def _instant(jour: date, lu: re.Match[str]) -> datetime:
    local = datetime(
        jour.year,
        jour.month,
        jour.day,
        int(lu["h"]),
        int(lu["min"]),
        int(lu["s"] or 0),
        int((lu["us"] or "0").ljust(6, "0")),
        tzinfo=PARIS,
    )
    if lu["z"] is None:
        return a_paris(local).astimezone(UTC)
    decalage = lu["z"].replace(" ", "+")
    suffixe = "+00:00" if decalage in {"Z", "z"} else decalage
    return datetime.fromisoformat(local.replace(tzinfo=None).isoformat() + suffixe).astimezone(UTC)


def _fin_du_jour(jour: date, maintenant: datetime) -> Instant:
    aujourd_hui = jour_de_paris(maintenant)
    if jour > aujourd_hui:
        raise InstantFutur
    if jour == aujourd_hui:
        return Instant(maintenant, f"Telle que connue aujourd'hui, {jour:%d/%m/%Y}, jusqu'à maintenant.")
    lendemain = jour + timedelta(days=1)
    minuit = datetime(lendemain.year, lendemain.month, lendemain.day, tzinfo=PARIS)
    fin = minuit.astimezone(UTC) - timedelta(microseconds=1)
    return Instant(fin, f"Telle que connue à la fin du {jour:%d/%m/%Y} (minuit, à l'heure de Paris).")
