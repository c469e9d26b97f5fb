"""Signed notes (C2SP signed-note, tlog-cosignature): a text, and who signed it.

Base64 is taken in its canonical form only: a signature has one spelling, so that no other byte of a note may change.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SIGNATURES_MAX: Final = 64
"""More signature lines than this are refused."""

NOTE_MAX: Final = 65_536
"""Longest note that is read, in bytes."""

_DASH: Final = "\u2014 "
_KEY_ID: Final = 4
_PUBLIC_KEY: Final = 32
_SIGNATURE: Final = 64
_TIMESTAMP: Final = 8


class NoteRefused(ValueError):
    """A note that is not one, or that nobody trusted has signed; says which."""


class KeyType(IntEnum):
    """What a key signs: a note, or that it saw a checkpoint at a time."""

    NOTE = 1
    COSIGNATURE = 4


class Cosignature(NamedTuple):
    """A witness's name, and when it says that it saw the checkpoint (seconds since 1970)."""

    witness: str
    timestamp: int


@dataclass(frozen=True)
class Verifier:
    """A key by which signatures are recognised."""

    name: str
    type: KeyType
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> "Verifier":
        """Read `name+id+base64`. Raises NoteRefused."""
        name, _, rest = vkey.strip().partition("+")
        identifier, _, encoded = rest.partition("+")
        raw = decode(encoded)
        if not _named(name) or len(raw) != 1 + _PUBLIC_KEY or raw[0] not in list(KeyType):
            raise NoteRefused(f"not a verifier key: {vkey!r}")
        verifier = cls(name, KeyType(raw[0]), raw[1:])
        if verifier.id.hex() != identifier:
            raise NoteRefused(f"the key's id is {verifier.id.hex()}, not {identifier!r}")
        return verifier

    @property
    def id(self) -> bytes:
        """The first four bytes of the hash of its name, type and key."""
        return sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public).digest()[:_KEY_ID]

    def __str__(self) -> str:
        """The key as `name+id+base64`."""
        return f"{self.name}+{self.id.hex()}+{encode(bytes([self.type]) + self.public)}"

    def accepts(self, text: str, signature: bytes) -> bool:
        """Whether this key made this signature over this text."""
        signed = text.encode()
        if self.type is KeyType.COSIGNATURE:
            if len(signature) != _TIMESTAMP + _SIGNATURE:
                return False
            timestamp, signature = int.from_bytes(signature[:_TIMESTAMP], "big"), signature[_TIMESTAMP:]
            signed = _cosigned(text, timestamp)
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, signed)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class Signer:
    """A private key under a name."""

    name: str
    type: KeyType
    private: Ed25519PrivateKey

    def __post_init__(self) -> None:
        """Refuse a name that a note cannot hold (ValueError)."""
        if not _named(self.name):
            raise ValueError(f"not a key's name: {self.name!r}")

    @property
    def verifier(self) -> Verifier:
        """What recognises its signatures."""
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return Verifier(self.name, self.type, raw)

    def line(self, text: str, timestamp: int = 0) -> str:
        """The signature line over a note's text; a cosignature says `timestamp` (seconds since 1970)."""
        if self.type is KeyType.COSIGNATURE:
            signature = timestamp.to_bytes(_TIMESTAMP, "big") + self.private.sign(_cosigned(text, timestamp))
        else:
            signature = self.private.sign(text.encode())
        return f"{_DASH}{self.name} {encode(self.verifier.id + signature)}\n"


class Note(NamedTuple):
    """A note that somebody trusted has signed."""

    text: str
    signers: frozenset[str]
    """The names of the trusted keys of type NOTE that signed it."""
    cosignatures: tuple[Cosignature, ...]


def write(text: str, lines: Sequence[str]) -> str:
    """A note of this text (which ends in a newline) and these signature lines."""
    return f"{text}\n{''.join(lines)}"


def split(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """The text of a note, and the name and bytes (key id, signature) of each signature. Raises NoteRefused."""
    if len(note.encode()) > NOTE_MAX:
        raise NoteRefused("the note is too long")
    if any(char < " " and char != "\n" for char in note):
        raise NoteRefused("the note holds a control character")
    cut = note.rfind("\n\n")
    if cut <= 0 or not note.endswith("\n"):
        raise NoteRefused("the note has no signature")
    lines = note[cut + 2 :].split("\n")[:-1]
    if not 0 < len(lines) <= SIGNATURES_MAX:
        raise NoteRefused("the note has no signature, or too many")
    signatures = []
    for line in lines:
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        raw = decode(encoded)
        if not line.startswith(_DASH) or not _named(name) or len(raw) <= _KEY_ID:
            raise NoteRefused(f"not a signature line: {line!r}")
        signatures.append((name, raw))
    return note[: cut + 1], signatures


def lines_of(note: str, known: Sequence[Verifier]) -> list[str]:
    """The signature lines of a note that name one of these keys; they are not verified. Raises NoteRefused."""
    _, signatures = split(note)
    keys = {(verifier.name, verifier.id) for verifier in known}
    lines = note[note.rfind("\n\n") + 2 :].splitlines(keepends=True)
    return [line for line, (name, raw) in zip(lines, signatures, strict=True) if (name, raw[:_KEY_ID]) in keys]


def read(note: str, trusted: Sequence[Verifier]) -> Note:
    """Open a note. Raises NoteRefused if it is none, if a trusted key's signature is false, or if none is there."""
    text, signatures = split(note)
    keys = {(verifier.name, verifier.id): verifier for verifier in trusted}
    signers, cosignatures = set(), []
    for name, raw in signatures:
        verifier = keys.get((name, raw[:_KEY_ID]))
        if verifier is None:
            continue
        if not verifier.accepts(text, raw[_KEY_ID:]):
            raise NoteRefused(f"the signature of {name} is false")
        if verifier.type is KeyType.COSIGNATURE:
            cosignatures.append(Cosignature(name, int.from_bytes(raw[_KEY_ID : _KEY_ID + _TIMESTAMP], "big")))
        else:
            signers.add(name)
    if not signers and not cosignatures:
        raise NoteRefused("nobody trusted has signed the note")
    return Note(text, frozenset(signers), tuple(cosignatures))


def encode(raw: bytes) -> str:
    """Standard base64."""
    return base64.b64encode(raw).decode()


def decode(text: str) -> bytes:
    """Standard base64, in its canonical form only. Raises NoteRefused."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteRefused(f"not base64: {text!r}") from None
    if encode(raw) != text:
        raise NoteRefused(f"base64 that is not canonical: {text!r}")
    return raw


def _cosigned(text: str, timestamp: int) -> bytes:
    return f"cosignature/v1\ntime {timestamp}\n{text}".encode()


def _named(name: str) -> bool:
    return bool(name) and "+" not in name and not any(char.isspace() for char in name)
