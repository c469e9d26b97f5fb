"""Signed states whose time a third party has told (RFC 3161): which to show it, and which a proof may stand under.

A token bears on the text of the state, as the log signed it: who holds the proof verifies it with `openssl ts -verify`.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, NamedTuple

from psycopg import Connection

from engine.clocks import AT_MOST, latest
from preuve.checkpoints import Checkpoint
from preuve.notes import NoteRefused, Verifier, lines_of, split

# The last signed state, of those that a witness has cosigned if one has: unless it was shown, or one just was.
_DUE: Final = """
WITH e AS (SELECT max(nom) AS nom FROM journal.epoques), w AS (
    SELECT max(c.taille) AS taille FROM journal.cosignatures c, e WHERE c.epoque = e.nom), shown AS (
    SELECT max(j.taille) AS taille, max(j.enregistre_le) AS le FROM journal.jetons_de_point j, e WHERE j.epoque = e.nom)
SELECT p.epoque, p.taille, p.note FROM e JOIN journal.points p ON p.epoque = e.nom, w, shown
WHERE p.taille = coalesce(w.taille, (SELECT max(q.taille) FROM journal.points q WHERE q.epoque = e.nom))
  AND (shown.taille IS NULL OR p.taille > shown.taille AND shown.le <= clock_timestamp() - %b)
"""

_KEEP: Final = f"""
INSERT INTO journal.jetons_de_point (epoque, taille, autorite, horodate_le, jeton)
SELECT %b, %b, %b, %b, %b FROM {AT_MOST} ON CONFLICT DO NOTHING
"""  # noqa: S608 (constants)

_TOKENS: Final = "SELECT p.note, j.jeton FROM journal.jetons_de_point j JOIN journal.points p USING (epoque, taille)"

# The newest of this epoch that holds a leaf, and the lines of all who have cosigned it.
_COVERING: Final = """
SELECT p.note, j.jeton, ARRAY(SELECT c.ligne FROM journal.cosignatures c
                              WHERE c.epoque = p.epoque AND c.taille = p.taille ORDER BY c.temoin)
FROM journal.jetons_de_point j JOIN journal.points p USING (epoque, taille)
WHERE epoque = %b AND taille > %b ORDER BY taille DESC LIMIT 1
"""


class Due(NamedTuple):
    """A signed state whose time is to be asked."""

    epoch: str
    size: int
    text: bytes
    """What the token bears on."""


class Stamped(NamedTuple):
    """A signed state, with the lines of known witnesses, and the token that tells its time."""

    note: str
    token: bytes
    cosigned: bool


def due(conn: Connection[Any], every: timedelta) -> Due | None:
    """The state to show the authority now, at most one in such a time. Raises NoteRefused: it is none."""
    row = conn.execute(_DUE, (every,)).fetchone()
    return None if row is None else Due(row[0], row[1], split(row[2])[0].encode())


def keep(conn: Connection[Any], state: Due, authority: str, at: datetime, token: bytes) -> None:
    """Keep a verified token."""
    conn.execute(_KEEP, (state.epoch, state.size, authority, at, token, latest()))


def tokens(conn: Connection[Any]) -> list[tuple[Checkpoint, bytes, bytes]]:
    """Each stamped state, what its token bears on, and the token; one that is no state is left, the rehash names it."""
    found = []
    for note, token in conn.execute(_TOKENS).fetchall():
        with suppress(NoteRefused):
            text, _ = split(note)
            found.append((Checkpoint.parse(text), text.encode(), bytes(token)))
    return found


def covering(conn: Connection[Any], epoch: str, leaf: int, witnesses: Sequence[Verifier]) -> Stamped | None:
    """The newest stamped state that holds this leaf, if there is one; lines of other witnesses are left out."""
    row = conn.execute(_COVERING, (epoch, leaf), binary=True).fetchone()
    if row is None:
        return None
    note, token, lines = row
    # Changed since it was kept: no verifier would take it, and the proof is as good without a time.
    if b"\x04\x20" + sha256(split(note)[0].encode()).digest() not in bytes(token):
        return None
    kept = lines_of(note + "".join(lines), witnesses) if witnesses else []
    return Stamped(note + "".join(kept), bytes(token), cosigned=bool(kept))
