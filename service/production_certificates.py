"""Certificates that open nothing: what a file of a setting holds, seen before any server is asked."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from psycopg.conninfo import conninfo_to_dict

from service.files import unreadable
from service.settings import Settings

SOON: Final = timedelta(days=30)
"""How long before its end a certificate, or a key, is told of."""

_SWAPPED: Final = "porte une clé privée et aucun certificat : les deux fichiers sont-ils intervertis ?"


class _KeyEncrypted(Exception):
    """A private key asks for a password: nobody sits in front of the service."""


def unfit_certificates(settings: Settings) -> Iterator[tuple[str, str]]:
    """Each setting whose file cannot serve, and why."""
    for name, path in _authorities(settings):
        yield from ((name, cause) for cause in _unfit_authorities(path))
    certificate, key = settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile
    if certificate is not None and key is not None:
        yield from _unfit_pair(certificate, key)


def ending_certificates(settings: Settings) -> Iterator[tuple[str, str]]:
    """Those that end soon: a doubt, as long as they serve."""
    path = settings.kafka_ssl_certfile
    if path is not None and isinstance(found := _certificates(path), list):
        left = found[0].not_valid_after_utc - datetime.now(UTC)
        if timedelta(0) <= left < SOON:
            yield "kafka_ssl_certfile", f"expire dans {left.days} j : demandez le suivant."


def _authorities(settings: Settings) -> Iterator[tuple[str, Path]]:
    for name in ("kafka_ssl_cafile", "tsa_roots"):
        path: Path | None = getattr(settings, name)
        if path is not None:
            yield name, path
    for name in ("database_url", "owner_database_url"):
        url: str | None = getattr(settings, name)
        roots = conninfo_to_dict(url).get("sslrootcert") if url else None
        if roots and roots != "system":
            yield name, Path(str(roots))


def _unfit_authorities(path: Path) -> Iterator[str]:
    found = _certificates(path)
    if isinstance(found, str):
        yield found
    elif all(one.not_valid_after_utc < datetime.now(UTC) for one in found):
        yield f"« {path.name} » ne porte que des certificats expirés."


def _unfit_pair(certificate: Path, key: Path) -> Iterator[tuple[str, str]]:
    """A certificate and its key are told apart, then tried together as a connection would."""
    found = _certificates(certificate)
    if isinstance(found, str):
        yield "kafka_ssl_certfile", found
    elif found[0].not_valid_after_utc < datetime.now(UTC):
        yield "kafka_ssl_certfile", f"a expiré le {found[0].not_valid_after_utc:%d/%m/%Y}."
    try:
        held = key.read_bytes()
    except OSError as cause:
        yield "kafka_ssl_keyfile", unreadable(key, cause)
        return
    if b"PRIVATE KEY-----" not in held:
        yield "kafka_ssl_keyfile", "ne porte aucune clé privée (PEM)."
    elif not isinstance(found, str):
        yield from _unfit_together(certificate, key)


def _unfit_together(certificate: Path, key: Path) -> Iterator[tuple[str, str]]:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, _no_password)
    except _KeyEncrypted:
        yield "kafka_ssl_keyfile", "est chiffrée, et personne n'est là pour donner son mot de passe : ôtez-le."
    except ssl.SSLError as cause:
        together = cause.reason == "KEY_VALUES_MISMATCH"
        yield "kafka_ssl_keyfile", "n'est pas celle de KAFKA_SSL_CERTFILE." if together else "ne se lit pas."


def _certificates(path: Path) -> list[x509.Certificate] | str:
    """The certificates of a PEM file, at least one; or why there are none."""
    try:
        held = path.read_bytes()
    except OSError as cause:
        return unreadable(path, cause)
    try:
        return x509.load_pem_x509_certificates(held)
    except ValueError:
        return _SWAPPED if b"PRIVATE KEY-----" in held else f"« {path.name} » ne porte aucun certificat (PEM)."


def _no_password() -> str:
    raise _KeyEncrypted
