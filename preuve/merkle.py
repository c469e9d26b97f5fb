"""The Merkle tree of RFC 6962, section 2.1: roots, inclusion and consistency, from the hashes of perfect subtrees.

Nothing here stores anything. A proof is asked of a `Subtrees`, which knows the hash of any perfect subtree that the
tree contains; verifying one needs nothing else than the proof. An inclusion's is verified by `verificateur`, which is
anybody's to take away.
"""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Final

HASH_SIZE: Final = 32
"""Length of a hash, in bytes."""

EMPTY_ROOT: Final = sha256(b"").digest()
"""The root of a tree without leaves."""

Subtrees = Callable[[int, int], bytes]
"""The hash of a perfect subtree, by its height (0: a leaf) and its index among those of its height."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf that holds these bytes."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node over its two children."""
    return sha256(b"\x01" + left + right).digest()


def root(size: int, subtrees: Subtrees) -> bytes:
    """The root of the tree of the first `size` leaves."""
    return _span(0, size, subtrees) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, subtrees: Subtrees) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root of the first `size` leaves, the leaf's sibling first.

    Raises ValueError if the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_span(middle, end, subtrees))
            end = middle
        else:
            proof.append(_span(start, middle, subtrees))
            start = middle
    proof.reverse()
    return proof


def consistency_proof(old: int, new: int, subtrees: Subtrees) -> list[bytes]:
    """The hashes that show that the first `old` leaves are the beginning of the first `new` (RFC 6962, 2.1.2).

    Empty if `old` is 0 or `new`. Raises ValueError if `old` is not between 0 and `new`.
    """
    if not 0 <= old <= new:
        raise ValueError(f"no tree of {old} begins one of {new}")
    if old in (0, new):
        return []
    proof: list[bytes] = []
    start, end, whole = 0, new, True
    # The part of the old tree that lies in [start, end) ends at `old`; `whole`: that part is the old tree itself.
    while old < end:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(_span(middle, end, subtrees))
            end = middle
        else:
            proof.append(_span(start, middle, subtrees))
            start, whole = middle, False
    if not whole:
        proof.append(_span(start, end, subtrees))
    proof.reverse()
    return proof


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether this proof shows that the tree of `old` leaves begins that of `new` (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= new or any(len(part) != HASH_SIZE for part in proof):
        return False
    if old in (0, new):
        return not proof and old_root == (new_root if old == new else EMPTY_ROOT)
    # A perfect old tree stands in the new one as it is, and the proof leaves it out.
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    node, last = old - 1, new - 1
    while node % 2:
        node, last = node >> 1, last >> 1
    sides = list(_sides(node, last))
    if len(path) != 1 + len(sides):
        return False
    of_old = of_new = path[0]
    for part, on_the_left in zip(path[1:], sides, strict=True):
        if on_the_left:
            of_old, of_new = node_hash(part, of_old), node_hash(part, of_new)
        else:
            of_new = node_hash(of_new, part)
    return of_old == old_root and of_new == new_root


def _sides(node: int, last: int) -> Iterator[bool]:
    """From a node up to the root, where `last` is the last node of its level: whether its sibling is on the left.

    A node that is alone at the right edge has no sibling there, and goes up as it is.
    """
    while last:
        if node % 2 or node != last:
            yield bool(node % 2)
        node, last = node >> 1, last >> 1


def _split(count: int) -> int:
    """The largest power of two below `count` (2 or more): where the tree of `count` leaves divides."""
    return 1 << (count - 1).bit_length() - 1


def _span(start: int, end: int, subtrees: Subtrees) -> bytes:
    """The hash over leaves [start, end), where `start` is a multiple of the power of two that holds the span."""
    count = end - start
    if count & (count - 1) == 0:
        height = count.bit_length() - 1
        return subtrees(height, start >> height)
    middle = start + _split(count)
    return node_hash(_span(start, middle, subtrees), _span(middle, end, subtrees))
