"""Beside the sealer, a thread a witness: has each signed state cosigned, keeps what it signed, tells what it refused.

A witness that is away, slow or lying delays its own cosignatures and nothing else. The last state is shown to it again
when the database answers anew and every minute: a log that a restore has turned back need not grow to be recognised.
"""

import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, Final, assert_never

import psycopg
import structlog
from psycopg import Connection

from engine.backoff import Backoff
from engine.database import connect
from engine.outages import is_outage
from engine.role_state import RoleState
from preuve import witnessing
from preuve.merkle import consistency_proof
from preuve.notes import Verifier
from preuve.tiles import subtrees
from preuve.tree import tile_reader
from preuve.witness_protocol import Answer, Request
from preuve.witnessing import Contradicted, Point, Seen, Unseen

SHOWN_AGAIN_S: Final = 60.0
"""How often a state that was cosigned is shown again (seconds)."""

PREFIX: Final = "temoin "
"""Before a witness's name, in the states of the roles."""


class WitnessAway(Exception):
    """A witness did not cosign, and did not say that the log is wrong."""


class LogRefused(Exception):
    """A witness knows another past of this log."""


class WitnessRole:
    """Follows the signed states with one witness, until it is stopped."""

    def __init__(
        self,
        url: str,
        witness: Verifier,
        send: Callable[[Request], Answer],
        *,
        interval_s: float,
        recall: Callable[[Connection[Any], Point], str | None] = lambda _conn, _point: None,
    ) -> None:
        """`url`: the database; `send`: asks the witness; `interval_s`: between two states shown to it (seconds).

        `recall`: finds, elsewhere than in the database, the signed state that was abandoned; None: not found.
        """
        self._url = url
        self._witness = witness
        self._send = send
        self._interval_s = interval_s
        self._recall = recall
        self.name = PREFIX + witness.name
        """The name under which it signs in the database."""
        self._state = RoleState(url, self.name)
        self._log = structlog.get_logger().bind(temoin=witness.name)
        self._without_answer = Backoff(self._log, "temoin_sans_cosignature", maximum_s=SHOWN_AGAIN_S)
        self._cosigned = ("", 0)
        self._shown_at = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Follow until `stop` is set; an outage of PostgreSQL interrupts it."""
        retry = Backoff(self._log, "temoin_interrompu")
        while not stop.is_set():
            try:
                with closing(connect(self._url, application="creances-temoin")) as conn:
                    self._shown_at = float("-inf")
                    while not stop.is_set():
                        pause = self.look(conn)
                        retry.progress()
                        stop.wait(pause)
            except Exception as fault:
                if not is_outage(fault):
                    raise
                self._state.interrupt(fault)
                stop.wait(retry.fail(fault))
        with suppress(psycopg.Error), closing(connect(self._url, application="creances-temoin")) as conn:
            self._state.dire(conn, "inactif")

    def look(self, conn: Connection[Any]) -> float:
        """Show the last signed state, if there is reason to; return how long to wait (seconds)."""
        point = witnessing.last_point(conn)
        new = point is not None and (point.epoch, point.size) != self._cosigned
        if point is None or not (new or time.monotonic() - self._shown_at > SHOWN_AGAIN_S):
            if self._state.is_due:
                self._state.dire(conn, "actif")
            return self._interval_s
        verdict = witnessing.submit(self._send, self._witness, point, self._old(conn, point), _prover(conn, point))
        match verdict:
            case Seen(line):
                witnessing.keep(conn, point, self._witness.name, line)
                self._cosigned, self._shown_at = (point.epoch, point.size), time.monotonic()
                self._without_answer.progress()
                self._state.dire(conn, "actif")
                return self._interval_s
            case Contradicted(known):
                return self._refused(conn, point, known)
            case Unseen(why):
                return self._without(WitnessAway(f"{self._witness.name} {why}"))
            case _:
                assert_never(verdict)

    def _old(self, conn: Connection[Any], point: Point) -> int:
        epoch, size = self._cosigned
        return size if epoch == point.epoch else witnessing.cosigned_size(conn, point.epoch, self._witness.name)

    def _refused(self, conn: Connection[Any], point: Point, known: int | None) -> float:
        # What is larger was signed, and shown to it by another process, since we looked: nobody has gone back.
        if known is not None and point.size < known <= witnessing.signed_size(conn, point.epoch):
            return 0.0
        if witnessing.needs_telling(conn, point.epoch, self._witness.name):
            witnessing.keep_refusal(conn, point, self._witness.name, known, self._recall(conn, point))
        said = f"connaît {known} feuilles" if known is not None else "n'y retrouve pas ce qu'il a cosigné"
        log = point.checkpoint.origin
        return self._without(LogRefused(f"{self._witness.name} refuse {log} ({point.size} feuilles) : {said}"))

    def _without(self, fault: WitnessAway | LogRefused) -> float:
        """Tell that nothing was cosigned, and why; return how long to wait (seconds)."""
        self._state.interrupt(fault)
        return max(self._without_answer.fail(fault), self._interval_s)


def _prover(conn: Connection[Any], point: Point) -> Callable[[int], list[bytes]]:
    reader = subtrees(point.size, tile_reader(conn, point.epoch))
    return lambda old: consistency_proof(old, point.size, reader)
