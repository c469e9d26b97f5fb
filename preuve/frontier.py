"""The right edge of a tree: all that is needed for it to grow, a hash for each of its perfect subtrees."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from preuve.merkle import EMPTY_ROOT, HASH_SIZE, node_hash
from preuve.tiles import TILE_HEIGHT


class Node(NamedTuple):
    """The hash of a subtree as high as one or more tiles."""

    level: int
    """1: over 256 leaves; 2: over 65,536."""
    number: int
    hash: bytes


@dataclass(frozen=True)
class Frontier:
    """The perfect subtrees of a tree of `size` leaves, the largest first."""

    size: int
    hashes: tuple[bytes, ...]

    @classmethod
    def parse(cls, size: int, peaks: bytes) -> "Frontier":
        """Read what `peaks` gives. Raises ValueError if it is not that of a tree of this size."""
        hashes = tuple(peaks[at : at + HASH_SIZE] for at in range(0, len(peaks), HASH_SIZE))
        if len(peaks) != HASH_SIZE * size.bit_count():
            raise ValueError(f"{len(hashes)} subtrees are not a tree of {size} leaves")
        return cls(size, hashes)

    @property
    def peaks(self) -> bytes:
        """The hashes one after the other."""
        return b"".join(self.hashes)

    @property
    def root(self) -> bytes:
        """The root of the tree."""
        if not self.hashes:
            return EMPTY_ROOT
        computed = self.hashes[-1]
        for peak in reversed(self.hashes[:-1]):
            computed = node_hash(peak, computed)
        return computed

    def append(self, leaves: Sequence[bytes]) -> tuple["Frontier", list[Node]]:
        """The tree with these leaves' hashes added, and the nodes of whole tiles that it made.

        Level by level: each new hash is paired with its left sibling, which is the tree's or another new one.
        """
        waiting = dict(zip(_bits(self.size), self.hashes, strict=True))  # A left sibling by its height.
        made, height, nodes = list(leaves), 0, list[Node]()
        while made:
            before = self.size >> height
            if height and height % TILE_HEIGHT == 0:
                nodes += (Node(height // TILE_HEIGHT, before + rank, each) for rank, each in enumerate(made))
            if before & 1:
                made.insert(0, waiting.pop(height))
            if len(made) & 1:
                waiting[height] = made.pop()
            pairing = iter(made)
            made = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairing, pairing, strict=True)]
            height += 1
        hashes = (waiting[height] for height in sorted(waiting, reverse=True))
        return Frontier(self.size + len(leaves), tuple(hashes)), nodes


def _bits(size: int) -> list[int]:
    """The heights of the perfect subtrees of a tree of this size, the largest first."""
    return [height for height in range(size.bit_length() - 1, -1, -1) if size >> height & 1]
