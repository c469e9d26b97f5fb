"""A backup takes the place of the log, under running roles; then all is done that the runbook says."""

import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import psycopg

from service.embedded.postgres import postgres_binaries
from tests.faults.fault import Scene
from tests.faults.ledger import Restore
from tests.faults.stack import Stack

READ_AGAIN: Final = ("consommateur_avis", "consommateur_kiosque", "restant_du", "paiements")
KNOWN_S: Final = 900.0
"""How long the roles may take to see what happened and to read again (seconds); a busy machine needs most of it."""
UNSEEN_S: Final = 20.0
"""After that long without a role saying that the log is behind, it is not (seconds): each looks every second."""

Swap = Callable[[], None]
"""Puts the backup that was taken in the place of the log."""


def restore_dump(scene: Scene) -> None:
    """`pg_dump`, then `pg_restore` beside the log, then the one for the other: no role sees half a database."""
    _restore(scene, _dump)


def restore_copy(scene: Scene) -> None:
    """`pg_basebackup`, then the server stopped, its folder replaced, and started."""
    _restore(scene, _copy)


def _restore(scene: Scene, take: Callable[[Stack], Swap]) -> None:
    begun = time.monotonic()
    swap = take(scene.stack)
    taken = time.monotonic()
    time.sleep(scene.rng.uniform(1, 12))  # What happens now is what the log will have forgotten.
    closing = time.monotonic()
    swap()
    scene.ledger.restores.append(Restore(begun, taken, closing, time.monotonic()))
    _runbook(scene)


def _runbook(scene: Scene) -> None:
    """From its step 3 on: the roles look at what they have; if it is behind, an epoch is opened."""
    stack = scene.stack
    stack.until(lambda: stack.command("healthy", "--caught-up", *READ_AGAIN).returncode == 0, KNOWN_S, "read again", 1)
    with suppress(TimeoutError):
        stack.until(lambda: stack.command("epoch").returncode != 0, UNSEEN_S, "the log is behind", 1)
        opened = stack.command("epoch", "--open", "a backup was restored by the fault driver")
        if opened.returncode != 0:
            scene.wrong.append(f"epoch --open: {opened.stdout}{opened.stderr}")
    # Else the backup had all that anybody outside knows, and there is nothing to open.


# --- Two kinds of backup ----------------------------------------------------------------------------------------------


def _dump(stack: Stack) -> Swap:
    file = stack.folder / "backup.dump"
    _run("pg_dump", "--format=custom", f"--file={file}", f"--dbname={stack.owner_url}")

    def swap() -> None:
        admin = _database(stack.owner_url, "postgres")
        with psycopg.connect(admin, autocommit=True) as conn:
            conn.execute("DROP DATABASE IF EXISTS creances_beside")
            conn.execute("CREATE DATABASE creances_beside TEMPLATE template0 ENCODING 'UTF8'")
            _run(
                "pg_restore", "--exit-on-error", f"--dbname={_database(stack.owner_url, 'creances_beside')}", str(file)
            )
            conn.execute("ALTER DATABASE creances ALLOW_CONNECTIONS false")
            stop = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'creances'"
            deadline = time.monotonic() + KNOWN_S
            while True:
                conn.execute(stop)
                with suppress(psycopg.errors.ObjectInUse):
                    conn.execute("ALTER DATABASE creances RENAME TO creances_before")
                    break
                if time.monotonic() > deadline:
                    raise TimeoutError("somebody stays connected to the old database")
            conn.execute("ALTER DATABASE creances_beside RENAME TO creances")
            conn.execute("DROP DATABASE creances_before")
        file.unlink()

    return swap


def _copy(stack: Stack) -> Swap:
    copy, lying = stack.folder / "backup", stack.folder / "pg" / "postgres"
    shutil.rmtree(copy, ignore_errors=True)
    _run("pg_basebackup", f"--pgdata={copy}", "--wal-method=stream", "--checkpoint=fast", f"--dbname={stack.owner_url}")

    def swap() -> None:
        owner = lying.stat()
        stack.stop_postgres()
        shutil.rmtree(lying)
        shutil.copytree(copy, lying, symlinks=True)
        for path in (lying, *lying.rglob("*")):
            shutil.chown(path, owner.st_uid, owner.st_gid)
        lying.chmod(0o700)
        stack.start_postgres()
        shutil.rmtree(copy)

    return swap


def _run(program: str, *arguments: str) -> None:
    done = subprocess.run(
        [Path(postgres_binaries()) / program, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{program}: {done.stderr}")


def _database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
