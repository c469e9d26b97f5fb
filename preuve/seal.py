"""The sealer: what was written since the last seal becomes leaves of the tree, whose state is signed once committed.

One transaction reads the rows and writes their hashes. It reads only what finished transactions wrote, below the oldest
one that is still running, so that nothing can appear later in what is sealed. Two sealers at once collide on the size
that both start from; neither needs to know of the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import Connection, IsolationLevel
from psycopg.errors import UniqueViolation

from engine.clocks import AT_MOST, latest
from preuve.checkpoints import Checkpoint
from preuve.collector import collector_paused
from preuve.frontier import Frontier
from preuve.notes import KeyType, Signer, write
from preuve.rows import GENERATION_BITS, Row, leaf_hashes, within, written_before, written_in

SEALED_AT_ONCE: Final = 4_096
"""Leaves of one row of `journal.sceaux`, at most."""

TRANSACTIONS_AT_ONCE: Final = 2_000
"""How many transaction numbers one batch spans, at most: what is behind is caught up in bounded pieces."""

_FEW: Final = 64
"""Transactions that are sealed at once without counting their rows."""

# The epoch, its generation, and the oldest transaction that is still running: none below it will write any more.
_NOW: Final = """
SELECT max(nom), count(*), pg_snapshot_xmin(pg_current_snapshot())::text::int8 FROM journal.epoques
"""

_LAST: Final = """
SELECT s.taille, s.pics, s.jusqu_a, s.position, p.taille IS NOT NULL
FROM journal.sceaux s LEFT JOIN journal.points p USING (epoque, taille)
WHERE s.epoque = %b ORDER BY s.taille DESC LIMIT 1
"""

_SEAL: Final = f"""
INSERT INTO journal.sceaux (epoque, taille, avant, empreintes, pics, depuis, jusqu_a, position)
SELECT %b, %b, %b, %b, %b, %b, %b, %b FROM {AT_MOST}
"""  # noqa: S608 (constants)

_NODES: Final = f"""
INSERT INTO journal.noeuds (epoque, niveau, numero, empreinte)
SELECT %b, n.* FROM unnest(%b::int2[], %b::int8[], %b::bytea[]) AS n, {AT_MOST}
"""  # noqa: S608

_SIGN: Final = f"""
INSERT INTO journal.points (epoque, taille, note) SELECT %b, %b, %b FROM {AT_MOST} ON CONFLICT DO NOTHING
"""  # noqa: S608


class TransactionsWentBack(Exception):
    """This server counts transactions from below what was sealed: the database was restored, and needs a new epoch."""


@dataclass(frozen=True)
class Sealing:
    """What the sealer seals with."""

    origin: str
    """The log's name; each epoch is a log of its own, `origin/epoch`, and its key bears that name."""
    private: Ed25519PrivateKey
    secret: bytes
    """What the salts are drawn from (32 bytes or more)."""

    def signer(self, epoch: str) -> Signer:
        """What signs the states of an epoch's tree."""
        return Signer(log_name(self.origin, epoch), KeyType.NOTE, self.private)


class _State(NamedTuple):
    epoch: str
    generation: int
    size: int
    peaks: bytes
    until: int
    position: int
    signed: bool
    oldest_running: int

    @property
    def floor(self) -> int:
        """What `ecrit_par` exceeds in this generation."""
        return self.generation << GENERATION_BITS


class _Window(NamedTuple):
    """Rows to seal: all those with `since` < `ecrit_par` <= `until`."""

    since: int
    until: int
    rows: Iterator[Row]


class Sealer:
    """Seals one database over one connection, a batch at a time; keeps nothing but how far it has looked."""

    def __init__(self, seal: Sealing, *, transactions_at_once: int = TRANSACTIONS_AT_ONCE) -> None:
        """`transactions_at_once`: see TRANSACTIONS_AT_ONCE."""
        self.seal = seal
        self._at_once = transactions_at_once
        self._looked = ("", 0)

    def advance(self, conn: Connection[Any]) -> bool:
        """Seal what one batch holds and sign the tree; say whether there may be more to do at once.

        `conn` is in autocommit, outside any transaction. Raises TransactionsWentBack.
        """
        conn.isolation_level = IsolationLevel.REPEATABLE_READ
        try:
            with collector_paused(), conn.transaction():
                state = self._state(conn)
                end, looked_until = self._seal_batch(conn, state)
        except UniqueViolation:  # Another sealer was first: from where it is, next time.
            return True
        if end.size != state.size or not state.signed:
            self._sign(conn, state.epoch, end)
        self._looked = (state.epoch, looked_until)
        return looked_until < state.floor + state.oldest_running - 1

    def _state(self, conn: Connection[Any]) -> _State:
        epoch, generation, oldest_running = conn.execute(_NOW).fetchone() or ("", 0, 0)
        size, peaks, until, position, signed = conn.execute(_LAST, (epoch,), binary=True).fetchone() or (
            0,
            b"",
            0,
            0,
            True,
        )
        return _State(epoch, generation, size, bytes(peaks), until, position, signed, oldest_running)

    def _seal_batch(self, conn: Connection[Any], state: _State) -> tuple[Frontier, int]:
        frontier = Frontier.parse(state.size, state.peaks)
        if state.size == 0:
            everything = _Window(-1, state.floor, written_before(conn, state.floor))
            return self._write(conn, state, frontier, everything), state.floor
        complete = state.floor + state.oldest_running - 1
        looked = self._looked[1] if self._looked[0] == state.epoch else state.until
        since = max(state.until, looked)
        if complete < since:
            raise TransactionsWentBack
        until = min(complete, since + self._at_once)
        if until - since > _FEW:  # What is behind may be large transactions: a batch is read into memory.
            until = within(conn, since, until, SEALED_AT_ONCE)
        if until > since:
            frontier = self._write(conn, state, frontier, _Window(since, until, written_in(conn, since, until)))
        return frontier, until

    def _write(self, conn: Connection[Any], state: _State, frontier: Frontier, window: _Window) -> Frontier:
        position = state.position
        while some := list(islice(window.rows, SEALED_AT_ONCE)):
            hashes = leaf_hashes(some, self.seal.secret)
            position = max(position, *(row.position for row in some))
            before = frontier.size
            frontier, nodes = frontier.append(hashes)
            of_tree = (state.epoch, frontier.size, before, b"".join(hashes), frontier.peaks)
            conn.execute(_SEAL, (*of_tree, window.since, window.until, position, latest()))
            if nodes:
                levels, numbers, made = zip(*nodes, strict=True)
                conn.execute(_NODES, (state.epoch, list(levels), list(numbers), list(made), latest()))
        return frontier

    def _sign(self, conn: Connection[Any], epoch: str, frontier: Frontier) -> None:
        if frontier.size:
            note = sign(self.seal, epoch, frontier.size, frontier.root)
            conn.execute(_SIGN, (epoch, frontier.size, note, latest()))


def sign(seal: Sealing, epoch: str, size: int, root: bytes) -> str:
    """The signed checkpoint of an epoch's tree."""
    text = Checkpoint(log_name(seal.origin, epoch), size, root).text
    return write(text, [seal.signer(epoch).line(text)])


def log_name(origin: str, epoch: str) -> str:
    """The name of an epoch's log."""
    return f"{origin}/{epoch}"
