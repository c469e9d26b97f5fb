"""RFC 3161: an authority of others says when a digest existed. What it answers is verified before it is kept."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import httpx
from cryptography.exceptions import InvalidKey, InvalidSignature
from cryptography.x509 import Certificate, load_pem_x509_certificates
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from kiosque.echeance import client_borne
from service.files import unreadable

TIMEOUT_S: Final = 10.0
"""For the whole answer."""

RESPONSE_MAX_BYTES: Final = 64 * 1024
"""A token with its certificates is a few kilobytes."""


class NoTimestamp(Exception):
    """The authority is away, or what it answered proves nothing; the sentence says which."""


class Stamp(NamedTuple):
    """A verified answer of the authority."""

    at: datetime
    response: bytes
    """As received (TimeStampResp, DER): `openssl ts -verify -in` reads it."""


def roots_of(path: Path) -> list[Certificate]:
    """The authority's root certificates (PEM). Raises NoTimestamp."""
    try:
        return load_pem_x509_certificates(path.read_bytes())
    except OSError as cause:
        raise NoTimestamp(unreadable(path, cause)) from cause
    except ValueError as cause:
        raise NoTimestamp(f"{path} ne se lit pas comme des certificats (PEM).") from cause


def stamp(url: str, roots: Sequence[Certificate], sealed: bytes) -> Stamp:
    """Ask for the time of these bytes' SHA-256, and verify what comes. Raises NoTimestamp."""
    request = (
        TimestampRequestBuilder()
        .data(sealed)
        .hash_algorithm(HashAlgorithm.SHA256)
        .nonce(nonce=True)
        .cert_request(cert_request=True)
        .build()
    )
    answer = _ask(url, request.as_bytes())
    return Stamp(verify(answer, roots, sealed, nonce=request.nonce), answer)


def _ask(url: str, request: bytes) -> bytes:
    """Everything it answers, bounded in time and in bytes. Raises NoTimestamp."""
    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    answer = bytearray()
    try:
        with (
            client_borne(TIMEOUT_S) as client,
            client.stream("POST", url, content=request, headers=headers) as response,
        ):
            response.raise_for_status()
            for part in response.iter_bytes():
                answer += part
                if len(answer) > RESPONSE_MAX_BYTES:
                    raise NoTimestamp("L'autorité d'horodatage répond trop long.")
    except (httpx.HTTPError, httpx.InvalidURL) as cause:
        raise NoTimestamp(f"L'autorité d'horodatage ne répond pas : {type(cause).__name__}.") from cause
    return bytes(answer)


def verify(response: bytes, roots: Sequence[Certificate], sealed: bytes, *, nonce: int | None = None) -> datetime:
    """The time that this answer says of these bytes, if it was signed under these roots. Raises NoTimestamp."""
    try:
        read: TimeStampResponse = decode_timestamp_response(response)
        verifier = VerifierBuilder(roots=list(roots), nonce=nonce).build()
        verifier.verify(read, hashlib.sha256(sealed).digest())
        at = read.tst_info.gen_time
    except (VerificationError, InvalidSignature, InvalidKey, ValueError, TypeError) as cause:
        raise NoTimestamp(f"Ce jeton ne vaut rien : {str(cause) or type(cause).__name__}.") from cause
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
