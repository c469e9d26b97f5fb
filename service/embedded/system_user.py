"""Who PostgreSQL runs as: it refuses root.

Started as root it runs as the system user `creances-pg`, which is created if missing; so that this user can reach its
files, the parents of the data folder and of the installed wheel are opened for traversal (`o+x`, no listing), each one
logged as `embedded.opened_folder`. Nothing is opened otherwise.
"""

import os
import pwd
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from service.embedded.child import PROBE_INTERVAL_SECONDS, EmbeddedError

logger = structlog.get_logger(__name__)

SYSTEM_USER: Final = "creances-pg"
CREATION_SECONDS_MAX: Final = 10.0


def user_for(pgdata: Path, binaries: Path) -> tuple[int, int]:
    """Return the uid and gid that PostgreSQL runs as, (0, 0) meaning our own; as root, see to it that it may."""
    if os.geteuid() != 0:
        return 0, 0
    owner = pgdata.stat() if pgdata.exists() else None
    user = (owner.st_uid, owner.st_gid) if owner and owner.st_uid else _system_user()
    _open_for_traversal([pgdata, binaries])
    if not binaries.stat().st_mode & 0o001:  # Installed under a strict umask.
        for path in (binaries.parent, *binaries.parent.rglob("*")):
            mode = path.stat().st_mode
            path.chmod(mode | 0o004 | (0o001 if mode & 0o100 else 0))
    return user


def _system_user() -> tuple[int, int]:
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    deadline = time.monotonic() + CREATION_SECONDS_MAX
    while True:
        with suppress(KeyError):
            entry = pwd.getpwnam(SYSTEM_USER)
            return entry.pw_uid, entry.pw_gid
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True)
        except FileNotFoundError as cause:
            raise EmbeddedError(f"useradd manque : créez l'utilisateur système {SYSTEM_USER}.") from cause
        if done.returncode == 0:
            logger.info("embedded.created_user", user=SYSTEM_USER)
        elif time.monotonic() > deadline:  # Until then, another process may just be creating it.
            raise EmbeddedError(f"L'utilisateur système {SYSTEM_USER} n'a pu être créé : {done.stderr.strip()}")
        else:
            time.sleep(PROBE_INTERVAL_SECONDS)


def _open_for_traversal(paths: Sequence[Path]) -> None:
    for folder in {parent for path in paths for parent in path.parents}:
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o001)
            logger.info("embedded.opened_folder", folder=str(folder), added="o+x")
