"""PostgreSQL's clock jumps, and is set right again; it runs under libfaketime (Debian: faketime)."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from service.embedded.child import Child
from tests.faults.fault import Scene
from tests.faults.stack import Stack

LIBRARIES: Final = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
JUMPS: Final = ("+40", "+600", "+50m", "+30h", "-40", "-600", "-50m", "-30h")
"""Seconds, minutes, hours: ahead and behind, within and beyond what a lease, a payment and a day last."""


@contextmanager
def own_clock(file: Path) -> Iterator[bool]:
    """PostgreSQL, started within, reads its time from the clock that `file` shifts; False if this machine cannot."""
    if not LIBRARIES:
        yield False
        return
    file.write_text("+0")
    file.chmod(0o644)
    # Set by `env`, after the change of user: the library makes its semaphore in the name of who loaded it.
    shifted = [
        "/usr/bin/env",
        f"LD_PRELOAD={LIBRARIES[0]}",
        f"FAKETIME_TIMESTAMP_FILE={file}",
        "FAKETIME_CACHE_DURATION=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        "NO_FAKE_STAT=1",
    ]
    start = Child.start

    def started(name: str, command: Sequence[str], *others: Any, **options: Any) -> Child:
        return start(name, [*shifted, *command] if name == "PostgreSQL" else command, *others, **options)

    with patch.object(Child, "start", started):
        yield True


def lacking(stack: Stack) -> str | None:
    """A clock of PostgreSQL's own."""
    return None if stack.own_clock else "libfaketime (Debian: apt-get install faketime)"


def jump(scene: Scene) -> None:
    """PostgreSQL's clock is wrong for a while."""
    file = scene.stack.clock_file
    file.write_text(scene.rng.choice(JUMPS))
    try:
        time.sleep(scene.rng.uniform(3, 15))
    finally:
        file.write_text("+0")
