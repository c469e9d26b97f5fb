"""Le curseur du fil : où en est un partenaire dans le journal, et sous quelle époque ; et ce qui en est refusé."""

import re
from collections.abc import Collection
from datetime import date, datetime, time
from typing import Final, NamedTuple

from domain.delai import PARIS
from domain.refus import Refus
from projections.lectures.instant import InstantFutur

_FORME: Final = re.compile(
    r"(?P<epoque>[0-9]{8}T[0-9]{6}Z)\.(?P<position>[0-9]{1,19})(?P<retenus>(~[0-9]{1,19})*)", re.ASCII
)
_POSITION_MAX: Final = 2**63 - 1

RETENUS_MAX: Final = 20
"""Flux retenus, au plus : au-delà, c'est le journal qui est abîmé, et le fil s'arrête devant."""

LONGUEUR_MAX: Final = 512
"""Caractères d'un curseur, au plus."""


class CurseurIllisible(Refus):
    """Ce n'est pas un curseur que le fil a donné."""

    code = "curseur_illisible"
    phrase_de_base = "Ce curseur ne se lit pas : rendez tel quel celui que la page précédente a donné (`suite`)."


class CurseurInconnu(Refus):
    """L'époque de ce curseur n'est pas de ce journal."""

    code = "curseur_inconnu"
    phrase_de_base = "Ce curseur est d'une époque que ce journal ne connaît pas : reprenez sans curseur."


class CurseurHorsBornes(Refus):
    """Ce curseur est au-delà du dernier événement."""

    code = "curseur_hors_bornes"
    phrase_de_base = "Ce curseur est au-delà du dernier événement du journal."

    def __init__(self, tete: int) -> None:
        """`tete` : la dernière position."""
        super().__init__(tete)
        self.tete = tete

    @property
    def phrase(self) -> str:
        """La phrase, et la dernière position."""
        return f"{self.phrase_de_base.removesuffix('.')} (position {self.tete})."


class DepartIllisible(Refus):
    """L'instant d'où partir ne se lit pas, ou pas d'une seule façon."""

    code = "depart_illisible"
    phrase_de_base = (
        "Cet instant ne se lit pas : écrivez un jour (2026-11-25, depuis son début à Paris) ou un instant et son"
        " décalage (2026-11-25T14:30:00+01:00)."
    )


class DepartsMultiples(Refus):
    """Un curseur et un instant : deux endroits d'où partir."""

    code = "departs_multiples"
    phrase_de_base = "Le fil part d'un seul endroit : un curseur (`apres`) ou un instant (`depuis`), pas les deux."


class CaisseEtrangere(Refus):
    """Une caisse qui n'est pas à ce partenaire."""

    code = "caisse_etrangere"
    phrase_de_base = "Cette caisse n'est pas des vôtres."


class CreanceEtrangere(Refus):
    """Une créance inconnue, ou d'une caisse qui n'est pas à ce partenaire : une seule et même réponse."""

    code = "creance_inconnue"
    phrase_de_base = "Aucune créance de vos caisses ne porte cette référence."


class EvenementIllisible(Refus):
    """Cette créance ne se lit pas, ou trop de flux ne se lisent pas : le fil attend, plutôt que de les passer."""

    code = "evenement_illisible"
    phrase_de_base = "Le prochain événement attend une réparation chez nous ; rien n'est perdu, réessayez plus tard."


class Curseur(NamedTuple):
    """Le dernier événement lu : jusqu'à lui, tout a été rendu, n'était pas pour ce partenaire, ou est retenu."""

    epoque: str
    position: int
    retenus: tuple[int, ...] = ()
    """Le premier événement retenu de chaque flux qui ne se lit pas : la position de chacun."""

    def __str__(self) -> str:
        """Le curseur tel qu'un partenaire le rend."""
        return f"{self.epoque}.{self.position}" + "".join(f"~{position}" for position in self.retenus)


def lire_curseur(texte: str) -> Curseur:
    """Le curseur que dit ce texte. Lève CurseurIllisible."""
    lu = _FORME.fullmatch(texte)
    if lu is None:
        raise CurseurIllisible
    position, *retenus = map(int, [lu["position"], *lu["retenus"].split("~")[1:]])
    if max(position, *retenus, 0) > _POSITION_MAX or len(retenus) > RETENUS_MAX:
        raise CurseurIllisible
    return Curseur(lu["epoque"], position, tuple(retenus))


def lire_depart(texte: str, maintenant: datetime) -> datetime:
    """L'instant d'où partir : un jour, depuis son début à Paris, ou un instant avec son décalage.

    Lève DepartIllisible ou InstantFutur.
    """
    texte = texte.strip().replace(" ", "+")  # Dans une adresse, un « + » non échappé arrive en blanc.
    try:
        if len(texte) == len("2026-11-25"):
            depart = datetime.combine(date.fromisoformat(texte), time(), PARIS)
        else:
            depart = datetime.fromisoformat(texte)
    except (ValueError, OverflowError):
        raise DepartIllisible from None
    if depart.tzinfo is None:
        raise DepartIllisible
    if depart > maintenant:
        raise InstantFutur
    return depart


def exiger_connu(curseur: Curseur, epoques: Collection[str], tete: int) -> None:
    """Lève CurseurInconnu ou CurseurHorsBornes si ce journal n'a pas pu donner ce curseur.

    `epoques` : toutes celles du journal. `tete` : sa dernière position ; un curseur d'une époque passée peut l'avoir
    dépassée, puisqu'une restauration a reculé le journal.
    """
    if curseur.epoque not in epoques:
        raise CurseurInconnu
    if curseur.epoque == max(epoques) and curseur.position > tete:
        raise CurseurHorsBornes(tete)
