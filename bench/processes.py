"""The processes under measurement: the service's own commands, or a script of the bench, each with its log and RSS."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from service.settings import PREFIX, Settings

STOP_SECONDS: Final = 20.0
_WHOLE_PROCESS: Final = 2
"""The kernel's clock of a process is its number inverted, then this (`clock_getcpuclockid`)."""

LOG_TAIL: Final = 3_000
_T = TypeVar("_T")


@dataclass(frozen=True)
class Process:
    """A running process; its output is in its log."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    def ensure_running(self) -> None:
        """Raise RuntimeError, with the end of its log, if it ended."""
        if self.popen.poll() is not None:
            tail = self.log.read_text(errors="replace")[-LOG_TAIL:]
            raise RuntimeError(f"{self.name} ended with code {self.popen.returncode}:\n{tail}")

    def rss_bytes(self) -> int:
        """Resident memory now."""
        return self._status("VmRSS")

    def peak_rss_bytes(self) -> int:
        """The most resident memory it ever had."""
        return self._status("VmHWM")

    def cpu_seconds(self) -> float:
        """Processor time used so far, user and system."""
        return cpu_seconds(self.popen.pid)

    def _status(self, field: str) -> int:
        for line in Path(f"/proc/{self.popen.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError(f"{self.name} has no {field}")


def cpu_seconds(pid: int) -> float:
    """Processor time that a process used so far, user and system, to the nanosecond; 0 for one that is not here."""
    try:
        return time.clock_gettime(~pid << 3 | _WHOLE_PROCESS)
    except OSError:
        return 0.0


@contextmanager
def service_roles(settings: Settings, *commands: Sequence[str], **more: str) -> Iterator[list[Process]]:
    """Run `creances …` once for each command, as production does: a process a role."""
    environment = _environment(settings) | {f"{PREFIX}{key}": value for key, value in more.items()}
    creances = str(Path(sys.executable).with_name("creances"))
    with ExitStack() as stack:
        yield [
            stack.enter_context(_running(" ".join(command), [creances, *command], environment, settings.data_dir))
            for command in commands
        ]


@contextmanager
def bench_script(settings: Settings, module: str, *arguments: str) -> Iterator[Process]:
    """Run `python -m bench.…`, on the owner's database URL: what the library and the ceiling need."""
    command = [sys.executable, "-m", f"bench.{module}", *arguments]
    environment = _environment(settings) | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    with _running(f"{module} {' '.join(arguments)}", command, environment, settings.data_dir) as process:
        yield process


def wait_for(condition: Callable[[], _T], processes: Sequence[Process], seconds: float, what: str) -> _T:
    """Poll until the condition holds and return its value; raise if a process ends before, or TimeoutError."""
    deadline = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        for process in processes:
            process.ensure_running()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not after {seconds:g} s")
        time.sleep(0.01)


def _environment(settings: Settings) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    given: Mapping[str, str | None] = {
        "MODE": "demonstration",
        "DATABASE_URL": settings.database_url,
        "OWNER_DATABASE_URL": settings.owner_database_url,
        "KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "TOPIC_PREFIX": settings.topic_prefix,
        "DATA_DIR": str(settings.data_dir),
        "API_PORT": str(settings.api_port),
        "LOG_FORMAT": "json",
    }
    return kept | {f"{PREFIX}{name}": value for name, value in given.items() if value is not None}


@contextmanager
def _running(name: str, command: list[str], environment: dict[str, str], folder: Path) -> Iterator[Process]:
    log = folder / f"{name.replace(' ', '-').replace('/', '-')[:60]}.log"
    with log.open("ab") as output:
        popen = subprocess.Popen(  # noqa: S603  our own commands, no shell
            command, env=environment, cwd=folder, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    try:
        yield Process(name, popen, log)
    finally:
        popen.send_signal(signal.SIGTERM)
        try:
            popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()
