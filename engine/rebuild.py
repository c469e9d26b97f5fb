"""A rebuild: fill a shadow of a view from the whole log, beside the live one, and swap both at once with the position.

It may be killed at any moment: begun again, it goes on where its last batch was committed. Readers see the live tables
until the swap commits, and the new ones after. It writes nothing to the log. One process at a time rebuilds a view.
"""

import hashlib
import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, Final, NamedTuple

from psycopg import Connection, sql
from psycopg.errors import DeadlockDetected, LockNotAvailable

from engine import shadow
from engine.follower import View
from engine.mapper import EventMapper
from engine.rebuild_comparing import LONG, TOLD, compare
from engine.rebuild_filling import BATCH, Filling, Progress, RebuildRefused
from engine.shadow import Difference, Rows

SWAP_LOCK: Final = "400ms"
"""How long the swap waits for readers while others queue behind it; then it lets them pass, and tries again."""

SWAP_PAUSE_S: Final = 0.5
SWAP_PATIENCE_S: Final = 600.0
"""How long it goes on trying: an audit of the whole base may be reading."""

_TO_REPLAY: Final = 2_000
"""How many events may be left for the swap's own transaction, which holds the view's writers up."""

_ENTER_LEASE: Final = "INSERT INTO vues.baux (nom) VALUES (%b) ON CONFLICT DO NOTHING"

_CURRENT: Final = """
SELECT rang, empreinte, position, lus, total FROM vues.reconstructions WHERE vue = %b AND etat = 'en_cours'
"""

_BEGIN: Final = """
INSERT INTO vues.reconstructions (vue, empreinte, total, meneur) VALUES (%b, %b, %b, %b) RETURNING rang
"""

_TAKEN_UP: Final = "UPDATE vues.reconstructions SET meneur = %b, battement_le = clock_timestamp() WHERE rang = %b"

_END: Final = """
UPDATE vues.reconstructions
SET etat = %b, finie_le = clock_timestamp(), battement_le = clock_timestamp(), cause = %b, ecartes = %b,
    differences = %b
WHERE rang = %b
"""

_TOTAL: Final = """
SELECT count(*) FROM journal.evenements WHERE position <= %b AND topic = ANY (%b::text[])
"""

_HEAD: Final = "SELECT coalesce(max(position), 0) FROM journal.evenements"
_LIVE_HELD: Final = "SELECT position FROM vues.suiveurs WHERE nom = %b FOR UPDATE"
_ENTER: Final = "INSERT INTO vues.suiveurs (nom) VALUES (%b) ON CONFLICT DO NOTHING"
_SWAPPED: Final = """
UPDATE vues.suiveurs SET position = greatest(position, %(at)b), tenue = greatest(position, %(at)b) WHERE nom = %(name)b
"""

# The streams that were set aside here, and whether they were there too.
_ASIDE: Final = """
SELECT flux, min(position), (array_agg(cause ORDER BY position))[1], count(*),
       EXISTS (SELECT FROM vues.ecartes l WHERE l.suiveur = %b AND l.flux = n.flux)
FROM vues_neuves.ecartes n WHERE suiveur = %b GROUP BY flux ORDER BY min(position)
"""
_FORGET_ASIDE: Final = "DELETE FROM vues_neuves.ecartes WHERE suiveur = %b"
_LIVE_FORGOTTEN: Final = "DELETE FROM vues.ecartes WHERE suiveur = %b"
_ASIDE_MOVED: Final = """
WITH moved AS (DELETE FROM vues_neuves.ecartes WHERE suiveur = %b RETURNING *)
INSERT INTO vues.ecartes SELECT * FROM moved
"""


class Aside(NamedTuple):
    """A stream that the rebuild could not apply from this event on."""

    stream: str
    position: int
    cause: str
    events: int
    known: bool
    """The live view had set this stream aside too."""


class Outcome(NamedTuple):
    """What a rebuild did; all its errors are here."""

    swapped: bool
    position: int
    events: int
    """Of those that concern the view."""
    seconds: float
    resumed: bool
    aside: list[Aside]
    differences: list[Difference]
    """What the live view told otherwise: the first `TOLD` rows."""
    different: int
    """How many rows they are."""
    compared: int
    refusal: str | None = None
    """Why it did not take the view's place."""


Verify = Callable[[int, Sequence[Difference]], list[str]]
"""Replays the rows that differ, stream by stream, up to this position: what the shadow says of them and the log does
not, a sentence each."""


class _NotYet(Exception):
    """Too much came since for one transaction: fill on first."""


class Rebuild(Filling):
    """Fills the shadow as a follower would, with a position of its own; then swaps."""

    def __init__(
        self,
        url: str,
        vue: View,
        rows: Sequence[Rows],
        *,
        mapper: EventMapper,
        version: str,
        derriere: str | None = None,
        lot_max: int = BATCH,
        verify: Verify = lambda _position, _found: [],
        progress: Progress = lambda _what, _done, _total: None,
        etape: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`rows`: the view's tables; `version`: of the service: a rebuild begun under another is begun anew.

        `vue` must write nothing but its own tables. `verify`: see `Verify`.
        """
        super().__init__(url, vue, mapper=mapper, derriere=derriere, lot_max=lot_max, progress=progress, etape=etape)
        self.rows = rows
        self.version = version
        self.verify = verify
        self._log = self._log.bind(reconstruction=True)

    # --- The whole ---------------------------------------------------------------------------------------------------

    def rebuild(self) -> Outcome:
        """Do it all. Raises RebuildRefused, LeadershipLost, or an outage (run it again: it goes on)."""
        started = time.monotonic()
        with closing(self._connect()) as conn:
            conn.cursor_factory = shadow.redirected([*(rows.table for rows in self.rows), "ecartes"])
            with closing(self._connect()) as plain:
                plain.execute(_ENTER_LEASE, (self.lease.name,))
                if not self.lease.take(plain):
                    raise RebuildRefused(f"La vue {self.vue.nom} est déjà en reconstruction, dans un autre processus.")
                try:
                    with self.lease.renewed():
                        return self._rebuild(conn, plain, started)
                finally:
                    self.lease.release(plain)

    def _rebuild(self, conn: Connection[Any], plain: Connection[Any], started: float) -> Outcome:
        resumed = self._begin(plain)
        self._fill(conn)
        for rows in self.rows:
            self.progress("index", 0, 0)
            with plain.transaction():
                plain.execute(LONG)
                shadow.complete(plain, rows.table)
        self._fill(conn)
        self.etape("comparer")
        found, different, compared = compare(
            plain, self.vue.nom, self._where(plain)[0], self.rows, self._topics, self.progress
        )
        faults = self._faults(plain, found)
        aside = [Aside(*row) for row in plain.execute(_ASIDE, (self.vue.nom, self.vue.nom))]
        if unknown := [one for one in aside if not one.known]:
            told = f"{unknown[0].stream} (position {unknown[0].position}) : {unknown[0].cause}"
            faults.append(f"{len(unknown)} flux que la vue lue applique ne s'appliquent pas ici, d'abord {told}")
        refusal = None
        if faults:
            refusal = " ; ".join(faults[:5])
            self._end(plain, "refusee", refusal, len(aside), different)
        else:
            self._swap(conn, len(aside), different)
        position, events = self._where(plain)
        return Outcome(
            refusal is None,
            position,
            events,
            time.monotonic() - started,
            resumed,
            aside[:TOLD],
            found,
            different,
            compared,
            refusal,
        )

    # --- The beginning -----------------------------------------------------------------------------------------------

    def _begin(self, conn: Connection[Any]) -> bool:
        """Take up the rebuild that was begun, if it can be gone on with, else begin one; say which."""
        leader = f"{socket.gethostname()}:{os.getpid()}"
        print_ = self._fingerprint(conn)
        row = conn.execute(_CURRENT, (self.vue.nom,)).fetchone()
        if row is not None:
            self._rang, known, _, self._read_here, self._total = row
            if known == print_ and all(shadow.columns(conn, rows.table, shadow.SCHEMA) for rows in self.rows):
                conn.execute(_TAKEN_UP, (leader, self._rang))
                return True
            self._end(conn, "abandonnee", "commencée sous un autre schéma, ou une autre version du service", 0, 0)
        (head,) = conn.execute(_HEAD).fetchone() or (0,)
        (self._total,) = conn.execute(_TOTAL, (head, self._topics)).fetchone() or (0,)
        with conn.transaction():
            for rows in self.rows:
                shadow.create(conn, rows.table)
            conn.execute(_FORGET_ASIDE, (self.vue.nom,))
            values = (self.vue.nom, print_, self._total, leader)
            (self._rang,) = conn.execute(_BEGIN, values).fetchone() or (0,)
        self._read_here = 0
        return False

    def _fingerprint(self, conn: Connection[Any]) -> str:
        said = [self.version, *self._topics]
        for rows in self.rows:
            known = shadow.columns(conn, rows.table)
            if not known:
                raise RebuildRefused(f"La table {shadow.LIVE}.{rows.table} n'est pas là : les migrations d'abord.")
            said += [rows.table, *(f"{name} {kind}" for name, kind in known.items())]
        return hashlib.sha256("\n".join(said).encode()).hexdigest()[:32]

    # --- Checking ----------------------------------------------------------------------------------------------------

    def _faults(self, conn: Connection[Any], found: Sequence[Difference]) -> list[str]:
        """What the shadow does not say as the log does."""
        position, read = self._where(conn)
        (counted,) = conn.execute(_TOTAL, (position, self._topics)).fetchone() or (0,)
        faults = []
        if counted != read:
            faults.append(f"le journal a {counted} événements jusqu'à la position {position}, {read} ont été lus")
        self.progress("vérification", 0, len(found))
        return faults + self.verify(position, found)

    # --- The swap ----------------------------------------------------------------------------------------------------

    def _swap(self, conn: Connection[Any], aside: int, different: int) -> None:
        """Put the shadow in the live view's place; tried again while a reader holds it, up to `SWAP_PATIENCE_S`."""
        deadline = time.monotonic() + SWAP_PATIENCE_S
        while True:
            self.lease.require()
            try:
                self._swap_once(conn, aside, different)
            except _NotYet:
                self._fill(conn)
            except (LockNotAvailable, DeadlockDetected):
                if time.monotonic() > deadline:
                    raise RebuildRefused(
                        f"La vue {self.vue.nom} est tenue sans cesse par d'autres lectures : la reconstruction est"
                        " prête, relancer la même commande pour la faire basculer."
                    ) from None
                self.progress("bascule", 0, 0)
                time.sleep(SWAP_PAUSE_S)
            else:
                return

    def _swap_once(self, conn: Connection[Any], aside: int, different: int) -> None:
        # As bytes: the statements that mean the live tables are not redirected.
        name = self.vue.nom
        with conn.transaction():
            conn.execute(f"SET LOCAL lock_timeout = '{SWAP_LOCK}'")
            # The tables first, as a leader at work takes them; its readers are not held up yet.
            tables = sql.SQL(", ").join(sql.Identifier(shadow.LIVE, rows.table) for rows in self.rows)
            conn.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(tables))
            conn.execute(_ENTER, (name,))
            (live,) = conn.execute(_LIVE_HELD, (name,)).fetchone() or (0,)
            since, _ = self._where(conn)
            if live > since:
                rows = self._fetch(conn, since, live)
                if len(rows) > min(_TO_REPLAY, self.lot_max - 1):
                    raise _NotYet
                self._apply_or_isolate(conn, rows, since, live)
            self.etape("basculer")
            for one in self.rows:
                shadow.replace(conn, one.table)
            conn.execute(_SWAPPED, {"at": max(live, since), "name": name})
            conn.execute(_LIVE_FORGOTTEN.encode(), (name,))
            conn.execute(_ASIDE_MOVED.encode(), (name,))
            self._end(conn, "basculee", None, aside, different)
            conn.execute(f"NOTIFY suiveur_{name}")
            self.etape("basculé")
        self.etape("fini")

    def _end(self, conn: Connection[Any], state: str, cause: str | None, aside: int, different: int) -> None:
        conn.execute(_END, (state, cause and cause[:2_000], aside, different, self._rang))


__all__ = ["Aside", "Outcome", "Rebuild", "RebuildRefused"]
