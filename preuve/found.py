"""What hashing again finds: leaves and rows side by side, and each difference named."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from preuve import leaves
from preuve.rows import Row, leaf_hashes

TOLD_MAX: Final = 1_000
"""Differences that are told; beyond, they are only counted."""


class Fault(StrEnum):
    """What is wrong."""

    CHANGED = "altérée ou ajoutée"
    """A row whose leaf was never sealed."""
    MISSING = "disparue ou altérée"
    """A leaf that no row has."""
    MOVED = "rangée autrement"
    """The same rows in another order."""
    TREE = "arbre"
    """The seals do not make the tree that they say."""
    SHAPE = "table"
    """A table of truth is not there, or has a column that no leaf holds: its rows cannot be read as sealed."""
    SIGNATURE = "signature"
    """A signed state is not the tree's, or is signed by nobody we know."""


class Difference(NamedTuple):
    """One thing that disagrees."""

    fault: Fault
    where: str


@dataclass
class Rehashed:
    """What was found."""

    epoch: str
    leaves: int = 0
    """Leaves that were compared."""
    unsealed: int = 0
    """Rows that no seal covers yet."""
    differences: list[Difference] = field(default_factory=list)
    """The first TOLD_MAX of them."""
    count: int = 0
    """How many differences there are."""

    def tell(self, fault: Fault, where: str) -> None:
        """Keep a difference."""
        self.count += 1
        if len(self.differences) < TOLD_MAX:
            self.differences.append(Difference(fault, where))

    def add(self, part: "Rehashed") -> None:
        """Take up what was found of a part, which comes after what is here."""
        self.leaves += part.leaves
        self.count += part.count
        self.differences += part.differences[: TOLD_MAX - len(self.differences)]


class Comparison:
    """Leaves and rows that should be the same; what is in excess on one side may still come on the other."""

    def __init__(self, secret: bytes, found: Rehashed) -> None:
        """`secret`: what salts are drawn from; `found`: what is told, and the number of the leaf to begin with."""
        self._secret, self._found = secret, found
        self._first = found.leaves
        self._rows: dict[bytes, list[str]] = {}
        self._leaves: dict[bytes, list[int]] = {}
        self._moved = False

    def add(self, sealed: Sequence[bytes], rows: Sequence[Row]) -> None:
        """Put these side by side."""
        number = self._found.leaves
        self._found.leaves += len(sealed)
        hashes = leaf_hashes(rows, self._secret)
        if hashes == sealed and not self._rows and not self._leaves:
            return
        self._moved = True
        for place, leaf in enumerate(sealed):
            if not _cancel(self._rows, leaf):
                self._leaves.setdefault(leaf, []).append(number + place)
        for made, row in zip(hashes, rows, strict=True):
            if not _cancel(self._leaves, made):
                self._rows.setdefault(made, []).append(leaves.named(row.canonical))

    def close(self) -> None:
        """Tell what was found on one side only."""
        for rows in self._rows.values():
            for row in rows:
                self._found.tell(Fault.CHANGED, row)
        for numbers in self._leaves.values():
            for number in numbers:
                self._found.tell(Fault.MISSING, f"feuille {number}")
        if self._moved and not self._rows and not self._leaves:
            self._found.tell(Fault.MOVED, f"feuilles {self._first} à {self._found.leaves - 1}")


def _cancel(others: dict[bytes, list[Any]], leaf: bytes) -> bool:
    if leaf not in others:
        return False
    others[leaf].pop(0)
    if not others[leaf]:
        del others[leaf]
    return True
