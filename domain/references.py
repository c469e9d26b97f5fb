"""Les références : celle de l'avis, qui nomme la créance, et celle de la transaction au kiosque."""

import re
from datetime import date
from typing import Annotated, Final, NewType

from pydantic import AfterValidator, StringConstraints

from domain.diffusion import Diffusion
from domain.nir import contient_un_nir

REFERENCE: Final = re.compile(r"[0-9]{16}[A-Z]")
TRANSACTION: Final = re.compile(r"[A-Za-z0-9]{1,35}")

ReferenceCreance = NewType(
    "ReferenceCreance", Annotated[str, StringConstraints(pattern=r"^[0-9]{16}[A-Z]$"), Diffusion.PUBLIQUE]
)
"""« 16 chiffres et 1 lettre » : caisse (3), puis date (5), séquence (8) et lettre, que rien ne permet de vérifier."""

ReferenceTransaction = NewType(
    "ReferenceTransaction", Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,35}$"), Diffusion.PUBLIQUE]
)
"""Le nom d'un paiement au kiosque : alphanumérique, 35 signes au plus, unique à jamais."""

NUMERO_DU_JOUR_MAX: Final = 999_999
"""Paiements qu'une base peut nommer par jour : 6 chiffres, le septième désigne la base (le « fragment »)."""

PREFIXE_TRANSACTION: Final = "PCLCB"

_LONGUEUR_SAISIE_MAX: Final = 64
_BLANCS: Final = re.compile(r"\s+")


def _sans_nir(pseudonyme: str) -> str:
    if contient_un_nir(pseudonyme):
        raise ValueError("un numéro de sécurité sociale ne peut ni servir de pseudonyme, ni y figurer")
    return pseudonyme


Pseudonyme = NewType(
    "Pseudonyme",
    Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
        AfterValidator(_sans_nir),
        Diffusion.INTERNE,
    ],
)
"""L'assuré, tel que les événements le connaissent : opaque ; un NIR, avec ou sans clé, est refusé."""

CodeCaisse = NewType("CodeCaisse", Annotated[str, StringConstraints(pattern=r"^[0-9]{3}$"), Diffusion.PUBLIQUE])
"""Les trois premiers chiffres d'une référence ; un code inconnu est gardé tel quel."""


def lire_reference(saisie: str) -> ReferenceCreance | None:
    """Rend la référence normalisée d'une saisie (espaces et minuscules tolérés), ou None si ce n'en est pas une."""
    if len(saisie) > _LONGUEUR_SAISIE_MAX:
        return None
    serree = _BLANCS.sub("", saisie)
    # En ASCII avant la majuscule : `ſ` (s long) deviendrait un S.
    if not serree.isascii() or not REFERENCE.fullmatch(serree.upper()):
        return None
    return ReferenceCreance(serree.upper())


def composer_transaction(jour: date, numero: int, fragment: int = 0) -> ReferenceTransaction:
    """Compose la référence de transaction d'un jour de Paris.

    `PCLCB` + année (2) + quantième (3) + 7 chiffres, dont le premier est le fragment (0 à 9) : deux bases de données
    ne peuvent pas donner le même nom. Source : écran du kiosque, étape 3/3 du pas-à-pas (`PCLCB172540000004`).

    Lève ValueError si le numéro ou le fragment sort de ses bornes.
    """
    if not 0 <= numero <= NUMERO_DU_JOUR_MAX:
        raise ValueError(f"numéro du jour hors bornes : {numero}")
    if not 0 <= fragment <= 9:  # noqa: PLR2004 (un chiffre)
        raise ValueError(f"fragment hors bornes : {fragment}")
    return ReferenceTransaction(f"{PREFIXE_TRANSACTION}{jour:%y%j}{fragment}{numero:06d}")
