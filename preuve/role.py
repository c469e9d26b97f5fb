"""The role `sceller`: seals what was written, about once a second, and writes the tiles that others read."""

import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, Final

import psycopg
import structlog
from psycopg import Connection

from engine.backoff import Backoff
from engine.database import connect
from engine.outages import is_outage
from engine.role_state import RoleState
from preuve.folder import FolderStopped
from preuve.seal import Sealer, Sealing

FOLDER_AGAIN_S: Final = 60.0
"""How long a folder that could not be written is left alone, at most (seconds)."""

NAME: Final = "sceller"
"""The name under which the role signs, in `lag` and `/metrics`."""


class SealingRole:
    """Seals until it is stopped; an outage of PostgreSQL interrupts it, and it goes on from what is sealed.

    Raises TransactionsWentBack after a restore without a new epoch: the role falls, and says why.
    """

    def __init__(
        self,
        url: str,
        sealing: Sealing,
        *,
        interval_s: float,
        after: Callable[[Connection[Any]], None] = lambda _: None,
    ) -> None:
        """`interval_s`: between two looks when nothing waits (seconds).

        `after`: called after each look, to write the tiles; FolderStopped and OSError stop nothing but the tiles.
        """
        self._url = url
        self._sealing = sealing
        self._interval_s = interval_s
        self._after = after
        self._state = RoleState(url, NAME)
        self._log = structlog.get_logger()
        self._without_folder = Backoff(self._log, "tuiles_interrompues", maximum_s=FOLDER_AGAIN_S)
        self._folder_at = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Seal until `stop` is set."""
        retry = Backoff(self._log, "sceau_interrompu")
        while not stop.is_set():
            try:
                with closing(connect(self._url, application=f"creances-{NAME}")) as conn:
                    self._lead(conn, stop, retry)
            except Exception as fault:
                if not is_outage(fault):
                    raise
                self._state.interrupt(fault)
                stop.wait(retry.fail(fault))
        with suppress(psycopg.Error), closing(connect(self._url, application=f"creances-{NAME}")) as conn:
            self._state.dire(conn, "inactif")

    def _lead(self, conn: Connection[Any], stop: threading.Event, retry: Backoff) -> None:
        sealer = Sealer(self._sealing)
        while not stop.is_set():
            more = sealer.advance(conn)
            self._write_folder(conn)
            if self._state.is_due:
                self._state.dire(conn, "actif")
            retry.progress()
            if not more:
                stop.wait(self._interval_s)

    def _write_folder(self, conn: Connection[Any]) -> None:
        """The tiles follow the seal and never hold it up; what stops them is told, and tried again later."""
        if time.monotonic() < self._folder_at:
            return
        try:
            self._after(conn)
            self._without_folder.progress()
        except (FolderStopped, OSError) as fault:
            self._state.interrupt(fault)
            self._folder_at = time.monotonic() + self._without_folder.fail(fault)
