"""What settings are made of: durations, ports, amounts, addresses, and which of them are secret."""

import json
import re
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from stat import S_ISDIR
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo
from pydantic_settings import NoDecode

from service.addresses import is_http_url, refuse_unreadable_database_url
from service.files import unreadable

PREFIX: Final = "CREANCES_"
SECRET: Final[JsonDict] = {"secret": True}
"""Marks a setting that may come from a file, and whose value is never shown."""

SECRET_BYTES: Final = 32
_UNITS: Final = {"ms": "milliseconds", "s": "seconds", "min": "minutes", "h": "hours", "j": "days"}


class Concern(BaseModel):
    """The settings of one concern: unchangeable once read."""

    model_config = ConfigDict(frozen=True)


def is_secret(field: FieldInfo) -> bool:
    """Tell whether a setting may come from a file, and what it holds is hidden."""
    return isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("secret") is True


def _read_duration(value: object) -> object:
    """Read `15 min` or a bare number of seconds; leave the rest to pydantic."""
    if isinstance(value, str) and (found := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|h|j)?\s*", value)):
        try:
            return timedelta(**{_UNITS[found[2] or "s"]: float(found[1])})
        except OverflowError:
            raise ValueError("est trop long") from None
    return value


def read_json(value: object) -> object:
    """Read JSON from a variable or a file; leave what is read already. Raises ValueError, which quotes none of it."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, object_pairs_hook=_without_repetition)
    except json.JSONDecodeError as cause:  # Its own text may quote a secret: the place is enough to find the fault.
        raise ValueError(f"ce n'est pas du JSON (ligne {cause.lineno}, colonne {cause.colno})") from None
    except RecursionError:
        raise ValueError("ce n'est pas du JSON") from None


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Of two merchants of one caisse, neither is chosen: a key said twice means two things."""
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("une clé y est donnée deux fois")
    return read


def _postgresql(value: str) -> str:
    refuse_unreadable_database_url(value)
    return value


def _host_and_port(value: str) -> str:
    if not re.fullmatch(r"[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*", value):
        raise ValueError("doit être hôte:port, séparés par des virgules")
    return value


def _http(value: str) -> str:
    if not is_http_url(value):
        if is_http_url(re.sub("//[^/?#]*@", "//", value)):
            raise ValueError("ne doit pas porter de compte ni de mot de passe (ce qui précède @)")
        raise ValueError("doit être une adresse http:// ou https://")
    return value.rstrip("/")


def _takes_a_path(value: str) -> str:
    if set(value) & set("?#"):
        raise ValueError("ne doit avoir ni requête (?) ni fragment (#) : des chemins s'y ajoutent")
    return value


def split(value: str | None) -> list[str]:
    """What a setting lists between commas."""
    return [part for part in map(str.strip, (value or "").split(",")) if part]


def _networks(value: str) -> str:
    for network in split(value):
        try:
            ip_network(network)
        except ValueError:
            raise ValueError("doit être des adresses ou des réseaux, séparés par des virgules") from None
    return value


def _is_there(value: Path) -> Path:
    try:
        if S_ISDIR(value.stat().st_mode):
            raise ValueError("est un dossier : un fichier est attendu")
    except OSError as cause:
        raise ValueError(unreadable(value, cause).rstrip(".")) from None
    return value


def _long_enough(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value().encode()) < SECRET_BYTES:
        raise ValueError(f"doit compter au moins {SECRET_BYTES} octets")
    return value


def _three_digits(value: str) -> str:
    if not re.fullmatch(r"[0-9]{3}", value):
        raise ValueError("doit être les trois chiffres d'une caisse")
    return value


JSON: Final = (NoDecode, BeforeValidator(read_json))
"""What a setting in JSON is read by: never pydantic-settings' own reader, which takes the last of two like keys."""

Duration = Annotated[timedelta, BeforeValidator(_read_duration), Field(gt=timedelta(0))]
Port = Annotated[int, Field(ge=0, le=65535)]
Cents = Annotated[int, Field(ge=0)]
DatabaseUrl = Annotated[str, AfterValidator(_postgresql)]
Brokers = Annotated[str, AfterValidator(_host_and_port)]
HttpUrl = Annotated[str, AfterValidator(_http)]
BaseUrl = Annotated[str, AfterValidator(_http), AfterValidator(_takes_a_path)]
"""An address to which paths are added: neither query nor fragment."""

Networks = Annotated[str, AfterValidator(_networks)]
Caisse = Annotated[str, AfterValidator(_three_digits)]
"""A key that is none would be found by nobody, and the caisse's payments would go to the common merchant."""

ExistingFile = Annotated[Path, AfterValidator(_is_there)]
LongSecret = Annotated[SecretStr, AfterValidator(_long_enough)]
