"""What an archive keeps of the tree, so that its events lead to a signed state without this database."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from psycopg import Connection

from preuve.merkle import HASH_SIZE, leaf_hash
from preuve.rows import of_positions
from preuve.tree import Leaf, indexes_of

EVENTS_AT_ONCE: Final = 1_000

_SEALS: Final = """
SELECT avant, empreintes FROM journal.sceaux WHERE epoque = %b AND avant < %b ORDER BY taille
"""


_UNTIL: Final = "SELECT coalesce(max(jusqu_a), -1) FROM journal.sceaux WHERE epoque = %b"


class EventNotSealed(Exception):
    """An event is not the one that was sealed, or the salt is not the seal's: it would not lead to the root."""

    def __init__(self, position: int) -> None:
        """`position`: the event's."""
        super().__init__(
            f"l'événement {position} n'est pas celui qui a été scellé, ou CREANCES_PREUVE_SALT n'est pas le sel du"
            " sceau : `creances audit --preuve` le dit"
        )


class SealedEvent(NamedTuple):
    """Where an event is in the tree, and what its leaf was made with."""

    position: int
    written_by: int
    leaf: int | None
    """Its number; None: no seal of this tree reaches it yet."""
    salt: bytes


def sealed_events(conn: Connection[Any], epoch: str, secret: bytes, since: int, until: int) -> Iterator[SealedEvent]:
    """Each event with `since` < position <= `until`, in order, in that epoch's tree. Raises EventNotSealed."""
    (sealed_until,) = conn.execute(_UNTIL, (epoch,)).fetchone() or (-1,)
    while rows := of_positions(conn, since, until, EVENTS_AT_ONCE):
        leaves = [Leaf(row.written_by, row.position, leaf_hash(row.entry(secret))) for row in rows]
        for row, index in zip(rows, indexes_of(conn, epoch, leaves), strict=True):
            if index is None and row.written_by <= sealed_until:
                raise EventNotSealed(row.position)
            yield SealedEvent(row.position, row.written_by, index, row.salt(secret))
        since = rows[-1].position


def leaf_hashes_of(conn: Connection[Any], epoch: str, size: int) -> Iterator[bytes]:
    """The hashes of the first `size` leaves of an epoch's tree, one after the other, many at a time."""
    with conn.transaction(), conn.cursor("leaf_hashes", binary=True) as cursor:
        cursor.itersize = 100
        cursor.execute(_SEALS, (epoch, size))
        for before, hashes in cursor:
            yield bytes(hashes[: (size - before) * HASH_SIZE])
