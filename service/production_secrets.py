"""Secrets that are none: easily guessed, or one for two purposes, so that who is told the one knows the other."""

from collections.abc import Iterator
from typing import Final

from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from service.settings import PREFIX, Settings

DIFFERENT_MIN: Final = 8
"""Different characters in a secret, at least: what `openssl rand` draws, or a bank gives, has more."""

OURS: Final = (
    "session_secret",
    "session_previous_secret",
    "pseudonym_secret",
    "pseudonym_previous_secret",
    "preuve_key",
    "preuve_salt",
    "jwt_secret",
)
"""Drawn by whoever installs; the others are given by a bank, an issuer, a server."""

OF_OTHERS: Final = ("kafka_sasl_password", "smtp_password", "oidc_client_secret")
OF_MERCHANTS: Final = (
    "kiosque_secret_key",
    "kiosque_previous_secret_key",
    "kiosque_merchants",
    "kiosque_retired_merchants",
)
DRAWN: Final = (*OURS, *OF_MERCHANTS, "kafka_sasl_password", "oidc_client_secret")
"""Never chosen by a person, whoever gives them: one of few characters was."""

_DRAW: Final = "tirez-le au hasard (openssl rand -hex 32)"
_ASK: Final = "demandez-en un autre à qui le donne, tiré au hasard"

DATABASES: Final = ("database_url", "owner_database_url")
MERCHANTS: Final = "kiosque_secret_key"

_COMMON: Final = frozenset(
    {"admin", "azerty", "changeit", "changeme", "creances", "demo", "example", "guest", "kafka", "motdepasse"}
    | {"pass", "passe", "password", "postgres", "qwerty", "root", "secret", "test"}
)
"""What is tried first, whatever digits follow."""


def unfit_secrets(settings: Settings) -> Iterator[tuple[str, str]]:
    """Each setting whose secret is guessed, or serves elsewhere too, and why; no secret is quoted."""
    seen: dict[str, str] = {}
    for name, purpose, given in _secrets(settings):
        secret = given.strip()
        if secret and secret != given:
            yield name, "commence ou finit par un blanc, qui serait du secret : ôtez-le."
        if name in DRAWN and (len(set(secret)) < DIFFERENT_MIN or _repeats(secret)):
            yield name, f"se devine : {_DRAW if name in OURS else _ASK}."
        elif secret.lower().rstrip("0123456789!.-_") in _COMMON:
            yield name, "est de ceux que l'on essaie d'abord : tirez-le au hasard."
        other = seen.setdefault(secret, purpose)
        if other != purpose:
            yield name, f"est aussi {PREFIX}{other.upper()} : un secret ne sert qu'à une chose."


def _secrets(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Setting, purpose, value. A merchant's key may serve several caisses: it is one purpose."""
    for name in (*OURS, *OF_OTHERS):
        secret: SecretStr | None = getattr(settings, name)
        if secret is not None:
            yield name, name, secret.get_secret_value()
    yield from ((name, MERCHANTS, key) for name, key in _merchant_keys(settings))
    for name in DATABASES:
        url: str | None = getattr(settings, name)
        password = conninfo_to_dict(url).get("password") if url else None
        # The owner's URL may be the service's.
        if password:
            yield name, "database_url", str(password)


def _merchant_keys(settings: Settings) -> Iterator[tuple[str, str]]:
    common = settings.merchant("")
    others = [("kiosque_merchants", merchant) for merchant in settings.kiosque_merchants.values()]
    others += [("kiosque_retired_merchants", merchant) for merchant in settings.kiosque_retired_merchants]
    for name, key in (
        ("kiosque_secret_key", common.secret_key),
        ("kiosque_previous_secret_key", common.previous_secret_key),
        *((name, key) for name, merchant in others for key in (merchant.secret_key, merchant.previous_secret_key)),
    ):
        if key is not None and key.get_secret_value().strip():  # `production` tells of an empty one.
            yield name, key.get_secret_value()


def _repeats(secret: str) -> bool:
    """Tell whether the secret is a shorter one, written again and again."""
    return secret in (secret + secret)[1:-1]
