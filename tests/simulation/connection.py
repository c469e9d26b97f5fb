"""The simulated database as the product holds it: connections and transactions with psycopg's own names."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, Self

from tests.simulation.server import Server, Session, Transaction

WAKE_LATENESS_S = (0.0, 0.3, 2.0)
"""How long after a notification its listener goes on: several commits are then one batch."""


class Answer(NamedTuple):
    """What a statement gives back."""

    rows: Sequence[tuple[Any, ...]] = ()
    rowcount: int = -1


Statement = Callable[[Server, Transaction, Any], Answer]


class UnknownStatement(Exception):
    """The product says something that the simulation was not taught: add its meaning to the statements."""


class Cursor:
    """The answer, to be fetched."""

    def __init__(self, answer: Answer) -> None:
        """Keep it."""
        self._rows = list(answer.rows)
        self.rowcount = answer.rowcount if answer.rowcount >= 0 else len(self._rows)

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row."""
        return self._rows.pop(0) if self._rows else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows that are left."""
        rows, self._rows = self._rows, []
        return rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """The rows that are left, one by one."""
        while self._rows:
            yield self._rows.pop(0)


class Loaders:
    """How values are read: here they are Python's already."""

    def register_loader(self, oid: int, loader: object) -> None:
        """Nothing to read otherwise."""


class Asking:
    """A cursor that has asked nothing yet."""

    def __init__(self, connection: "Connection", *, binary: bool) -> None:
        """Of this connection."""
        self._connection = connection
        self._binary = binary
        self.adapters = Loaders()

    def execute(self, sql: str, params: Any = None) -> Cursor:
        """Run a statement."""
        return self._connection.execute(sql, params, binary=self._binary)

    def __enter__(self) -> Self:
        """For `with conn.cursor() as cursor`."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""


class Info(NamedTuple):
    """What the server says of itself."""

    server_version: int


class Pipeline:
    """Statements are answered at once here: a pipeline changes nothing."""

    def sync(self) -> None:
        """Everything has been answered already."""


class Connection:
    """A connection of the process that opened it."""

    def __init__(self, server: Server, statements: dict[str, tuple[str, Statement]]) -> None:
        """`statements`: what each text means, and what the trace calls it."""
        self.server = server
        self.session: Session = server.open()
        self.statements = statements
        self.info = Info(server.version)
        self.once_committed: Callable[[], None] = lambda: None

    def execute(self, sql: str, params: Any = None, *, binary: bool | None = None) -> Cursor:  # noqa: ARG002
        """Run a statement, in the open transaction or in one of its own."""
        name, meaning = self._meaning(sql)
        self._step(name)
        transaction = self.session.transaction
        if transaction is not None:
            return Cursor(meaning(self.server, transaction, params))
        transaction = self.server.begin(self.session)
        try:
            answer = meaning(self.server, transaction, params)
        except BaseException:
            self.server.rollback(self.session)
            raise
        self._commit()
        return Cursor(answer)

    def cursor(self, *, binary: bool = False) -> Asking:
        """A cursor to ask by."""
        return Asking(self, binary=binary)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction, or a savepoint in the open one."""
        if self.session.transaction is not None:
            transaction = self.session.transaction
            changes, taken = transaction.mark()
            try:
                yield
            except BaseException:
                transaction.changes, transaction.taken = changes, taken
                raise
            return
        self._alive()
        self.server.begin(self.session)
        try:
            yield
        except BaseException:
            self.server.rollback(self.session)
            raise
        self._commit()

    @contextmanager
    def pipeline(self) -> Iterator[Pipeline]:
        """See `Pipeline`."""
        yield Pipeline()

    def notifies(self, *, timeout: float, stop_after: int) -> Iterator[None]:  # noqa: ARG002
        """Wait until somebody commits what concerns the followers, or for so long."""
        server, session = self.server, self.session
        server.listening[session] = None
        try:
            if server.wakes == session.woken and session.ended is None:
                server.scheduler.sleep(timeout)
        finally:
            del server.listening[session]
        if lateness := server.scheduler.rng.choice(WAKE_LATENESS_S):
            server.scheduler.sleep(lateness)
        session.woken = server.wakes
        self._alive()
        return iter(())

    def close(self) -> None:
        """Leave."""
        self.server.end(self.session)

    def __enter__(self) -> Self:
        """For `with connect(…)`."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave."""
        self.close()

    def _meaning(self, sql: str) -> tuple[str, Statement]:
        if known := self.statements.get(sql):
            return known
        if sql.startswith("NOTIFY "):
            return sql, _notify
        if sql.startswith("LISTEN "):
            return sql, _nothing
        raise UnknownStatement(sql)

    def _open(self) -> Transaction:
        if self.session.transaction is None:
            raise RuntimeError("no transaction")
        return self.session.transaction

    def _step(self, what: str) -> None:
        self.server.scheduler.tell(what)
        self.server.scheduler.pause()
        self.server.strike(self.session, what)
        self._alive()

    def _alive(self) -> None:
        if self.session.ended is not None:
            raise self.session.ended

    def _commit(self) -> None:
        self._alive()
        if self._open().changes:
            self._step("commit")
        self._alive()
        changed = bool(self._open().changes)
        self.server.commit(self.session)
        if changed:
            self._step("committed")
            self.once_committed()


def _notify(_server: Server, transaction: Transaction, _params: Any) -> Answer:
    transaction.notified = True
    return Answer()


def _nothing(_server: Server, _transaction: Transaction, _params: Any) -> Answer:
    return Answer()


class Database:
    """What the product calls its database: a connection lent for a transaction."""

    url = "simulation"

    def __init__(self, connect: Callable[[], Connection]) -> None:
        """`connect`: opens a connection of the process that goes on now."""
        self._connect = connect

    def transaction(self, *, delai_s: float | None = None) -> AbstractContextManager[Connection]:  # noqa: ARG002
        """Lend a connection in a transaction: committed at the end, undone by an exception."""
        return self._lend()

    @contextmanager
    def _lend(self) -> Iterator[Connection]:
        conn = self._connect()
        try:
            with conn.transaction():
                yield conn
        finally:
            conn.close()
