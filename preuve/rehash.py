"""Hashing all of it again: is every row still what was sealed, and is the tree still the one that was signed.

What disagrees is named to the row where the row is still there, else by the number of its leaf. One difference costs
the windows around it nothing: the rows of a window are known by their transactions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain, islice
from typing import Any, Final, NamedTuple

from psycopg import Connection, DataError, IsolationLevel

from preuve import leaves
from preuve.checkpoints import Checkpoint
from preuve.frontier import Frontier
from preuve.merkle import HASH_SIZE, leaf_hash
from preuve.notes import KeyType, NoteRefused, Verifier, read
from preuve.rows import GENERATION_BITS, Row, written_before, written_in
from preuve.seal import log_name

READ_AT_ONCE: Final = 20_000
"""Rows that are compared at once, about."""

_SEALS_FETCHED: Final = 200
_EVER: Final = (1 << 63) - 1

TOLD_MAX: Final = 1_000
"""Differences that are told; beyond, they are only counted."""

_EPOCH: Final = "SELECT max(nom), count(*) FROM journal.epoques"

# Sealed, and yet of no epoch that the log knows.
_GONE: Final = """
SELECT epoque, count(*) FROM journal.sceaux WHERE epoque NOT IN (SELECT nom FROM journal.epoques) GROUP BY epoque
"""

_SEALS: Final = """
SELECT taille, avant, empreintes, pics, depuis, jusqu_a FROM journal.sceaux
WHERE epoque = %b AND (depuis < 0) = %b ORDER BY taille
"""

_NODES: Final = "SELECT niveau, numero, empreinte FROM journal.noeuds WHERE epoque = %b ORDER BY niveau, numero"

_POINTS: Final = "SELECT taille, note FROM journal.points WHERE epoque = %b ORDER BY taille"


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


class _Seal(NamedTuple):
    size: int
    before: int
    hashes: bytes
    peaks: bytes
    since: int
    until: int


def rehash(conn: Connection[Any], origin: str, secret: bytes, keys: Sequence[bytes]) -> Rehashed:
    """Compare the whole log with its tree, in one snapshot. `conn` is in autocommit, outside any transaction.

    `keys`: the public keys by which the log `origin` has ever signed.
    """
    conn.isolation_level = IsolationLevel.REPEATABLE_READ
    with conn.transaction():
        return rehash_here(conn, origin, secret, keys)


def rehash_here(conn: Connection[Any], origin: str, secret: bytes, keys: Sequence[bytes]) -> Rehashed:
    """The same in the caller's transaction, and so with what it has written itself."""
    leaves.read_canonically(conn)
    try:
        return _compare(conn, origin, secret, keys)
    except DataError:  # A row that no reading of ours gives: read again so that it is only another row, and is named.
        leaves.read_the_unreadable(conn)
        return _compare(conn, origin, secret, keys)


def _compare(conn: Connection[Any], origin: str, secret: bytes, keys: Sequence[bytes]) -> Rehashed:
    epoch, generation = conn.execute(_EPOCH).fetchone() or ("", 0)
    found = Rehashed(epoch or "")
    for gone, seals in conn.execute(_GONE):
        found.tell(Fault.MISSING, f"l'époque {gone}, dont il reste {seals} sceaux")
    states = _tree(conn, epoch, found)
    name = log_name(origin, epoch)
    known = [Verifier(name, KeyType.NOTE, public) for public in keys]
    _signatures(conn, epoch, known, states, found)
    floor = generation << GENERATION_BITS
    reached = _compare_former(conn, epoch, floor, secret, found)
    reached = _compare_windows(conn, epoch, reached, secret, found)
    found.unsealed = sum(1 for _ in written_in(conn, reached, _EVER))
    return found


def _tree(conn: Connection[Any], epoch: str, found: Rehashed) -> dict[int, bytes]:
    """Grow the tree again from the sealed leaves; return its root after each window: one batch seals and signs it."""
    frontier, roots = Frontier(0, ()), dict[int, bytes]()
    window = (-1, -1)
    kept = {(level, number): bytes(made) for level, number, made in conn.execute(_NODES, (epoch,), binary=True)}
    for seal in chain(_seals(conn, epoch, former=True), _seals(conn, epoch, former=False)):
        if seal.before != frontier.size:
            found.tell(Fault.TREE, f"il manque les feuilles de {frontier.size} à {seal.before}")
            return roots
        frontier, nodes = frontier.append(_split(seal.hashes))
        if seal.peaks != frontier.peaks:
            found.tell(Fault.TREE, f"les sous-arbres dits à {seal.size} feuilles ne sont pas les siens")
        for node in nodes:
            if kept.pop((node.level, node.number), None) != node.hash:
                found.tell(Fault.TREE, f"nœud {node.number} du niveau {node.level}")
        if (seal.since, seal.until) == window:
            del roots[seal.before]
        window = (seal.since, seal.until)
        roots[seal.size] = frontier.root
    for level, number in kept:
        found.tell(Fault.TREE, f"nœud {number} du niveau {level}, de trop")
    return roots


def _signatures(
    conn: Connection[Any], epoch: str, keys: Sequence[Verifier], roots: dict[int, bytes], found: Rehashed
) -> None:
    signed = set()
    for size, note in conn.execute(_POINTS, (epoch,)):
        signed.add(size)
        try:
            state = Checkpoint.parse(read(note, keys).text)
        except NoteRefused as refusal:
            found.tell(Fault.SIGNATURE, f"point de {size} feuilles : {refusal}")
            continue
        if state != Checkpoint(keys[0].name, size, roots.get(size, b"")):
            found.tell(Fault.SIGNATURE, f"le point de {size} feuilles n'est pas l'état de l'arbre")
    for size in roots.keys() - signed - {max(roots, default=0)}:  # The last one may be about to be signed.
        found.tell(Fault.SIGNATURE, f"l'arbre de {size} feuilles n'est pas signé")


class _Comparison:
    """Leaves and rows that should be the same; what is in excess on one side may still come on the other."""

    def __init__(self, secret: bytes, found: Rehashed) -> None:
        self._secret, self._found = secret, found
        self._first = found.leaves
        self._rows: dict[bytes, list[str]] = {}
        self._leaves: dict[bytes, list[int]] = {}
        self._moved = False

    def add(self, sealed: Sequence[bytes], rows: Sequence[Row]) -> None:
        """Put these side by side."""
        number = self._found.leaves
        self._found.leaves += len(sealed)
        hashes = [leaf_hash(row.entry(self._secret)) for row in rows]
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


def _compare_former(conn: Connection[Any], epoch: str, floor: int, secret: bytes, found: Rehashed) -> int:
    """Compare what former generations wrote, sealed in one go; return up to where."""
    comparison = _Comparison(secret, found)
    rows = written_before(conn, floor)
    for seal in _seals(conn, epoch, former=True):
        sealed = _split(seal.hashes)
        comparison.add(sealed, list(islice(rows, len(sealed))))
    while rest := list(islice(rows, READ_AT_ONCE)):
        comparison.add([], rest)
    comparison.close()
    return floor


def _compare_windows(conn: Connection[Any], epoch: str, reached: int, secret: bytes, found: Rehashed) -> int:
    """Compare window after window, one reading for many; return up to where they were sealed."""
    pending: list[_Seal] = []
    for seal in _seals(conn, epoch, former=False):
        # Never between two seals of one window.
        if pending and pending[-1].until != seal.until and seal.before - pending[0].before >= READ_AT_ONCE:
            reached = _compare_some(conn, reached, pending, _Comparison(secret, found))
            pending = []
        pending.append(seal)
    return _compare_some(conn, reached, pending, _Comparison(secret, found)) if pending else reached


def _compare_some(conn: Connection[Any], since: int, seals: Sequence[_Seal], comparison: _Comparison) -> int:
    """Compare these windows with all rows from the one before them: what stands between two was never sealed."""
    rows = list(written_in(conn, since, seals[-1].until))
    comparison.add([leaf for seal in seals for leaf in _split(seal.hashes)], rows)
    comparison.close()
    return seals[-1].until


def _seals(conn: Connection[Any], epoch: str, *, former: bool) -> Iterator[_Seal]:
    """The seals of one kind, in order: those of what former generations wrote (`since` below 0), or the others."""
    with conn.cursor(f"seals_{former}", binary=True) as cursor:
        cursor.itersize = _SEALS_FETCHED
        cursor.execute(_SEALS, (epoch, former))
        for size, before, hashes, peaks, since, until in cursor:
            yield _Seal(size, before, bytes(hashes), bytes(peaks), since, until)


def _split(hashes: bytes) -> list[bytes]:
    return [hashes[at : at + HASH_SIZE] for at in range(0, len(hashes), HASH_SIZE)]
