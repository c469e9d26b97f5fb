"""Stopping on signals: a handler that takes no lock, and an end within bounds whatever the servers do."""

import faulthandler
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_signals(patience: timedelta | None = None) -> Iterator[threading.Event]:
    """An event that is set after SIGINT or SIGTERM; the former handlers come back at the end, unless one was received.

    A handler runs between two instructions of the main thread, which may hold the very lock that `Event.set()` takes:
    it only writes a byte to a pipe, and a thread that reads the pipe sets the event. With `patience`, the process is
    ended by force (code 1, with the stack of each thread) if it still runs that long after the first signal: a library
    that waits for a frozen server would otherwise hold up the interpreter's own end.
    """
    stop = threading.Event()
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    told: list[int] = []

    def handle(number: int, _frame: object) -> None:
        if not told:
            told.append(number)
            os.write(writes, b"!")

    def watch() -> None:
        if os.read(reads, 1) == b"!":
            if patience is not None:
                faulthandler.dump_traceback_later(patience.total_seconds(), exit=True)
            stop.set()

    watcher = threading.Thread(target=watch, name="signals", daemon=True)
    watcher.start()
    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield stop
    finally:
        if not told:  # The rest of a burst must not cut short the end of the process.
            for number, handler in before.items():
                signal.signal(number, handler)
            os.write(writes, b".")
        watcher.join()
        for end in (reads, writes):
            if not told:
                os.close(end)
