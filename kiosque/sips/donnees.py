"""Le champ `Data` de Sips : des paires `nom=valeur` jointes par `|`, en clair, en base64 ou en base64url.

Source : guide Sips Paypage POST. Une valeur peut contenir `=` : chaque paire se coupe au premier seulement.
"""

import base64
import re
import string
from collections.abc import Container, Mapping
from typing import Any, Final, Literal, assert_never

import msgspec

from domain.monnaie import CENTIMES_MAX
from domain.references import TRANSACTION
from kiosque.interface import FormulaireIllisible

Encodage = Literal["", "base64", "base64url"]

DATA_OCTETS_MAX = 32 * 1024
"""Taille de `Data` tel qu'envoyé. Les réponses réelles tiennent en 2 Kio ; au-delà de ceci, on ne lit pas."""

ABSENTE = "null"
"""Sips écrit parfois une valeur absente ainsi."""

_JAMAIS_ABSENTE = frozenset(string.ascii_letters + string.digits) - {ABSENTE[0], ABSENTE[0].upper()}
"""Ce par quoi ne commence aucune valeur absente : ni un blanc, ni le `n` de `null`."""

_MONTANT = re.compile(r"[0-9]{1,12}")
NOM = re.compile(r"[A-Za-z0-9_.]{1,64}")
INTERDIT_DANS_UNE_VALEUR = re.compile(r"[|\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_OBJET: Final = msgspec.json.Decoder(dict[str, str])


def ecrire(valeurs: Mapping[str, str]) -> str:
    """Les paires jointes, dans l'ordre donné ; `ValueError` si un nom ou une valeur ne peut pas voyager ainsi."""
    for nom, valeur in valeurs.items():
        if not NOM.fullmatch(nom):
            raise ValueError(f"nom de champ impossible : {nom!r}")
        if INTERDIT_DANS_UNE_VALEUR.search(valeur):
            raise ValueError(f"la valeur du champ {nom} contient un caractère réservé")
    return "|".join([f"{nom}={valeur}" for nom, valeur in valeurs.items()])


def lire_paires(texte: str, utilises: Container[str] | None = None) -> dict[str, str]:
    """Les valeurs brutes, par nom ; lève `FormulaireIllisible` si un champ utilisé est répété.

    `utilises` : les noms dont on se sert (None : tous). Les autres ne coûtent jamais une réponse : de l'un d'eux répété
    la première valeur est gardée, et une paire vide ou sans « = » est passée.
    """
    valeurs: dict[str, str] = {}
    for paire in texte.split("|"):
        nom, egal, valeur = paire.partition("=")
        if not egal or not nom:
            continue
        if nom not in valeurs:
            valeurs[nom] = valeur
        elif utilises is None or nom in utilises:
            raise FormulaireIllisible(f"le champ {nom} est répété")
    return valeurs


def paires_simples(texte: str) -> dict[str, str] | None:
    """Les mêmes valeurs, en une passe, d'un texte dont aucune paire n'est vide, abîmée ni répétée ; sinon None."""
    if '"' not in texte and "\\" not in texte:
        # Sans rien qui s'échappe, un texte dont chaque paire a un seul « = » devient du JSON, que msgspec coupe d'un
        # trait. Sinon il n'en devient pas.
        objet = f"""{{"{texte.replace("=", '":"').replace("|", '","')}"}}"""
        try:
            valeurs = _OBJET.decode(objet)
        except (msgspec.MsgspecError, UnicodeError):
            pass
        else:
            return valeurs if len(valeurs) == texte.count("|") + 1 and "" not in valeurs else None
    paires = texte.split("|")
    try:
        valeurs = dict([paire.split("=", 1) for paire in paires])  # Une paire sans « = » ne se lit pas en deux.
    except ValueError:
        return None
    return valeurs if len(valeurs) == len(paires) and "" not in valeurs else None


def premieres(texte: str) -> dict[str, str]:
    """La première valeur de chaque nom : de quoi trouver la clé avant d'avoir vérifié le sceau. Ne lève rien."""
    return lire_paires(texte, frozenset())


def pretendu(formulaire: Mapping[str, Any]) -> tuple[str | None, int]:
    """La transaction et le montant (centimes, 0 sans montant) qu'un formulaire prétend porter : rien ne le prouve.

    Lève ValueError, LookupError, TypeError ou FormulaireIllisible si ce n'en est pas un.
    """
    valeurs = premieres(decoder(str(formulaire["Data"]).encode(), formulaire.get("Encode") or ""))
    transaction, montant = valeurs.get("transactionReference", ""), valeurs.get("amount", "")
    return (
        transaction if TRANSACTION.fullmatch(transaction) else None,
        int(montant) if _MONTANT.fullmatch(montant) and int(montant) <= CENTIMES_MAX else 0,
    )


def valeur_de(valeurs: Mapping[str, str], nom: str) -> str | None:
    """La valeur du champ, ou None s'il est absent, vide ou écrit `null`."""
    valeur = valeurs.get(nom)
    if valeur and valeur[0] in _JAMAIS_ABSENTE:
        return valeur
    return valeur if valeur and valeur.strip().lower() not in {"", ABSENTE} else None


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
        case _:
            assert_never(encodage)


_AUTOUR = "\r\n\N{ZERO WIDTH NO-BREAK SPACE}"


def decoder(data: bytes, encodage: str) -> str:
    """Le texte des paires ; lève `FormulaireIllisible` (trop long, base64 invalide).

    L'encodage s'écrit en majuscules ou en minuscules ; du base64 peut être replié, sans remplissage, de l'un ou l'autre
    alphabet. Un octet qui n'est pas de l'UTF-8 ne gêne que la valeur qui le porte. Ce que `Encode` omet ou dit à tort,
    ou d'un mot inconnu, ne coûte rien : le sceau porte sur les octets, et `|` n'est jamais du base64. Une fin de ligne
    ou une marque d'ordre autour du tout n'est pas de la valeur qu'elle touche.
    """
    if len(data) > DATA_OCTETS_MAX:
        raise FormulaireIllisible(f"Data dépasse {DATA_OCTETS_MAX} octets")
    if encodage.strip().lower() in {"base64", "base64url"}:
        octets = data if b"|" in data else _depuis_base64(data)
    else:
        octets = _deviner(data)
    return octets.decode("utf-8", "replace").strip(_AUTOUR)


def _deviner(data: bytes) -> bytes:
    """Du base64 que rien n'annonce se reconnaît à ce qu'il porte : le marchand, sans qui aucun sceau ne se vérifie."""
    if b"|" in data:
        return data
    try:
        octets = _depuis_base64(data)
    except FormulaireIllisible:
        return data
    return octets if b"merchantId=" in octets else data


def _depuis_base64(data: bytes) -> bytes:
    compact = b"".join(data.split()).rstrip(b"=").translate(_VERS_BASE64)
    try:
        return base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
    except ValueError:
        raise FormulaireIllisible("Data n'est pas en base64") from None


_VERS_BASE64 = bytes.maketrans(b"-_", b"+/")
