"""The service as it runs: two processes of each role, PostgreSQL on a disk, Apache Kafka, all on loopback."""

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

import httpx
import psycopg

from service.embedded import EmbeddedError, embedded_postgres
from service.embedded.child import Child
from tests.courtiers import COURTIERS, port_libre
from tests.outils import CREANCES, RACINE, commande, environnement

ROLES: Final = (("api",), ("consume",), ("project",), ("publish",), ("relance",))
INSTANCES: Final = 2
START_S: Final = 900.0
"""How long anything may take to start (seconds): a dozen processes at once on a machine that does other things too."""
RECOVERED_S: Final = 60.0
"""How long PostgreSQL may recover from a crash before it is taken for hung."""


class Process:
    """One process of a role; killed or frozen, it is started again as its supervisor would."""

    def __init__(self, name: str, arguments: tuple[str, ...], env: dict[str, str], log: Path) -> None:
        """Starts nothing yet."""
        self.name, self.arguments, self.env, self.log = name, arguments, env, log
        self.process: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()

    def start(self) -> None:
        """Starts it, unless it runs; two who supervise it start one."""
        with self._starting:
            if self.process is not None and self.process.poll() is None:
                return
            with self.log.open("ab") as output:
                self.process = subprocess.Popen(
                    [*CREANCES, *self.arguments],
                    env=self.env,
                    stdout=output,
                    stderr=output,
                    cwd=RACINE,
                    start_new_session=True,  # As under a supervisor: Ctrl-C is for us alone.
                )

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    @property
    def exited(self) -> int | None:
        """Its exit code, if it ended."""
        return self.process.poll() if self.process is not None else None

    def stop(self, seconds: float = 15.0) -> float:
        """SIGTERM, and SIGKILL if it does not end; how long it took (seconds)."""
        if self.process is None:
            return 0.0
        begun = time.monotonic()
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return time.monotonic() - begun


class Stack:
    """Everything, started; each part can be taken away and comes back."""

    def __init__(self, folder: Path, broker: str) -> None:
        """`broker`: `apache`, which keeps its log, or `tansu`, which does not."""
        self.folder = folder
        self.broker = COURTIERS[broker](folder)
        self.durable = broker == "apache"
        self.prefix = "creances"
        self.urls: list[str] = []
        self.processes: list[Process] = []
        self._nobodys_port = port_libre()
        self._postgres = ExitStack()
        self.database_url = self.owner_url = ""
        self.postmaster = 0
        self._server: Child | None = None
        self.own_disk = self.own_clock = False
        self.clock_file = folder / "clock"
        """What PostgreSQL's clock is shifted by, if it has one of its own."""

    # --- Servers -----------------------------------------------------------------------------------------------------

    def start_postgres(self) -> None:
        """Starts PostgreSQL on its folder; crash recovery is its own."""
        deadline = time.monotonic() + START_S
        while self.postmaster == 0:
            try:
                server = self._postgres.enter_context(embedded_postgres(self.folder / "pg"))
            except (EmbeddedError, psycopg.Error):  # The processes of a killed one are still ending.
                self._postgres.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)
            else:
                self.database_url, self.owner_url = server.database_url, server.owner_database_url
                self._server, self.postmaster = server.server, server.server.process.pid

    def revive_postgres(self) -> None:
        """Starts PostgreSQL again if it gave up, as it does when it cannot write; returns once it answers.

        Where its recovery itself could not write, 18.4 neither ends nor answers, for good: its supervisor ends it.
        """
        deadline, patience = time.monotonic() + START_S, time.monotonic() + RECOVERED_S
        while True:
            if self._server is not None and time.monotonic() > patience:
                self._server.process.kill()
                self._server.process.wait()
                patience = time.monotonic() + RECOVERED_S
            if self._server is not None and self._server.process.poll() is not None:
                self.stop_postgres()
                self.start_postgres()
            try:
                self.sql("SELECT 1")
            except psycopg.Error:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return

    def start_broker(self) -> None:
        """Starts Kafka on its folder; on a busy machine it may miss the time that it is given at first."""
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.broker.demarrer()
            except EmbeddedError:
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def kill_postgres(self) -> None:
        """SIGKILL to the postmaster: nothing is flushed, its children end by themselves."""
        os.kill(self.postmaster, signal.SIGKILL)
        self.stop_postgres()

    def stop_postgres(self) -> None:
        """Stops PostgreSQL cleanly, if it runs."""
        self._postgres.close()
        self.postmaster = 0

    def postgres_processes(self) -> list[int]:
        """The postmaster and all its children."""
        found = [self.postmaster]
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.postmaster:
                found.append(int(stat.parent.name))
        return found

    def sql(self, statement: str, *values: object, owner: bool = True) -> list[tuple[object, ...]]:
        """Runs a statement apart from the service."""
        url = self.owner_url if owner else self.database_url
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as conn:
            cursor = conn.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    # --- Roles -------------------------------------------------------------------------------------------------------

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command as its users would, in this process: a busy machine needs long to start another."""
        return commande(*arguments, **self._settings(self._nobodys_port))

    def _environment(self, port: int) -> dict[str, str]:
        return environnement(**self._settings(port))

    def _settings(self, port: int) -> dict[str, object]:
        return {
            "mode": "demonstration",
            "database_url": self.database_url,
            "owner_database_url": self.owner_url,
            "kafka_bootstrap": self.broker.bootstrap,
            "topic_prefix": self.prefix,
            "jwt_secret": self.secret,
            "session_secret": self.secret,
            "api_port": port,
            "public_url": f"http://127.0.0.1:{port}",
            "data_dir": self.folder / "data",
            "log_format": "json",
            "kiosque_url": self.kiosque_url,
            "simulator_port": self.kiosque_url.rpartition(":")[2],
            "simulator_url": self.kiosque_url,
            "kafka_session_timeout": "PT6S",
        }

    def start(self) -> None:
        """Starts all, and waits until it serves."""
        self.secret = secrets.token_hex(32)
        self.kiosque_url = f"http://127.0.0.1:{port_libre()}"
        self.start_postgres()
        # A small disk is to hold it: no more of its own log than what a checkpoint needs.
        for setting in ("max_wal_size = '192MB'", "min_wal_size = '80MB'"):
            self.sql(f"ALTER SYSTEM SET {setting}")
        self.sql("SELECT pg_reload_conf()")
        self.start_broker()
        for arguments in (("migrate",), ("topics",)):
            done = self.command(*arguments)
            if done.returncode != 0:
                raise EmbeddedError(f"{arguments[0]} : {done.stdout}{done.stderr}")
        for number in range(INSTANCES):
            for arguments in ROLES:
                port = port_libre()
                if arguments == ("api",):
                    self.urls.append(f"http://127.0.0.1:{port}")
                name = f"{arguments[0]}-{number}"
                self.processes.append(Process(name, arguments, self._environment(port), self.folder / f"{name}.log"))
        self.processes.append(
            Process("kiosque", ("kiosque",), self._environment(port_libre()), self.folder / "kiosque.log")
        )
        for process in self.processes:
            process.start()
        self.until(lambda: all(self.ready(url) for url in self.urls), START_S, "both instances of the API serve")

    def supervise(self) -> list[str]:
        """Starts again what ended, as systemd or Kubernetes would; the names of what had ended."""
        ended = [process for process in self.processes if process.exited is not None]
        for process in ended:
            process.start()
        return [f"{process.name} ({process.exited})" for process in ended]

    def ready(self, url: str) -> bool:
        """Whether an instance of the API says that it can serve."""
        try:
            return httpx.get(f"{url}/readyz", timeout=3).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def until(self, condition: Callable[[], bool], seconds: float, what: str, every: float = 0.1) -> float:
        """Waits for a condition; how long it took. Raises TimeoutError."""
        begun = time.monotonic()
        while True:
            try:
                if condition():
                    return time.monotonic() - begun
            except (psycopg.Error, httpx.HTTPError, subprocess.SubprocessError, OSError):
                pass  # Not back yet.
            self.supervise()
            if time.monotonic() - begun > seconds:
                raise TimeoutError(f"not within {seconds:.0f} s: {what}")
            time.sleep(every)

    def __enter__(self) -> Self:
        """Starts all."""
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stops all, roles first."""
        for process in self.processes:
            process.signal(signal.SIGCONT)
            process.signal(signal.SIGTERM)
        for process in self.processes:
            process.stop()
        self.broker.arreter()
        self._postgres.close()


def interpreter() -> str:
    """What runs us; for the report."""
    return f"Python {sys.version.split()[0]}"
