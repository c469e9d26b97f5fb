"""Lire un jeton signé : rien de ce qu'il dit n'est cru sans forme, et un jeton ne sert qu'à ce que dit son type."""

import json
from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from typing import Any, Final, NamedTuple

import jwt
from jwt.utils import base64url_decode

from api.socle.annonce import JetonInvalide, sans_repetition

TOLERANCE_D_HORLOGE: Final = timedelta(seconds=30)
"""Écart admis entre notre horloge et celle de l'émetteur."""

INSTANT_MAX: Final = 2**35
"""Un instant d'ici mille ans : au-delà, ce n'est pas un nombre de secondes."""

INSTANTS: Final = ("exp", "nbf", "iat", "auth_time")
"""Les revendications qui sont un nombre de secondes depuis 1970 (RFC 7519, NumericDate)."""

D_IDENTITE: Final = frozenset({"nonce", "at_hash", "c_hash", "s_hash", "events"})
D_ACCES: Final = frozenset({"scope", "scp", "client_id"})
"""Ce que portent seuls les jetons d'identité (et de fin de session), et seuls les jetons d'accès."""

_D_ACCES_PAR_LE_TYPE: Final = frozenset({"at+jwt", "application/at+jwt"})


class _Types(NamedTuple):
    """Les types qu'un jeton d'une nature peut dire avoir, en minuscules ; ne rien dire est admis."""

    entete: frozenset[str]
    """`typ` de l'en-tête (RFC 9068, Back-Channel Logout) ; `JWT` ne dit rien."""
    contenu: frozenset[str]
    """`typ` du contenu : Keycloak l'y met."""
    usage: frozenset[str]
    """`token_use` : Cognito."""


class NatureDeJeton(Enum):
    """Ce à quoi un jeton sert. Tout autre type (de rafraîchissement, hors ligne) ne sert à rien ici."""

    ACCES = _Types(_D_ACCES_PAR_LE_TYPE, frozenset({"bearer"}), frozenset({"access"}))
    IDENTITE = _Types(frozenset[str](), frozenset({"id"}), frozenset({"id"}))
    FIN = _Types(frozenset({"logout+jwt", "application/logout+jwt"}), frozenset({"logout"}), frozenset[str]())


def decoder(jeton: str, cle: Any, algorithmes: list[str], audience: str, emetteur: str) -> dict[str, Any]:
    """Le contenu d'un jeton vérifié, dont les instants sont des nombres ; lève JetonInvalide."""
    try:
        # Une clé répétée dirait deux choses, l'une à qui a signé, l'autre à nous : aucune n'est choisie.
        for partie in jeton.split(".")[:2]:
            json.loads(
                base64url_decode(partie), object_pairs_hook=sans_repetition, parse_constant=_refuser_la_constante
            )
        contenu: dict[str, Any] = jwt.decode(
            jeton,
            cle,
            algorithms=algorithmes,
            audience=audience,
            issuer=emetteur,
            leeway=TOLERANCE_D_HORLOGE,
            options={"require": ["exp", "aud", "iss"]},
        )
    # Lu avant que rien ne soit vérifié ; un nombre trop grand n'est pas un entier pour tous (OverflowError).
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as erreur:
        raise JetonInvalide from erreur
    if not all(_est_un_instant(contenu[nom]) for nom in INSTANTS if nom in contenu):
        raise JetonInvalide
    return contenu


def est_d_acces(jeton: str, *, exige: bool) -> bool:
    """Dit si un jeton vérifié est d'accès : un jeton d'identité prouve qui s'est connecté, il n'ouvre aucun appel.

    RFC 9068 le dit par son type. D'autres émetteurs ne le disent pas : un jeton est alors d'accès s'il ne porte rien
    d'un jeton d'identité ; avec `exige`, s'il porte ce qu'un tel jeton n'a pas (une portée, un client).
    """
    contenu: dict[str, Any] = jwt.decode(jeton, options={"verify_signature": False})
    if not _a_le_type(jeton, contenu, NatureDeJeton.ACCES):
        return False
    if _type_d_entete(jeton) in _D_ACCES_PAR_LE_TYPE:
        return True
    if not D_IDENTITE.isdisjoint(contenu):
        return False
    return not exige or not D_ACCES.isdisjoint(contenu) or "typ" in contenu or "token_use" in contenu


def exiger_le_type(jeton: str, contenu: Mapping[str, Any], nature: NatureDeJeton) -> None:
    """Lève JetonInvalide si un jeton vérifié dit servir à autre chose."""
    if not _a_le_type(jeton, contenu, nature):
        raise JetonInvalide


def _a_le_type(jeton: str, contenu: Mapping[str, Any], nature: NatureDeJeton) -> bool:
    admis = nature.value
    return (
        _type_d_entete(jeton) in admis.entete | {"", "jwt"}
        and _dit(contenu.get("typ")) in admis.contenu | {""}
        and _dit(contenu.get("token_use")) in admis.usage | {""}
    )


def _type_d_entete(jeton: str) -> str | None:
    return _dit(jwt.get_unverified_header(jeton).get("typ"))


def _dit(valeur: object) -> str | None:
    """Le type, en minuscules ; vide s'il n'est pas dit, None si ce n'est pas un texte."""
    if valeur is None:
        return ""
    return valeur.lower() if isinstance(valeur, str) else None


def _est_un_instant(dit: object) -> bool:
    return isinstance(dit, int | float) and not isinstance(dit, bool) and 0 <= dit < INSTANT_MAX


def _refuser_la_constante(nom: str) -> None:
    """`NaN` et `Infinity` ne sont pas du JSON."""
    raise ValueError(nom)
