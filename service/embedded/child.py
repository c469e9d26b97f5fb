"""A server that we started: how it starts, how it is awaited, how it stops; it never outlives us."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import structlog

logger = structlog.get_logger(__name__)

START_SECONDS_MAX: Final = 60.0
PROBE_INTERVAL_SECONDS: Final = 0.02
LOG_BYTES_MAX: Final = 10 * 1024 * 1024
LOG_TAIL_BYTES: Final = 4000


class EmbeddedError(RuntimeError):
    """An embedded server cannot start, or stopped by itself."""


@cache
def _spawner(_pid: int) -> ThreadPoolExecutor:
    """Give the one thread that starts servers: their death signal fires when the thread that started them ends."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedded")


@dataclass(frozen=True)
class Child:
    """A server that we started, and its log file."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    log_start: int

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        death_signal: signal.Signals,
        user: tuple[int, int] = (0, 0),
        environment: dict[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> "Child":
        if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_suffix(".log.1"))
        launcher = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launcher.py"))]
        arguments = [str(number) for number in (os.getpid(), int(death_signal), *user)]
        with log.open("ab") as output:
            process = (
                _spawner(os.getpid())
                .submit(
                    subprocess.Popen,
                    [*launcher, *arguments, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd="/",
                    env=environment or {},
                    pass_fds=pass_fds,
                    start_new_session=True,  # Ctrl-C is for us: we stop the servers last.
                )
                .result()
            )
            return cls(name, process, log, output.tell())

    def ensure_running(self) -> None:
        """Check that the server still runs.

        Raises:
            EmbeddedError: it ended; its last output is in the message.
        """
        if (code := self.process.poll()) is not None:
            raise EmbeddedError(f"{self.name} s'est arrêté (code {code}). Sa sortie ({self.log}) :\n{self.output()}")

    def output(self) -> str:
        """Return the end of what the server wrote since its start."""
        with self.log.open("rb") as log:
            log.seek(max(self.log_start, self.log.stat().st_size - LOG_TAIL_BYTES))
            return log.read().decode(errors="replace").strip() or "(aucune sortie)"

    def stop(self, *steps: tuple[signal.Signals, float]) -> None:
        """Send each signal in turn, each with the seconds given to end, and SIGKILL at last."""
        for number, seconds in steps:
            self.process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
                return
            logger.warning("embedded.slow_stop", server=self.name, signal=number.name, seconds=seconds)
        self.process.kill()
        self.process.wait()

    def await_ready(self, ready: Callable[[], bool]) -> None:
        """Probe until the server answers, for START_SECONDS_MAX at most.

        Raises:
            EmbeddedError: it ended or did not answer in time; its last output is in the message.
        """
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            self.ensure_running()
            if ready():
                self.ensure_running()  # What answered is ours, not another process on the same port.
                return
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"{self.name} ne répond pas après {START_SECONDS_MAX:.0f} s. "
                    f"Sa sortie ({self.log}) :\n{self.output()}"
                )
            time.sleep(PROBE_INTERVAL_SECONDS)
