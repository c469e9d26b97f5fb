"""What is wrong with a setting, in a sentence: who installs reads it before anything else runs."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from domain.fautes import faute_dite
from service.settings.values import PREFIX

_DURATION: Final = "doit être une durée : 500 ms, 10 s, 15 min, 24 h ou 2 j"
_TIME: Final = "doit être une heure : 22:00"
_BOOLEAN: Final = "doit être true ou false"
_INTEGER: Final = "doit être un nombre entier"
_NUMBER: Final = "doit être un nombre"

_SENTENCES: Final[Mapping[str, str]] = {
    "missing": "manque",
    "extra_forbidden": "n'est pas un nom connu ici",
    "int_parsing": _INTEGER,
    "int_type": _INTEGER,
    "int_from_float": _INTEGER,
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "finite_number": _NUMBER,
    "bool_parsing": _BOOLEAN,
    "bool_type": _BOOLEAN,
    "time_delta_parsing": _DURATION,
    "time_delta_type": _DURATION,
    "time_parsing": _TIME,
    "time_type": _TIME,
    "date_from_datetime_inexact": "date illisible (AAAA-MM-JJ)",
    "dict_type": "doit être un objet JSON",
    "string_too_short": "est vide",
}

_LIMITS: Final[Mapping[str, tuple[str, str]]] = {
    "greater_than": ("gt", "doit dépasser"),
    "greater_than_equal": ("ge", "doit être d'au moins"),
    "less_than": ("lt", "doit être au-dessous de"),
    "less_than_equal": ("le", "doit être d'au plus"),
}

_UNITS: Final[Mapping[str, str]] = {"second": "s", "minute": "min", "hour": "h", "day": "j"}


def setting_faults(cause: ValidationError) -> list[tuple[str, str]]:
    """Each setting at fault and why; a value is never quoted: it may be a secret."""
    return [(_named(fault["loc"]), _sentence(fault)) for fault in cause.errors(include_url=False, include_input=False)]


def _named(where: Sequence[int | str]) -> str:
    """The variable, and the place in its JSON as it is written there."""
    if not where:
        return "Réglages"  # Several that do not fit together: the sentence names them.
    variable, *inside = map(str, where)
    return ".".join((f"{PREFIX}{variable.upper()}", *(name for name in inside if name != "[key]")))


def _sentence(fault: Mapping[str, Any]) -> str:
    kind, told = str(fault["type"]), fault.get("ctx", {})
    if kind in _LIMITS:
        name, sentence = _LIMITS[kind]
        return f"{sentence} {_told(told[name])}"
    if kind == "literal_error":
        return f"doit être {str(told['expected']).replace(' or ', ' ou ')}"
    if kind == "string_pattern_mismatch":
        return f"n'a pas la forme attendue : {told['pattern']}"
    if not fault["loc"]:
        return re.sub(r"\b[A-Z]+(_[A-Z]+)+\b", rf"{PREFIX}\g<0>", faute_dite(fault))
    return _SENTENCES.get(kind) or faute_dite(fault)


def _told(limit: object) -> str:
    """A limit; of a duration pydantic gives English words."""
    return re.sub(r"(?<=\d )[a-z]+", lambda word: _UNITS.get(word[0].rstrip("s"), word[0]), str(limit))
