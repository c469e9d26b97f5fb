"""Les rangées de l'étape 2, écrites d'avance : cinquante rangées ne traversent pas le gabarit valeur à valeur.

Un gabarit cherche chaque attribut et échappe chaque valeur à part : c'était le plus gros du temps d'une page de
cinquante lignes. Ici le gabarit d'une rangée (`_rangee.html`) est rendu une fois par forme, avec des places à remplir ;
chaque rangée les remplit de textes déjà échappés.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from operator import itemgetter
from typing import Final, NamedTuple

from markupsafe import Markup, escape

from api.assure.lecture import Raison
from api.socle.rendu import jour, texte_de, typographie
from domain.caisses import nom_de_caisse
from domain.monnaie import euros
from projections.vues.restant_du import LigneCreance

_CHAMPS: Final = (
    "reference",
    "rang",
    "restant",
    "disponible",
    "caisse",
    "nom_de_caisse",
    "emise_le",
    "initial",
    "reste",
    "en_cours",
    "de_trop",
    "raison",
)


class LigneACocher(NamedTuple):
    """Une créance de l'étape 2."""

    creance: LigneCreance
    raison: Raison | None
    """Pourquoi elle ne peut pas être cochée, ou None."""
    cochee: bool
    rang: int
    """Sa place dans l'imputation, la plus ancienne d'abord."""
    invite: bool
    """Vrai si la page propose de la payer (`domain.ouverture.ACocher.invite`)."""


Forme = tuple[bool, bool, bool, bool, bool, bool]
"""Ce qui change le balisage d'une rangée, dans l'ordre de `_FORME`."""

_FORME: Final = ("plusieurs_caisses", "preuves", "retenue", "en_trop", "fermee", "cochee")

_PLACE: Final = re.compile(r"\{(\d+)\}")


def ecrire(lignes: Iterable[LigneACocher], *, plusieurs_caisses: bool, preuves: bool) -> Markup:
    """Ces rangées, dans leur ordre. `plusieurs_caisses` : chacune nomme la sienne ; `preuves` : et lie sa preuve."""
    return Markup("".join([_rangee(ligne, plusieurs_caisses, preuves) for ligne in lignes]))  # noqa: S704 (tout est échappé)


def _rangee(ligne: LigneACocher, plusieurs_caisses: bool, preuves: bool) -> str:  # noqa: FBT001 (cinquante fois par page)
    creance, raison, cochee, rang, _ = ligne
    restant, en_cours, caisse = creance.restant_du, creance.en_cours, creance.caisse
    de_trop = en_cours - restant
    textes, choisir = _patron((plusieurs_caisses, preuves, en_cours > 0, de_trop > 0, raison is not None, cochee))
    ecrits = textes.copy()
    ecrits[1::2] = choisir(
        (
            _echappe(creance.reference),
            str(rang),
            str(restant),
            str(restant - en_cours if restant > en_cours else 0),
            _echappe(caisse),
            _nom_echappe(caisse) if plusieurs_caisses else "",
            _jour(creance.date_emission),
            _euros(creance.montant_initial),
            _euros(restant),
            _euros(min(en_cours, restant)) if en_cours else "",
            _euros(de_trop) if de_trop > 0 else "",
            _phrase_echappee(raison.phrase) if raison is not None else "",
        )
    )
    return "".join(ecrits)


@lru_cache(maxsize=64)
def _patron(forme: Forme) -> tuple[list[str], Callable[[tuple[str, ...]], tuple[str, ...]]]:
    """Une rangée de cette forme : ses textes, un sur deux à remplir, et ce qui y va, pris dans l'ordre de `_CHAMPS`.

    Coller des morceaux coûte trois fois moins que `str.format`, que chaque accent fait recopier.
    """
    places = {nom: f"{{{rang}}}" for rang, nom in enumerate(_CHAMPS)}
    textes = _PLACE.split(texte_de("_rangee.html", places | dict(zip(_FORME, forme, strict=True))))
    return textes, itemgetter(*map(int, textes[1::2]))


def _echappe(texte: str) -> str:
    """Des lettres et des chiffres n'ont rien à échapper : c'est le cas de toutes les références."""
    return texte if texte.isalnum() else str(escape(texte))


@lru_cache(maxsize=256)
def _nom_echappe(caisse: str) -> str:
    return _echappe(nom_de_caisse(caisse))


@lru_cache(maxsize=256)
def _phrase_echappee(phrase: str) -> str:
    return _echappe(typographie(phrase))


# Un compte répète ses dates, et son montant restant est le plus souvent le montant initial.
_jour = lru_cache(maxsize=1024)(jour)
_euros = lru_cache(maxsize=4096)(euros)
