"""Addresses among the settings: read so strictly that no part of a password can be taken for another part and shown."""

import re
from typing import Final
from urllib.parse import unquote_plus, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

# What is none of a URL's own marks, or is percent-encoded.
_PLAIN: Final = r"(?:[^\s:/?#\[\]@%]|%[0-9A-Fa-f]{2})*"
_DATABASE_URL: Final = re.compile(
    rf"postgres(?:ql)?://(?:{_PLAIN}(?::{_PLAIN})?@)?[^\s@/?#]*(?:/{_PLAIN})?(?:\?[^\s#@]*)?", re.ASCII
)
_PARAMETERS: Final = re.compile(r"(?<=\S)\?[^\s?\"'<>]*=[^\s?\"'<>]*")
_SECRET_WORDS: Final = ("passw", "pwd", "secret", "token", "key", "sig", "auth", "credential")
"""What the name of a parameter says when its value opens something."""


def refuse_unreadable_database_url(url: str) -> None:
    """Raise ValueError, quoting none of it, unless libpq would read the URL as it was meant.

    libpq's own messages quote what they cannot read: a password with a `/` becomes a port, one with an `@` a host.
    """
    if not re.match(r"postgres(ql)?://", url):
        raise ValueError("doit commencer par postgresql://")
    sentence = "est illisible ; dans le mot de passe, écrivez %25 pour %, %40 pour @, %2F pour /, %3A pour :"
    if not _DATABASE_URL.fullmatch(url):
        raise ValueError(sentence)
    try:
        known = conninfo_to_dict(url)
    except (psycopg.Error, ValueError):
        raise ValueError(sentence) from None
    if not all(port.isdigit() for port in str(known.get("port") or 0).split(",") if port):
        raise ValueError(sentence)


def is_http_url(url: str) -> bool:
    """Tell whether this is an `http` or `https` address with a host and without a user."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc and port != 0


def without_password(url: str) -> str:
    """Hide a password, whether it stands before the host or among the parameters."""
    address, mark, parameters = url.partition("?")
    address = re.sub(r"(?<=://)([^:/@]*):.*@", r"\1:***@", address)
    return address + mark + "&".join(map(_parameter, parameters.split("&")))


def without_secret_parameters(text: str) -> str:
    """Any text, without what the addresses in it say behind their `?`."""
    return _PARAMETERS.sub(lambda found: "?" + "&".join(map(_parameter, found[0][1:].split("&"))), text)


def _parameter(text: str) -> str:
    name, mark, _ = text.partition("=")
    return f"{name}{mark}***" if any(word in unquote_plus(name).lower() for word in _SECRET_WORDS) else text
