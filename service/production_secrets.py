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
DRAWN: Final = (*OURS, "kiosque_secret_key", "kafka_sasl_password", "oidc_client_secret")
"""Never chosen by a person, whoever gives them: one of few characters was."""

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
    for name, purpose, secret in _secrets(settings):
        if name in DRAWN and (len(set(secret)) < DIFFERENT_MIN or _repeats(secret)):
            yield name, "se devine : tirez-le au hasard (openssl rand -hex 32)."
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
            yield name, name, secret.get_secret_value().strip()
    yield from (("kiosque_secret_key", MERCHANTS, key) for key in _merchant_keys(settings))
    for name in DATABASES:
        url: str | None = getattr(settings, name)
        password = conninfo_to_dict(url).get("password") if url else None
        # The owner's URL may be the service's.
        if password:
            yield name, "database_url", str(password)


def _merchant_keys(settings: Settings) -> Iterator[str]:
    for merchant in (
        settings.merchant(""),
        *settings.kiosque_merchants.values(),
        *settings.kiosque_retired_merchants,
    ):
        for key in (merchant.secret_key, merchant.previous_secret_key):
            if key is not None and key.get_secret_value().strip():  # `production` tells of an empty one.
                yield key.get_secret_value().strip()


def _repeats(secret: str) -> bool:
    """Tell whether the secret is a shorter one, written again and again."""
    return secret in (secret + secret)[1:-1]
