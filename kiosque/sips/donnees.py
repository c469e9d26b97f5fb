"""Le champ `Data` de Sips : des paires `nom=valeur` jointes par `|`, en clair, en base64 ou en base64url.

Source : guide Sips Paypage POST. Une valeur peut contenir `=` : chaque paire se coupe au premier seulement.
"""

import base64
import re
from collections.abc import Mapping
from typing import Literal

from kiosque.interface import FormulaireIllisible

Encodage = Literal["", "base64", "base64url"]

DATA_OCTETS_MAX = 32 * 1024
"""Taille de `Data` tel qu'envoyé. Les réponses réelles tiennent en 2 Kio ; au-delà de ceci, on ne lit pas."""

PAIRES_MAX = 500
"""Nombre de paires. Le dictionnaire de Sips compte quelque 300 champs."""

ABSENTE = "null"
"""Sips écrit parfois une valeur absente ainsi."""

NOM = re.compile(r"[A-Za-z0-9_.]{1,64}")
INTERDIT_DANS_UNE_VALEUR = re.compile(r"[|\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def ecrire(valeurs: Mapping[str, str]) -> str:
    """Les paires jointes, dans l'ordre donné ; `ValueError` si un nom ou une valeur ne peut pas voyager ainsi."""
    for nom, valeur in valeurs.items():
        if not NOM.fullmatch(nom):
            raise ValueError(f"nom de champ impossible : {nom!r}")
        if INTERDIT_DANS_UNE_VALEUR.search(valeur):
            raise ValueError(f"la valeur du champ {nom} contient un caractère réservé")
    return "|".join([f"{nom}={valeur}" for nom, valeur in valeurs.items()])


def lire(texte: str) -> dict[str, str]:
    """Les valeurs par nom, brutes ; lève `FormulaireIllisible` si une paire est mal formée ou répétée."""
    paires = texte.split("|")
    if len(paires) > PAIRES_MAX:
        raise FormulaireIllisible(f"plus de {PAIRES_MAX} paires")
    try:
        valeurs = dict([paire.split("=", 1) for paire in paires])
    except ValueError:
        raise FormulaireIllisible("une paire sans « = »") from None
    if "" in valeurs:
        raise FormulaireIllisible("une paire sans nom")
    if len(valeurs) != len(paires):
        raise FormulaireIllisible("un champ est répété")
    return valeurs


def valeur_de(valeurs: Mapping[str, str], nom: str) -> str | None:
    """La valeur du champ, ou None s'il est absent, vide ou écrit `null`."""
    valeur = valeurs.get(nom)
    return valeur if valeur and valeur != ABSENTE else None


def encoder(texte: str, encodage: Encodage) -> str:
    """`Data` tel qu'envoyé. En clair, il est ASCII : un accent demande base64 (`ValueError` sinon)."""
    match encodage:
        case "base64":
            return base64.b64encode(texte.encode()).decode("ascii")
        case "base64url":
            return base64.urlsafe_b64encode(texte.encode()).decode("ascii")
        case "":
            if not texte.isascii():
                raise ValueError("un accent ne voyage qu'en base64")
            return texte


def decoder(data: str, encodage: str) -> str:
    """Le texte des paires ; lève `FormulaireIllisible` (trop long, encodage inconnu, base64 ou UTF-8 invalide)."""
    if len(data) > DATA_OCTETS_MAX:
        raise FormulaireIllisible(f"Data dépasse {DATA_OCTETS_MAX} octets")
    if not data.isascii():
        raise FormulaireIllisible("Data contient un accent sans être en base64")
    if encodage in {"", ABSENTE}:
        return data
    if encodage not in ("base64", "base64url"):
        raise FormulaireIllisible("encodage inconnu")
    # RFC 4648 : le remplissage final peut manquer en base64url ; le sceau, lui, porte sur Data tel qu'envoyé.
    remplie = data + "=" * (-len(data) % 4)
    altchars = b"-_" if encodage == "base64url" else None
    try:
        return base64.b64decode(remplie, altchars=altchars, validate=True).decode("utf-8")
    except ValueError:
        raise FormulaireIllisible("Data n'est pas du texte en base64") from None
