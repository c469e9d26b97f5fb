"""The sealed tree as the archive of a year takes it."""

import json
from collections.abc import Iterator
from typing import Any

from psycopg import Connection

from preuve.archived import SealedEvent, leaf_hashes_of, sealed_events
from preuve.witnessing import checkpoint_of_size
from projections.arretes.contenu import Arrete


class SealedTree:
    """See `projections.arretes.archive.Scelles`."""

    def __init__(self, conn: Connection[Any], secret: bytes | None) -> None:
        """`conn` is in autocommit; `secret`: what salts are drawn from, if it is given here."""
        self._conn = conn
        self._secret = secret

    def point(self, arrete: Arrete) -> str | None:
        """The signed state that it stands under."""
        point = arrete.point_de_controle
        return None if point is None else checkpoint_of_size(self._conn, arrete.epoque, point.taille)

    def evenements(self, arrete: Arrete) -> Iterator[bytes] | None:
        """A line an event, of its position alone if its state does not hold it; None without the secret."""
        if self._secret is None:
            return None
        point = arrete.point_de_controle
        size = 0 if point is None else point.taille
        found = sealed_events(self._conn, arrete.epoque, self._secret, arrete.depuis, arrete.jusqu_a)
        return (_line(event, size) for event in found)

    def feuilles(self, epoque: str, taille: int) -> Iterator[bytes]:
        """The hashes of the first leaves."""
        return leaf_hashes_of(self._conn, epoque, taille)


def _line(event: SealedEvent, size: int) -> bytes:
    """What this tree's size does not hold could not be compared."""
    held = event.leaf is not None and event.leaf < size
    said = [event.position, event.written_by, event.leaf, event.salt.hex()] if held else [event.position]
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"
