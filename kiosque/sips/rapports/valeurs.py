"""Les valeurs d'une ligne de rapport : montants en centimes, instants, références ; chacune lue strictement."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from domain.delai import a_paris_au_plus_tard
from domain.monnaie import CENTIMES_MAX

TEXTE_MAX: Final = 64
"""Caractères gardés au plus d'un code, d'un état, d'une opération : au-delà, ce n'en est pas un."""

_REFERENCE: Final = re.compile(r"[A-Za-z0-9_-]{1,35}")
_MARCHAND: Final = re.compile(r"[0-9]{15}")
_CODE: Final = re.compile(r"[0-9A-Za-z]{2}")
_AUTORISATION: Final = re.compile(r"[A-Za-z0-9_.+\-@ ]{1,64}")
_COMPACT: Final = {8: "%Y%m%d", 14: "%Y%m%d%H%M%S"}
_EURO: Final = {"978", "EUR"}
_ANNEES: Final = range(2000, 2100)


def lire_reference(valeur: str) -> str:
    """La référence de transaction ; lève ValueError."""
    if not _REFERENCE.fullmatch(valeur):
        raise ValueError("1 à 35 lettres, chiffres, _ ou - attendus")
    return valeur


def lire_marchand(valeur: str) -> str:
    """L'identifiant d'un marchand ; lève ValueError."""
    if not _MARCHAND.fullmatch(valeur):
        raise ValueError("15 chiffres attendus")
    return valeur


def lire_montant(valeur: str, *, signe: bool = False) -> int:
    """Un montant en centimes entiers ; `signe` : le moins est permis, et gardé. Lève ValueError."""
    chiffres = valeur.removeprefix("-") if signe else valeur
    if not (chiffres.isascii() and chiffres.isdigit()) or len(chiffres) > len(str(CENTIMES_MAX)):
        raise ValueError("des centimes entiers sont attendus")
    return -int(chiffres) if chiffres != valeur else int(chiffres)


def lire_code(valeur: str) -> str:
    """Le code de réponse d'une transaction ; lève ValueError : « 0 » est peut-être « 00 » passé par un tableur."""
    if not _CODE.fullmatch(valeur):
        raise ValueError("un code de deux signes est attendu (un tableur peut en avoir ôté le zéro)")
    return valeur


def lire_autorisation(valeur: str) -> str:
    """Un numéro d'autorisation ; lève ValueError."""
    if not _AUTORISATION.fullmatch(valeur):
        raise ValueError("lettres, chiffres, espaces, _ . + - @ attendus, 64 au plus")
    return valeur


def exiger_euro(valeur: str) -> None:
    """Lève ValueError si la devise n'est pas l'euro."""
    if valeur.upper() not in _EURO:
        raise ValueError("l'euro (978) est attendu")


def lire_texte(valeur: str) -> str:
    """Un code, un état : court et imprimable ; lève ValueError."""
    if len(valeur) > TEXTE_MAX or not valeur.isprintable():
        raise ValueError(f"un texte imprimable de {TEXTE_MAX} caractères au plus est attendu")
    return valeur


@lru_cache(maxsize=4096)
def lire_instant(valeur: str) -> datetime:
    """Un instant en UTC, d'une date ISO ou AAAAMMJJ, avec ou sans heure ; sans fuseau, de Paris. Lève ValueError."""
    try:
        if valeur.isascii() and valeur.isdigit():
            lu = datetime.strptime(valeur, _COMPACT.get(len(valeur), ""))  # noqa: DTZ007  dated in Paris below
        else:
            lu = datetime.fromisoformat(valeur)
    except ValueError as erreur:
        raise ValueError("une date ISO ou AAAAMMJJ est attendue") from erreur
    if lu.year not in _ANNEES:
        raise ValueError("l'année est hors de raison")
    return lu.astimezone(UTC) if lu.tzinfo else a_paris_au_plus_tard(lu)
