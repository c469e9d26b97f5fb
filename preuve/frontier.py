"""The right edge of a tree: all that is needed for it to grow, a hash for each of its perfect subtrees."""

from collections.abc import Sequence
from dataclasses import dataclass
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
        """The tree with these leaves' hashes added, and the nodes of whole tiles that it made."""
        stack, size, nodes = list(self.hashes), self.size, list[Node]()
        for leaf in leaves:
            computed, height, rest = leaf, 0, size
            while rest & 1:
                computed = node_hash(stack.pop(), computed)
                height, rest = height + 1, rest >> 1
                if height % TILE_HEIGHT == 0:
                    nodes.append(Node(height // TILE_HEIGHT, rest, computed))
            stack.append(computed)
            size += 1
        return Frontier(size, tuple(stack)), nodes
