"""The folders of the servers: a throwaway one, and one that a single process uses at a time."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from service.embedded.child import PROBE_INTERVAL_SECONDS, EmbeddedError

LEFT_BEHIND_SECONDS_MAX: Final = 30.0
"""What a server whose owner was killed is given to end."""

OWNER_GRACE_SECONDS: Final = 1.0
"""A process that was just killed is still seen for a moment."""


class FolderInUseError(EmbeddedError):
    """Another process uses the same data folder."""


MEMORY: Final = Path("/dev/shm")  # noqa: S108  a folder of ours in it, as in any other
"""Where Linux keeps files in memory."""

MEMORY_BYTES_MIN: Final = 4 * 1024**3
"""The room it must have: in a container it often has 64 MiB."""


@contextmanager
def throwaway_folder(*, in_memory: bool = False) -> Iterator[Path]:
    """Give a new short-named folder, deleted at the end.

    `in_memory`: where there is room for it. A database copied and dropped then costs PostgreSQL a third of the time:
    most of it goes into creating and removing files.
    """
    folder = Path(tempfile.mkdtemp(prefix="creances-", dir=MEMORY if in_memory and _has_room(MEMORY) else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has_room(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free >= MEMORY_BYTES_MIN
    except OSError:
        return False


@contextmanager
def exclusive(folder: Path) -> Iterator[int]:
    """Lock the folder; a server that a killed owner left behind is given LEFT_BEHIND_SECONDS_MAX to end."""
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError as cause:
        raise EmbeddedError(f"Le dossier {folder} appartient à un autre utilisateur.") from cause
    try:
        asked = time.monotonic()
        while not _locked(lock):
            owner = os.pread(lock, 20, 0).decode().strip()
            patience = OWNER_GRACE_SECONDS if owner and living(int(owner)) else LEFT_BEHIND_SECONDS_MAX
            if time.monotonic() - asked > patience:
                raise FolderInUseError(
                    f"Le dossier {folder} est déjà utilisé par le processus {owner} : "
                    "arrêtez-le, ou choisissez un autre dossier (--data-dir)."
                )
            time.sleep(PROBE_INTERVAL_SECONDS)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield lock
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def living(pid: int) -> str | None:
    """Return the name of a running process, None for one that is gone or only waits for its parent to take note."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    name, _, rest = stat.partition("(")[2].rpartition(")")
    return None if rest.split()[0] in "ZX" else name
