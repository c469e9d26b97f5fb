"""The sealed windows, many at a time: what is read and compared at once, here or by a helper."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from psycopg import Connection

from preuve.found import Comparison, Rehashed
from preuve.merkle import HASH_SIZE
from preuve.rows import written_in

READ_AT_ONCE: Final = 20_000
"""Rows that are compared at once, about."""

_SEALS_FETCHED: Final = 200
_EVER: Final = (1 << 63) - 1

_SEALS: Final = """
SELECT taille, avant, empreintes, pics, depuis, jusqu_a, position FROM journal.sceaux
WHERE epoque = %b AND (depuis < 0) = %b AND taille >= %b AND taille <= %b ORDER BY taille
"""

_WINDOWS: Final = "SELECT taille, avant, jusqu_a FROM journal.sceaux WHERE epoque = %b AND depuis >= 0 ORDER BY taille"


class SealRow(NamedTuple):
    """A row of `journal.sceaux`."""

    size: int
    before: int
    hashes: bytes
    peaks: bytes
    since: int
    until: int
    position: int
    """The last event's that is sealed, which `lag` counts from."""


class Span(NamedTuple):
    """Whole windows, compared at once with all rows from the one before them."""

    since: int
    """Its rows have `ecrit_par` above this one: what stands between two windows was never sealed."""
    until: int
    """And at most that."""
    begin: int
    """The number of its first leaf."""
    first: int
    """The size of the tree at its first seal."""
    last: int
    """And at its last."""

    @property
    def leaves(self) -> int:
        """How many it has."""
        return self.last - self.begin


def spans(conn: Connection[Any], epoch: str, reached: int) -> Iterator[Span]:
    """What is to be compared, in order; `reached`: up to where former generations were sealed."""
    pending: list[tuple[int, int, int]] = []
    for size, before, until in conn.execute(_WINDOWS, (epoch,)).fetchall():
        # Never between two seals of one window.
        if pending and pending[-1][2] != until and before - pending[0][1] >= READ_AT_ONCE:
            yield Span(reached, pending[-1][2], pending[0][1], pending[0][0], pending[-1][0])
            reached, pending = pending[-1][2], []
        pending.append((size, before, until))
    if pending:
        yield Span(reached, pending[-1][2], pending[0][1], pending[0][0], pending[-1][0])


def compare(conn: Connection[Any], epoch: str, span: Span, secret: bytes) -> Rehashed:
    """What comparing a span finds, in the caller's snapshot."""
    found = Rehashed(epoch, leaves=span.begin)
    comparison = Comparison(secret, found)
    rows = list(written_in(conn, span.since, span.until))
    sealed = seals(conn, epoch, former=False, first=span.first, last=span.last)
    comparison.add([leaf for seal in sealed for leaf in split_hashes(seal.hashes)], rows)
    comparison.close()
    found.leaves -= span.begin
    return found


def seals(conn: Connection[Any], epoch: str, *, former: bool, first: int = 0, last: int = _EVER) -> Iterator[SealRow]:
    """The seals of one kind, in order: those of what former generations wrote (`since` below 0), or the others."""
    with conn.cursor(f"seals_{former}", binary=True) as cursor:
        cursor.itersize = _SEALS_FETCHED
        cursor.execute(_SEALS, (epoch, former, first, last))
        for size, before, hashes, peaks, since, until, position in cursor:
            yield SealRow(size, before, bytes(hashes), bytes(peaks), since, until, position)


def split_hashes(hashes: bytes) -> list[bytes]:
    """One after the other."""
    return [hashes[at : at + HASH_SIZE] for at in range(0, len(hashes), HASH_SIZE)]
