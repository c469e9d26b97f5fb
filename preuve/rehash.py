"""Hashing all of it again: is every row still what was sealed, and is the tree still the one that was signed.

What disagrees is named to the row where the row is still there, else by the number of its leaf. One difference costs
the windows around it nothing: the rows of a window are known by their transactions.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any, Final

from psycopg import Connection, IsolationLevel

from preuve.checkpoints import Checkpoint
from preuve.collector import collector_paused
from preuve.found import Comparison, Fault, Rehashed
from preuve.frontier import Frontier
from preuve.helpers import Helpers, comparing_beside
from preuve.leaves import misshapen
from preuve.notes import KeyType, NoteRefused, Verifier, read
from preuve.rows import GENERATION_BITS, count_after, written_before
from preuve.seal import log_name
from preuve.spans import READ_AT_ONCE, Span, compare, seals, spans, split_hashes

ALONE_BELOW: Final = 500_000
"""Fewer leaves than this are not worth starting helpers."""

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many leaves are done, of how many."""

# The epoch, its generation, and how many leaves its tree has.
_EPOCH: Final = """
SELECT max(nom), count(*),
       (SELECT coalesce(max(taille), 0) FROM journal.sceaux WHERE epoque = (SELECT max(nom) FROM journal.epoques))
FROM journal.epoques
"""

# Sealed, and yet of no epoch that the log knows.
_GONE: Final = """
SELECT epoque, count(*) FROM journal.sceaux WHERE epoque NOT IN (SELECT nom FROM journal.epoques) GROUP BY epoque
"""

_NODES: Final = "SELECT niveau, numero, empreinte FROM journal.noeuds WHERE epoque = %b ORDER BY niveau, numero"

# The last event of all that transactions up to one have written.
_POSITION: Final = "SELECT coalesce(max(position), 0) FROM journal.evenements WHERE coalesce(ecrit_par, 0) <= %s"

_POINTS: Final = "SELECT taille, note FROM journal.points WHERE epoque = %b ORDER BY taille"


def rehash(
    conn: Connection[Any],
    origin: str,
    secret: bytes,
    keys: Sequence[bytes],
    *,
    helpers: Helpers | None = None,
    advance: Progress = lambda _what, _done, _of: None,
) -> Rehashed:
    """Compare the whole log with its tree, in one snapshot. `conn` is in autocommit, outside any transaction.

    `keys`: the public keys by which the log `origin` has ever signed; `helpers`: who shares the work, if it is long.
    """
    conn.isolation_level = IsolationLevel.REPEATABLE_READ
    with conn.transaction():
        return rehash_here(conn, origin, secret, keys, helpers=helpers, advance=advance)


def rehash_here(
    conn: Connection[Any],
    origin: str,
    secret: bytes,
    keys: Sequence[bytes],
    *,
    helpers: Helpers | None = None,
    advance: Progress = lambda _what, _done, _of: None,
) -> Rehashed:
    """The same in the caller's transaction, and so, without helpers, with what it has written itself."""
    epoch, generation, total = conn.execute(_EPOCH).fetchone() or ("", 0, 0)
    found = Rehashed(epoch or "")
    for gone, seals_left in conn.execute(_GONE):
        found.tell(Fault.MISSING, f"l'époque {gone}, dont il reste {seals_left} sceaux")
    if faults := misshapen(conn):
        for fault in faults:
            found.tell(Fault.SHAPE, fault)
        return found
    floor = generation << GENERATION_BITS
    wanted = list(spans(conn, epoch, floor))
    with collector_paused(), _compared(conn, epoch, wanted, secret, helpers) as parts:
        advance("l'arbre", 0, total)
        states = _tree(conn, epoch, found, lambda size: advance("l'arbre", size, total))
        name = log_name(origin, epoch)
        _signatures(conn, epoch, [Verifier(name, KeyType.NOTE, public) for public in keys], states, found)
        advance("les lignes", 0, total)
        _compare_former(conn, epoch, floor, secret, found, compared=lambda: advance("les lignes", found.leaves, total))
        for part in parts:
            found.add(part)
            advance("les lignes", found.leaves, total)
    found.unsealed = count_after(conn, wanted[-1].until if wanted else floor)
    return found


@contextmanager
def _compared(
    conn: Connection[Any],
    epoch: str,
    wanted: Sequence[Span],
    secret: bytes,
    helpers: Helpers | None,
) -> Iterator[Iterator[Rehashed]]:
    """What each span gives, in order: from helpers, which begin now, or from here, when it is asked for."""
    if helpers is not None and helpers.processes > 1 and sum(span.leaves for span in wanted) >= ALONE_BELOW:
        with comparing_beside(conn, epoch, wanted, secret, helpers) as parts:
            yield parts
    else:
        yield (compare(conn, epoch, span, secret) for span in wanted)


def _tree(conn: Connection[Any], epoch: str, found: Rehashed, grown: Callable[[int], None]) -> dict[int, bytes]:
    """Grow the tree again from the sealed leaves; return its root after each window: one batch seals and signs it."""
    frontier, roots = Frontier(0, ()), dict[int, bytes]()
    window, position = (-1, -1), 0
    kept = {(level, number): bytes(made) for level, number, made in conn.execute(_NODES, (epoch,), binary=True)}
    for seal in chain(seals(conn, epoch, former=True), seals(conn, epoch, former=False)):
        if seal.before != frontier.size:
            found.tell(Fault.TREE, f"il manque les feuilles de {frontier.size} à {seal.before}")
            return roots
        frontier, nodes = frontier.append(split_hashes(seal.hashes))
        if seal.peaks != frontier.peaks:
            found.tell(Fault.TREE, f"les sous-arbres dits à {seal.size} feuilles ne sont pas les siens")
        for node in nodes:
            if kept.pop((node.level, node.number), None) != node.hash:
                found.tell(Fault.TREE, f"nœud {node.number} du niveau {node.level}")
        if (seal.since, seal.until) == window:
            del roots[seal.before]
        elif not window[1] <= seal.since < seal.until:
            found.tell(Fault.TREE, f"la fenêtre du sceau de {seal.size} feuilles ne suit pas la précédente")
        window, position = (seal.since, seal.until), seal.position
        roots[seal.size] = frontier.root
        grown(seal.size)
    if frontier.size and conn.execute(_POSITION, (window[1],)).fetchone() != (position,):
        found.tell(Fault.TREE, f"la position du dernier sceau n'est pas {position}")
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


def _compare_former(
    conn: Connection[Any], epoch: str, floor: int, secret: bytes, found: Rehashed, *, compared: Callable[[], None]
) -> None:
    """Compare what former generations wrote, sealed in one go, up to `floor`."""
    comparison = Comparison(secret, found)
    rows = written_before(conn, floor)
    for seal in seals(conn, epoch, former=True):
        sealed = split_hashes(seal.hashes)
        comparison.add(sealed, list(islice(rows, len(sealed))))
        compared()
    while rest := list(islice(rows, READ_AT_ONCE)):
        comparison.add([], rest)
    comparison.close()
