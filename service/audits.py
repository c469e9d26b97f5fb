"""An audit asked for from a page: run by a process of its own, so that neither its work nor its memory is the API's.

`python -m service.audits N` runs the audit of rank N on the database that CREANCES_DATABASE_URL names.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import version
from typing import Any, Final, Self

from psycopg import Connection

from engine.database import connect
from engine.outages import describe
from projections.audit import auditer
from projections.vues import audits

BEATS_SECONDS: Final = 1.0
NICENESS: Final = 10


def launcher(database_url: str) -> Callable[[int], None]:
    """What starts the audit of a rank, and does not wait for it."""

    def launch(rank: int) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CREANCES_")}
        child = subprocess.Popen(
            [sys.executable, "-m", "service.audits", str(rank)],
            env=environment | {"CREANCES_DATABASE_URL": database_url, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        threading.Thread(target=child.wait, name=f"audit-{rank}", daemon=True).start()

    return launch


def run(database_url: str, rank: int) -> None:
    """Run this audit, tell its progress, keep its report; whatever stops it is told too."""
    with (
        closing(connect(database_url, application="creances-audit")) as conn,
        closing(connect(database_url, application="creances-audit-progress")) as told,
    ):
        wanted = audits.audit_demande(told, rank)
        if wanted is None or wanted.fini_le is not None:
            return
        with _Progress(told, rank) as progress:
            try:
                report = auditer(conn, depuis=wanted.depuis, avancer=progress.advance)
                result: Any = {"rapport": report.en_json(version("creances")), "totaux": report.en_csv()}
            except Exception as cause:  # noqa: BLE001 (whatever it is, the page tells it)
                result = {"rapport": None, "totaux": None, "echec": describe(cause)}
        audits.finir(told, rank, **result)


class _Progress:
    """Tells where the audit is, each second, from a thread: the audit itself is not slowed, and is seen alive."""

    def __init__(self, conn: Connection[Any], rank: int) -> None:
        self._conn, self._rank = conn, rank
        self._now: tuple[str, int, int] = ("", 0, 0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="progress")

    def advance(self, what: str, done: int, of: int) -> None:
        self._now = (what, done, of)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _tell(self) -> None:
        while True:
            audits.avancer(self._conn, self._rank, *self._now)
            if self._over.wait(BEATS_SECONDS):
                return


def main() -> None:
    """Run the audit whose rank is the only argument."""
    os.nice(NICENESS)
    run(os.environ["CREANCES_DATABASE_URL"], int(sys.argv[1]))


if __name__ == "__main__":
    main()
