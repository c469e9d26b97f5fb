"""The C2SP tlog-witness protocol: what is asked of a witness, and what it answers, in bytes both ways. Nothing else."""

from dataclasses import dataclass
from typing import Final

from preuve.checkpoints import is_size
from preuve.merkle import HASH_SIZE
from preuve.notes import NoteRefused, decode, encode

PATH: Final = "/add-checkpoint"
"""What is added to a witness's address."""

PROOF_MAX: Final = 63
"""A consistency proof has no more hashes."""

REQUEST_MAX: Final = 10_240
"""Longest request that witnesses take, in bytes."""

ANSWER_MAX: Final = 16_384
"""Longest answer that is read, in bytes."""

SIZE_TYPE: Final = "text/x.tlog.size"
"""The type of an answer 409: the size that the witness knows."""

_OLD: Final = "old "


@dataclass(frozen=True)
class Request:
    """Please cosign this note: here is how its tree continues that of `old` leaves."""

    old: int
    proof: tuple[bytes, ...]
    note: str

    @property
    def body(self) -> bytes:
        """What is posted."""
        proof = "".join(f"{encode(part)}\n" for part in self.proof)
        return f"{_OLD}{self.old}\n{proof}\n{self.note}".encode()

    @classmethod
    def parse(cls, body: bytes) -> "Request":
        """Read what was posted. Raises NoteRefused."""
        try:
            head, cut, note = body.decode().partition("\n\n")
        except UnicodeDecodeError:
            raise NoteRefused("not text") from None
        old, *proof = head.split("\n")
        size = old.removeprefix(_OLD)
        if not cut or size == old or not is_size(size) or len(proof) > PROOF_MAX:
            raise NoteRefused("not a request")
        hashes = tuple(decode(line) for line in proof)
        if any(len(part) != HASH_SIZE for part in hashes):
            raise NoteRefused("not a proof")
        return cls(int(size), hashes, note)


@dataclass(frozen=True)
class Cosigned:
    """200: signature lines, which nobody has verified yet."""

    lines: str


@dataclass(frozen=True)
class KnowsSize:
    """409: `old` is not what the witness cosigned last; this is."""

    size: int


@dataclass(frozen=True)
class Inconsistent:
    """422: the proof does not lead from what it cosigned to what it is shown."""


@dataclass(frozen=True)
class Stranger:
    """403, 404: it does not know this log, or not this key of it."""

    status: int


@dataclass(frozen=True)
class Unusable:
    """Anything else: no answer in time, none at all, or one that says nothing."""

    why: str


Answer = Cosigned | KnowsSize | Inconsistent | Stranger | Unusable


def read_answer(status: int, body: bytes) -> Answer:
    """What a witness's answer means; whatever it sent."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return Unusable(f"réponse {status} illisible")
    match status:
        case 200:
            return Cosigned(text)
        case 409 if is_size(size := text.removesuffix("\n")):
            return KnowsSize(int(size))
        case 422:
            return Inconsistent()
        case 403 | 404:
            return Stranger(status)
        case _:
            return Unusable(f"réponse {status} : {text[:200]!r}")
