"""Who leads a follower: a lease in the database, renewed while its holder lives, and taken over after its silence.

A session's advisory lock outlives a lost machine by two hours, and a frozen process for ever. A lease ends by itself;
when PostgreSQL knows that its holder's session is gone, at once.
It is numbered: each taking has a new number, and whatever its holder writes is written under that number only, so that
a late leader's write is refused however late it wakes.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
import structlog
from psycopg import Connection

from engine.database import connect
from engine.outages import Outage

LEASE_S: Final = 10.0
"""How long a lease lasts without being renewed, and how long its holder's transaction may stay silent (seconds)."""

RENEWALS: Final = 3
"""How many times it is renewed while it lasts: two may fail without losing it."""

CLOCK_SLACK_S: Final = 1.0
"""How much further than a whole lease an expiry may lie and still be believed (seconds).

Beyond, PostgreSQL's clock has jumped back: believed, that lease would keep everybody out until the clock is there.
"""

# Takes a lease that is free, our own from before, past, absurd, or whose holder's session is gone. Somebody in the
# midst of writing under it holds the row: skipped, not waited for; his own bound ends him.
_TAKE: Final = """
UPDATE vues.suiveurs
SET bail = %(new)b, bail_expire_le = clock_timestamp() + %(length)b, bail_session = pg_backend_pid()
WHERE nom = (
    SELECT nom FROM vues.suiveurs
    WHERE nom = %(name)b
      AND (bail IS NULL OR bail = %(former)b
           OR bail_expire_le NOT BETWEEN clock_timestamp() AND clock_timestamp() + %(believed)b
           OR NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = bail_session))
    FOR UPDATE SKIP LOCKED
)
"""

_RENEW: Final = """
UPDATE vues.suiveurs SET bail_expire_le = clock_timestamp() + %b, battement_le = clock_timestamp()
WHERE nom = %b AND bail = %b
"""

# Locks the row until the end of the transaction: nobody takes the lease over meanwhile.
_HOLD: Final = "SELECT FROM vues.suiveurs WHERE nom = %b AND bail = %b FOR UPDATE"

_RELEASE: Final = """
UPDATE vues.suiveurs SET bail = NULL, bail_expire_le = NULL, bail_session = NULL WHERE nom = %b AND bail = %b
"""


def _now_s() -> float:
    """A clock that nobody sets, and that runs on while the machine is suspended (seconds)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LeadershipLost(Exception):
    """Somebody else leads: stop, and start again from the recorded position."""


class Lease:
    """The right to lead one follower, held by one object at a time."""

    def __init__(self, url: str, name: str, length_s: float = LEASE_S, table: str = "vues.suiveurs") -> None:
        """`name` is the follower's; every follower of a name has the same `length_s` (seconds).

        `table`: where the lease is kept; the row of `name` is there before it is taken.
        """
        self._take, self._renewal, self._held, self._given_back = (
            statement.replace("vues.suiveurs", table) for statement in (_TAKE, _RENEW, _HOLD, _RELEASE)
        )
        self.url = url
        self.name = name
        self.length_s = length_s
        self.number: UUID | None = None
        """The number of the lease last taken; kept after a lost connection, to take our own again without waiting."""
        self._renewed_at = float("-inf")
        self._lost = False

    def take(self, conn: Connection[Any]) -> bool:
        """Take the lease under a new number if nobody else holds it; say whether it is ours."""
        new, asked_at = uuid4(), _now_s()
        length = timedelta(seconds=self.length_s)
        values = {
            "new": new,
            "former": self.number,
            "name": self.name,
            "length": length,
            "believed": length + timedelta(seconds=CLOCK_SLACK_S),
        }
        if conn.execute(self._take, values).rowcount != 1:
            return False
        self.number, self._renewed_at, self._lost = new, asked_at, False
        return True

    def require(self) -> None:
        """Raise LeadershipLost if, by our own clock, it may have been taken over: before what no write guards."""
        if self._lost or _now_s() - self._renewed_at > self.length_s:
            raise LeadershipLost(self.name)

    def hold(self, conn: Connection[Any]) -> None:
        """Keep the lease until the end of this transaction. Raises LeadershipLost if it is no longer ours."""
        if conn.execute(self._held, (self.name, self.number)).rowcount != 1:
            raise LeadershipLost(self.name)

    def release(self, conn: Connection[Any]) -> None:
        """Give the lease back, if it is still ours and the connection still answers."""
        with suppress(psycopg.Error):
            conn.execute(self._given_back, (self.name, self.number))

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Renew it in the background, on a connection of its own: while we wait, and while a long batch runs."""
        end = threading.Event()
        thread = threading.Thread(target=self._renew_until, args=(end,), name=f"lease-{self.name}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            # A renewal that a frozen server keeps waiting must not keep us: nothing depends on its end.
            thread.join(1.0)

    def _renew_until(self, end: threading.Event) -> None:
        number, every_s = self.number, self.length_s / RENEWALS
        while not end.wait(every_s):
            try:
                with closing(connect(self.url, application=f"lease-{self.name}")) as conn:
                    while not end.is_set():
                        if not self._renew(conn, number):
                            return
                        end.wait(every_s)
            except (psycopg.Error, Outage) as error:  # Tried again; if it lasts, `require` stops the leader.
                structlog.get_logger().warning("bail_non_renouvele", suiveur=self.name, cause=str(error))

    def _renew(self, conn: Connection[Any], number: UUID | None) -> bool:
        asked_at = _now_s()
        ours = conn.execute(self._renewal, (timedelta(seconds=self.length_s), self.name, number)).rowcount == 1
        if number == self.number:
            self._lost = not ours
            self._renewed_at = asked_at if ours else self._renewed_at
        return ours
