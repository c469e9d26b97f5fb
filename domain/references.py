"""Les références : celle de l'avis, qui nomme la créance, et celle de la transaction au kiosque."""

import re
from datetime import date
from enum import StrEnum
from typing import Annotated, Final, NamedTuple, NewType, TypeAlias

from pydantic import AfterValidator, StringConstraints

from domain.diffusion import Diffusion
from domain.nir import contient_un_nir, contient_un_nir_definitif

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
"""Paiements qu'une base peut nommer par jour : 6 chiffres, après celui qui désigne la base (le « fragment »)."""

PREFIXE_TRANSACTION: Final = "PCLCB"

_LONGUEUR_SAISIE_MAX: Final = 64
_BLANCS: Final = re.compile(r"\s+")

CHIFFRES: Final = 16
"""Ceux d'une référence, avant sa lettre."""

_LONGUEUR_COLLEE_MAX: Final = 1_000
_CHIFFRES: Final = frozenset("0123456789")
_EN_CHIFFRES: Final = str.maketrans("OoIl", "0011")
# Blancs, tirets, points, et les signes sans largeur qu'un texte collé d'une page ou d'un PDF apporte.
_SEPARATEUR: Final = r"\s.\-\u2010-\u2015_\u00ad\u00b7\u200b-\u200d\u2060\ufeff"
_SEPARATEURS: Final = re.compile(f"[{_SEPARATEUR}]+")
_DEBUT: Final = re.compile(rf"(?<!\w)(?:[OoIl][{_SEPARATEUR}]{{0,2}}){{0,16}}[0-9]")
_TAPEE: Final = re.compile(r"[0-9OoIl]{16}[A-Za-z]")
_TROP_DE_LETTRES: Final = re.compile(r"[0-9OoIl]{16}[A-Za-z]{2,3}")
"""Une touche enfoncée deux fois : les 16 chiffres y sont, et aucun n'est une lettre."""
_A_PEU_PRES: Final = re.compile(r"[0-9]{1,64}[A-Za-z]?")
_UN_MOT: Final = re.compile(r"(?=(?:[A-Za-z]*[0-9]){8})[0-9A-Za-z]{8,24}")
"""D'un seul tenant, et assez de chiffres pour que ce soit une référence mal tapée."""
_DEPLACES_MAX: Final = 3
_SUITE_EN_TROP: Final = re.compile(r"[0-9OoIl]{16}[A-Za-z][0-9]{1,8}")
_PAIEMENT: Final = re.compile(rf"{PREFIXE_TRANSACTION}[0-9]{{12}}", re.ASCII | re.IGNORECASE)
_SIGNES_D_UN_NIR: Final = frozenset({13, 15})
_COLLEE: Final = re.compile(
    rf"(?<![\w])[0-9OoIl](?:[{_SEPARATEUR}]{{0,2}}[0-9OoIl]){{15}}[{_SEPARATEUR}]{{0,2}}[A-Za-z](?!\w)"
)


_UN_NIR: Final = "un numéro de sécurité sociale ne peut ni servir de pseudonyme, ni y figurer"


def _sans_nir(pseudonyme: str) -> str:
    if contient_un_nir_definitif(pseudonyme):
        raise ValueError(_UN_NIR)
    return pseudonyme


def _sans_nir_ni_nia(pseudonyme: str) -> str:
    if contient_un_nir(pseudonyme):
        raise ValueError(_UN_NIR)
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

PseudonymeRecu: TypeAlias = Annotated[Pseudonyme, AfterValidator(_sans_nir_ni_nia)]
"""Celui qui arrive d'un message, d'un jeton, d'une recherche : un NIA n'entre pas, mais ce qui est inscrit se relit."""

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


class DefautDeReference(StrEnum):
    """Ce qui empêche de lire une référence tapée ; une saisie peut en avoir plusieurs."""

    LETTRE_ABSENTE = "lettre_absente"
    CHIFFRES_MANQUANTS = "chiffres_manquants"
    CHIFFRES_EN_TROP = "chiffres_en_trop"
    SIGNE_DEPLACE = "signe_deplace"
    """Une lettre où seul un chiffre peut être."""
    LETTRES_EN_TROP = "lettres_en_trop"
    SUITE_EN_TROP = "suite_en_trop"
    """Des chiffres après la lettre."""
    SECURITE_SOCIALE = "securite_sociale"
    """Un numéro de sécurité sociale, que le même courrier porte aussi."""
    PAIEMENT = "paiement"
    """La référence d'un paiement, que porte un reçu."""
    PLUSIEURS = "plusieurs"
    FORME = "forme"


class ReferenceIllisible(NamedTuple):
    """Une saisie qui n'est pas une référence : la forme est publique, le dire n'apprend rien de personne."""

    defauts: tuple[DefautDeReference, ...]
    """Un au moins, du plus général au plus précis."""
    chiffres: int = 0
    """Les chiffres que la saisie compte, les signes déplacés compris."""
    deplaces: str = ""
    """Ces signes, chacun une fois."""


def lire_reference_tapee(saisie: str) -> ReferenceCreance | ReferenceIllisible:
    """La référence qu'une personne a tapée ou collée, ou ce qui empêche de la lire.

    Sont admis, parce qu'ils ne laissent pas de doute : les blancs, tirets et points, « N° » ou des mots avant elle,
    les minuscules, la lettre O pour un zéro et I ou l pour un un là où seul un chiffre peut être, le texte du courrier
    autour d'elle. Jamais un signe qui n'est pas en ASCII, ni deux références à la fois.
    """
    trop_longue = len(saisie) > _LONGUEUR_COLLEE_MAX
    if trop_longue or _PAIEMENT.fullmatch(_SEPARATEURS.sub("", saisie)):
        return ReferenceIllisible((DefautDeReference.FORME if trop_longue else DefautDeReference.PAIEMENT,))
    debut = _DEBUT.search(saisie)
    serree = _SEPARATEURS.sub("", saisie[debut.start() :] if debut else "")
    if _TAPEE.fullmatch(serree):
        return _redresser(serree)
    if _A_PEU_PRES.fullmatch(serree):
        return _mal_tapee(serree)
    collees = {_redresser(_SEPARATEURS.sub("", trouve[0])) for trouve in _COLLEE.finditer(saisie)}
    if len(collees) == 1:
        return collees.pop()
    if not collees and _UN_MOT.fullmatch(serree):
        return _mal_tapee(serree)
    return ReferenceIllisible((DefautDeReference.PLUSIEURS if collees else DefautDeReference.FORME,))


def _redresser(serree: str) -> ReferenceCreance:
    return ReferenceCreance(serree[:-1].translate(_EN_CHIFFRES) + serree[-1].upper())


def _mal_tapee(serree: str) -> ReferenceIllisible:
    """Tout ce qu'une saisie d'un seul tenant a de fautif : la personne corrige en une fois."""
    if _TROP_DE_LETTRES.fullmatch(serree):
        return ReferenceIllisible((DefautDeReference.LETTRES_EN_TROP,), CHIFFRES)
    if _SUITE_EN_TROP.fullmatch(serree):
        return ReferenceIllisible((DefautDeReference.SUITE_EN_TROP,), CHIFFRES)
    if len(serree) in _SIGNES_D_UN_NIR and contient_un_nir_definitif(serree):
        return ReferenceIllisible((DefautDeReference.SECURITE_SOCIALE,))
    lettre = serree[-1] not in _CHIFFRES
    corps = (serree[:-1] if lettre else serree).translate(_EN_CHIFFRES)
    deplaces = "".join(dict.fromkeys(signe for signe in corps if signe not in _CHIFFRES))
    presents = {
        DefautDeReference.CHIFFRES_MANQUANTS: len(corps) < CHIFFRES,
        DefautDeReference.CHIFFRES_EN_TROP: len(corps) > CHIFFRES,
        DefautDeReference.SIGNE_DEPLACE: bool(deplaces),
        DefautDeReference.LETTRE_ABSENTE: not lettre,
    }
    if len(deplaces) > _DEPLACES_MAX:  # Un mot, et non une faute de frappe.
        return ReferenceIllisible((DefautDeReference.FORME,))
    return ReferenceIllisible(tuple(defaut for defaut, present in presents.items() if present), len(corps), deplaces)


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
