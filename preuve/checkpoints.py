"""Checkpoints (C2SP tlog-checkpoint): which log, how many leaves, which root."""

from dataclasses import dataclass

from preuve.merkle import HASH_SIZE
from preuve.notes import NoteRefused, decode, encode


@dataclass(frozen=True)
class Checkpoint:
    """The state of a log: its origin, how many leaves it has, and their root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{encode(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read the text of a note. Extension lines are refused: nobody checks them. Raises NoteRefused."""
        lines = text.split("\n")
        match lines:
            case [origin, size, root, ""] if origin and is_size(size):
                checkpoint = cls(origin, int(size), decode(root))
                if len(checkpoint.root) == HASH_SIZE:
                    return checkpoint
            case _:
                pass
        raise NoteRefused(f"not a checkpoint: {text!r}")


def is_size(text: str) -> bool:
    """A number below 2^63, with one spelling."""
    return text.isascii() and text.isdigit() and len(text) <= 19 and str(int(text)) == text and int(text) < 1 << 63  # noqa: PLR2004
