"""PostgreSQL's disk is full, then there is room again: its own small disk, so that nobody else's is."""

import ctypes
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psycopg

from tests.faults.fault import Scene
from tests.faults.stack import Stack

SIZE_BYTES: Final = 3 << 30
"""Of the disk in memory, which takes only what is written on it."""
CLONE_NEWNS: Final = 0x00020000
LEFT_BYTES: Final = (0, 8192, 65536, 1 << 20)
"""What a full disk still takes."""
SEGMENTS: Final = 24
"""Log switches that use up the segments which PostgreSQL keeps ready: then it finds no room for its own log either."""


@contextmanager
def small_disk(where: Path) -> Iterator[bool]:
    """A disk of its own at `where`, for us and the processes that we start; False if this machine gives none.

    It is in a mount namespace of ours: however we end, it is gone with us. Threads that run already do not see it.
    """
    try:
        _unshare()
    except OSError:
        yield False
        return
    _run("mount", "--make-rprivate", "/")
    where.mkdir(parents=True, exist_ok=True)
    where.chmod(0o755)
    mounted = _run("mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(where))
    try:
        yield mounted
    finally:
        if mounted:
            _run("umount", "--lazy", str(where))


def _run(*command: str) -> bool:
    return subprocess.run(["/usr/bin/env", *command], check=False, capture_output=True).returncode == 0


def _unshare() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def lacking(stack: Stack) -> str | None:
    """A disk that can be full without harm to others."""
    return None if stack.own_disk else "the right to mount a small disk (root)"


def fill_disk(scene: Scene) -> None:
    """Nothing more can be written; sometimes not even PostgreSQL's own log, and it stops until there is room."""
    stack, rng = scene.stack, scene.rng
    disk = stack.folder / "pg"
    switches, left = rng.choice([0, 0, SEGMENTS]), rng.choice(LEFT_BYTES)
    until = time.monotonic() + rng.uniform(2, 10)
    try:
        while time.monotonic() < until:
            _shrink(disk, left)  # Again and again: what is freed meanwhile is not to be had.
            with suppress(psycopg.Error):
                for _ in range(switches):
                    stack.sql("SELECT pg_logical_emit_message(false, 'faults', repeat('x', 1000)), pg_switch_wal()")
            left = 0
            time.sleep(0.3)
    finally:
        _resize(disk, SIZE_BYTES)
    stack.revive_postgres()


def _shrink(disk: Path, left: int) -> None:
    """Makes the disk as small as what lies on it, but for these bytes."""
    told = os.statvfs(disk)
    _resize(disk, (told.f_blocks - told.f_bfree) * told.f_frsize + left)  # Refused if more was written meanwhile.


def _resize(disk: Path, size: int) -> bool:
    return _run("mount", "-o", f"remount,size={size}", str(disk))
