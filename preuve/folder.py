"""The tree in a folder, as others read it (C2SP tlog-tiles): bundles and tiles first, then the signed state.

A folder an epoch: `EPOCH/checkpoint`, `EPOCH/tile/…`, and `EPOCH/vkey`, the key that recognises the signature. What is
written is read again from the rows: a row that is no longer what was sealed stops the folder, and is told.
"""

import os
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from psycopg import Connection, IsolationLevel

from preuve.checkpoints import Checkpoint
from preuve.merkle import HASH_SIZE, leaf_hash
from preuve.notes import split
from preuve.rows import GENERATION_BITS, Row, written_before, written_in
from preuve.seal import Sealing
from preuve.tiles import TILE_WIDTH, bundle, bundle_path, grow, tile_path
from preuve.witnessing import continued

_POINT: Final = """
SELECT epoque, taille, note, (SELECT count(*) FROM journal.epoques)
FROM journal.points WHERE epoque = (SELECT max(nom) FROM journal.epoques) ORDER BY taille DESC LIMIT 1
"""

# The windows that reach beyond what the folder holds: a window may lie in several seals.
_WINDOWS: Final = """
SELECT depuis, jusqu_a, min(avant), string_agg(empreintes, ''::bytea ORDER BY taille) FROM journal.sceaux
WHERE epoque = %b AND taille <= %b AND (depuis, jusqu_a) IN
    (SELECT depuis, jusqu_a FROM journal.sceaux WHERE epoque = %b AND taille > %b)
GROUP BY depuis, jusqu_a ORDER BY 3
"""


class FolderStopped(Exception):
    """The folder goes no further until somebody has looked; what is written is sealed all the same."""


class RowChanged(FolderStopped):
    """A row is no longer what was sealed: the folder goes no further. `creances audit --preuve` names it."""

    def __init__(self, leaf: int) -> None:
        """`leaf`: its number."""
        super().__init__(f"la ligne de la feuille {leaf} n'est plus celle qui a été scellée")


class CheckpointUnreadable(FolderStopped):
    """The folder's own checkpoint is none: something else wrote there."""

    def __init__(self, checkpoint: Path) -> None:
        """`checkpoint`: the file."""
        super().__init__(f"{checkpoint} n'est pas un point signé : retirez ce dossier, il sera refait")


class OtherBranch(FolderStopped):
    """The folder holds a past that this log does not continue: an older copy was restored, and no epoch opened.

    Nothing is written over it: that branch was published, and is told apart by its own tiles.
    """

    def __init__(self, log: Path, size: int) -> None:
        """`size`: how many leaves the folder holds."""
        super().__init__(
            f"{log} tient {size} feuilles que ce journal ne continue pas : une copie plus ancienne a été restaurée ;"
            " ouvrez une époque (creances epoch --open), elle a son propre dossier"
        )


class TileFolder:
    """Keeps the folder up to the last signed state."""

    def __init__(self, folder: Path, sealing: Sealing) -> None:
        """`folder` is created when needed."""
        self._folder = folder
        self._sealing = sealing
        self._known = ""

    def follow(self, conn: Connection[Any]) -> None:
        """Write what was signed since. Raises FolderStopped, OSError."""
        epoch, size, note, generation = conn.execute(_POINT).fetchone() or ("", 0, "", 0)
        if note in ("", self._known):
            return
        log = self._folder / epoch
        held = _state_of(log / "checkpoint")
        begun = held.size if held is not None else 0
        conn.isolation_level = IsolationLevel.REPEATABLE_READ
        with conn.transaction():
            # Another process may have written more than what was read here: what counts is what is signed now.
            if held is not None and not continued(conn, epoch, held):
                raise OtherBranch(log, begun)
            if begun < size:
                self._write(log, begun, self._entries(conn, epoch, begun, size, generation << GENERATION_BITS))
        if begun < size:
            _place(log / "vkey", f"{self._sealing.signer(epoch).verifier}\n".encode())
            _place(log / "checkpoint", note.encode())
        self._known = note

    def _write(self, log: Path, begun: int, entries: Iterator[bytes]) -> None:
        at = begun
        while some := list(islice(entries, TILE_WIDTH - at % TILE_WIDTH)):
            number, filled = divmod(at, TILE_WIDTH)
            before = (log / bundle_path(number, filled)).read_bytes() if filled else b""
            _place(log / bundle_path(number, filled + len(some)), before + bundle(some))
            hashes = [leaf_hash(entry) for entry in some]
            for tile in grow(at, hashes, lambda *of: (log / tile_path(*of)).read_bytes()):
                _place(log / tile_path(tile.level, tile.number, tile.width), tile.hashes)
            at += len(some)

    def _entries(self, conn: Connection[Any], epoch: str, begun: int, size: int, floor: int) -> Iterator[bytes]:
        """The data of the leaves from `begun` to `size`, each checked against what was sealed."""
        windows = conn.execute(_WINDOWS, (epoch, size, epoch, begun), binary=True).fetchall()
        for since, until, before, hashes in windows:
            rows: Iterator[Row] = written_before(conn, floor) if since < 0 else written_in(conn, since, until)
            sealed: Sequence[bytes] = [hashes[at : at + HASH_SIZE] for at in range(0, len(hashes), HASH_SIZE)]
            for place, (leaf, row) in enumerate(zip(sealed, chain(rows, _nothing()), strict=False)):
                entry = b"" if row is None else row.entry(self._sealing.secret)
                number = before + place
                if leaf_hash(entry) != leaf:
                    raise RowChanged(number)
                if number >= begun:
                    yield entry


def _nothing() -> Iterator[None]:
    while True:
        yield None


def _state_of(checkpoint: Path) -> Checkpoint | None:
    if not checkpoint.exists():
        return None
    try:
        text, _ = split(checkpoint.read_bytes().decode())
        return Checkpoint.parse(text)
    except ValueError:
        raise CheckpointUnreadable(checkpoint) from None


def _place(path: Path, content: bytes) -> None:
    """Write a file that is whole under its name, or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.write_bytes(content)
    fresh.replace(path)
