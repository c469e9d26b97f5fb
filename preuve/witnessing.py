"""Witnessed checkpoints: what a witness's word is worth, what is kept of it, and the notes that others read.

A witness is believed when it says no more than when it signs: its signature is verified before it is kept, and what it
refuses is an alarm, never a reason to stop sealing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, assert_never

from psycopg import Connection

from engine.clocks import AT_MOST, latest
from preuve.checkpoints import Checkpoint
from preuve.merkle import root
from preuve.notes import NoteRefused, Verifier, lines_of, read, split, write
from preuve.tiles import subtrees
from preuve.tree import tile_reader
from preuve.witness_protocol import Answer, Cosigned, Inconsistent, KnowsSize, Request, Stranger, Unusable

TRIES: Final = 3
"""How often a witness may correct the size that it is asked from."""

# The last signed state of the current epoch.
_LAST: Final = """
SELECT epoque, taille, note FROM journal.points WHERE epoque = (SELECT max(nom) FROM journal.epoques)
ORDER BY taille DESC LIMIT 1
"""

_SIZE: Final = "SELECT coalesce(max(taille), 0) FROM journal.points WHERE epoque = %b"

_COSIGNED_SIZE: Final = "SELECT coalesce(max(taille), 0) FROM journal.cosignatures WHERE epoque = %b AND temoin = %b"

_KEEP: Final = f"""
INSERT INTO journal.cosignatures (epoque, taille, temoin, ligne)
SELECT %b, %b, %b, %b FROM {AT_MOST} ON CONFLICT DO NOTHING
"""  # noqa: S608 (constants)

# The largest state that as many witnesses have cosigned, and their lines.
_WITNESSED: Final = """
SELECT p.note, array_agg(c.ligne ORDER BY c.temoin)
FROM journal.points p JOIN journal.cosignatures c USING (epoque, taille)
WHERE p.epoque = coalesce(%b, (SELECT max(nom) FROM journal.epoques))
GROUP BY p.epoque, p.taille, p.note HAVING count(*) >= %b ORDER BY p.taille DESC LIMIT 1
"""

# The largest state that one of these witnesses has cosigned, and their lines.
_COSIGNED_BY: Final = """
WITH t AS (
    SELECT max((SELECT c.taille FROM journal.cosignatures c WHERE c.epoque = %(epoch)b AND c.temoin = n.temoin
                ORDER BY c.taille DESC LIMIT 1)) AS taille
    FROM unnest(%(witnesses)b::text[]) AS n (temoin))
SELECT p.note, array_agg(c.ligne ORDER BY c.temoin)
FROM t JOIN journal.points p ON p.epoque = %(epoch)b AND p.taille = t.taille
JOIN journal.cosignatures c ON c.epoque = p.epoque AND c.taille = p.taille AND c.temoin = ANY(%(witnesses)b)
GROUP BY p.note
"""

# One state, and the lines of all who have cosigned it.
_OF_SIZE: Final = """
SELECT note, (SELECT coalesce(array_agg(c.ligne ORDER BY c.temoin), '{}') FROM journal.cosignatures c
              WHERE c.epoque = p.epoque AND c.taille = p.taille)
FROM journal.points p WHERE epoque = %b AND taille = %b
"""

# A refusal stands until the witness cosigns again; it is told once, and once more when the abandoned state was found.
_STANDS: Final = """
SELECT bool_or(r.vu IS NOT NULL) FROM journal.refus_de_temoins r
WHERE r.epoque = %b AND r.temoin = %b AND r.enregistre_le > coalesce((
    SELECT max(c.enregistre_le) FROM journal.cosignatures c WHERE c.epoque = r.epoque AND c.temoin = r.temoin
), '-infinity')
"""

_REFUSED: Final = f"""
INSERT INTO journal.refus_de_temoins (epoque, temoin, taille, connue, montre, vu)
SELECT %b, %b, %b, %b, %b, %b FROM {AT_MOST}
"""  # noqa: S608


@dataclass(frozen=True)
class Seen:
    """The witness has cosigned; its signature is true."""

    line: str


@dataclass(frozen=True)
class Contradicted:
    """The witness knows another past of this log: it was rewritten, or an older copy of it was restored."""

    known: int | None
    """How many leaves it knows, if it said so: more than there are."""


@dataclass(frozen=True)
class Unseen:
    """The witness has said nothing that counts: away, slow, wrong, or a stranger to this log. It is asked again."""

    why: str


Verdict = Seen | Contradicted | Unseen


@dataclass(frozen=True)
class Point:
    """The last signed state of an epoch."""

    epoch: str
    size: int
    note: str

    @property
    def checkpoint(self) -> Checkpoint:
        """What was signed."""
        return Checkpoint.parse(split(self.note)[0])


def submit(
    send: Callable[[Request], Answer], witness: Verifier, point: Point, old: int, proof: Callable[[int], list[bytes]]
) -> Verdict:
    """Have a witness cosign this state; `old`: the size that it is thought to know, `proof`: from one to this one."""
    for _ in range(TRIES):
        answer = send(Request(old, tuple(proof(old)), point.note))
        if not (isinstance(answer, KnowsSize) and answer.size <= point.size and answer.size != old):
            return _verdict(answer, witness, point)
        old = answer.size
    return Unseen("dit chaque fois une autre taille")


def _verdict(answer: Answer, witness: Verifier, point: Point) -> Verdict:
    """What an answer means, when asking again from where the witness says that it is would not help."""
    match answer:
        case Cosigned(lines):
            return _verified(lines, witness, point)
        case KnowsSize(size) if size < point.size:
            return Unseen(f"se contredit : il connaît {size} feuilles, et refuse qu'on parte de là")
        case KnowsSize(size):
            return Contradicted(size)
        case Inconsistent():
            return Contradicted(None)
        case Stranger(status):
            return Unseen(f"ne connaît pas ce journal, ou pas cette clé ({status})")
        case Unusable(why):
            return Unseen(why)
        case _:
            assert_never(answer)


def _verified(lines: str, witness: Verifier, point: Point) -> Verdict:
    text, _ = split(point.note)
    for line in lines.removesuffix("\n").split("\n"):
        try:
            note = read(write(text, [f"{line}\n"]), [witness])
        except NoteRefused:
            continue
        if note.cosignatures:
            return Seen(f"{line}\n")
    return Unseen("a répondu oui, sans une signature qui soit de lui")


# --- What is kept ----------------------------------------------------------------------------------------------------


def last_point(conn: Connection[Any]) -> Point | None:
    """The last signed state of the current epoch; None before the first."""
    row = conn.execute(_LAST).fetchone()
    return Point(*row) if row else None


def signed_size(conn: Connection[Any], epoch: str) -> int:
    """How many leaves the largest signed state of an epoch has."""
    (size,) = conn.execute(_SIZE, (epoch,)).fetchone() or (0,)
    return int(size)


def cosigned_size(conn: Connection[Any], epoch: str, witness: str) -> int:
    """The size of the last state of an epoch that this witness cosigned, as we know; 0: none."""
    (size,) = conn.execute(_COSIGNED_SIZE, (epoch, witness)).fetchone() or (0,)
    return int(size)


def keep(conn: Connection[Any], point: Point, witness: str, line: str) -> None:
    """Keep a verified cosignature."""
    conn.execute(_KEEP, (point.epoch, point.size, witness, line, latest()))


def needs_telling(conn: Connection[Any], epoch: str, witness: str) -> bool:
    """Whether a refusal of this witness says more than the one that stands, if one does."""
    (shown,) = conn.execute(_STANDS, (epoch, witness)).fetchone() or (None,)
    return not shown


def keep_refusal(conn: Connection[Any], point: Point, witness: str, known: int | None, seen: str | None) -> None:
    """Keep a refusal, unless the one that stands says as much.

    `known`: how many leaves the witness knows, if it said so; `seen`: the state that was abandoned, signed with the
    log's own key, if it was found.
    """
    (shown,) = conn.execute(_STANDS, (point.epoch, witness)).fetchone() or (None,)
    if shown is None or (seen is not None and not shown):
        conn.execute(_REFUSED, (point.epoch, witness, point.size, known, point.note, seen, latest()))


def cosigned_checkpoint(conn: Connection[Any], epoch: str | None = None, *, at_least: int = 1) -> str | None:
    """The largest signed checkpoint that at least so many witnesses have cosigned, with their lines, if there is one.

    A C2SP signed note: the log's signature first, then a line a witness. `epoch`: absent, the current one.
    """
    row = conn.execute(_WITNESSED, (epoch, at_least)).fetchone()
    return row[0] + "".join(row[1]) if row else None


def cosigned_by(conn: Connection[Any], epoch: str, witnesses: Sequence[Verifier]) -> str | None:
    """The largest signed checkpoint of this epoch that one of these witnesses has cosigned, with their lines alone.

    Lines of others, or by a key that a witness has turned since, are left out: who verifies knows these keys only.
    """
    values = {"epoch": epoch, "witnesses": [witness.name for witness in witnesses]}
    row = conn.execute(_COSIGNED_BY, values).fetchone()
    if row is None:
        return None
    note, lines = row
    kept = lines_of(note + "".join(lines), witnesses)
    return note + "".join(kept) if kept else None


def checkpoint_of_size(conn: Connection[Any], epoch: str, size: int) -> str | None:
    """The signed checkpoint of an epoch's tree when it had so many leaves, with all cosignatures, if there is one."""
    row = conn.execute(_OF_SIZE, (epoch, size)).fetchone()
    return row[0] + "".join(row[1]) if row else None


def continued(conn: Connection[Any], epoch: str, state: Checkpoint) -> bool:
    """Whether the last signed tree of this epoch begins with that state."""
    last = signed_size(conn, epoch)
    return state.size <= last and root(state.size, subtrees(last, tile_reader(conn, epoch))) == state.root


def contradicts(conn: Connection[Any], epoch: str, note: str, keys: Sequence[Verifier]) -> bool:
    """Whether this note is a state that our own key signed of this epoch, and that its tree does not continue."""
    try:
        other = Checkpoint.parse(read(note, keys).text)
    except NoteRefused:
        return False
    if other.origin not in {key.name for key in keys}:  # Ours may sign another epoch's state too.
        return False
    return not continued(conn, epoch, other)


# --- What is told ----------------------------------------------------------------------------------------------------

# Of the current epoch: how far a witness is behind, since when, and whether its refusal stands.
_BEHIND: Final = """
WITH e AS (SELECT max(nom) AS nom FROM journal.epoques), t AS (
    SELECT n.temoin, (SELECT coalesce(max(c.taille), 0) FROM journal.cosignatures c
                      WHERE c.epoque = e.nom AND c.temoin = n.temoin) AS taille
    FROM unnest(%b::text[]) AS n (temoin), e)
SELECT t.temoin, t.taille, (SELECT coalesce(max(p.taille), 0) FROM journal.points p WHERE p.epoque = e.nom) - t.taille,
    (SELECT extract(epoch FROM clock_timestamp() - p.enregistre_le)::float8 FROM journal.points p
     WHERE p.epoque = e.nom AND p.taille > t.taille ORDER BY p.taille LIMIT 1),
    EXISTS (SELECT FROM journal.refus_de_temoins r WHERE r.epoque = e.nom AND r.temoin = t.temoin
            AND r.enregistre_le > coalesce((SELECT max(c.enregistre_le) FROM journal.cosignatures c
                                            WHERE c.epoque = e.nom AND c.temoin = t.temoin), '-infinity'))
FROM t, e ORDER BY t.temoin
"""


@dataclass(frozen=True)
class Standing:
    """Where a witness is, in the current epoch."""

    witness: str
    size: int
    """The last state that it cosigned."""
    leaves: int
    """How many leaves it has not seen."""
    seconds: float
    """Since when the oldest signed state that it has not cosigned waits (seconds)."""
    refuses: bool
    """Its last word is a refusal."""


def standings(conn: Connection[Any], witnesses: Sequence[str]) -> list[Standing]:
    """Where each of these witnesses is, by name."""
    rows = conn.execute(_BEHIND, (list(witnesses),)).fetchall()
    return [
        Standing(name, size, leaves, round(max(0.0, seconds or 0.0), 3), refuses)
        for name, size, leaves, seconds, refuses in rows
    ]


def without_agreement_s(waits: Sequence[float], agree: int) -> float:
    """Since when the oldest signed state waits that fewer than `agree` witnesses have cosigned (seconds).

    `waits`: since when each witness is behind: a state waits for its agree-th cosignature.
    """
    return sorted(waits)[agree - 1] if 0 < agree <= len(waits) else 0.0
