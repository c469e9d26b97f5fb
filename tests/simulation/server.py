"""A simulated PostgreSQL: atomic transactions, unique keys, locks that wait, sessions that end; read committed."""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import psycopg
from psycopg.errors import (
    DeadlockDetected,
    IdleInTransactionSessionTimeout,
    LockNotAvailable,
    UniqueViolation,
)

from engine.recorder import ORDER_HELD_MAX_S, ORDER_LOCK
from tests.simulation.scheduler import Actor, Scheduler
from tests.simulation.tables import Key, Row, Table, UniqueKey, values_of

LOCK_TIMEOUT_S = 10.0
IDLE_MAX_S = 60.0
"""What every session of the service is opened with (`engine.database`)."""


class Diagnosis(NamedTuple):
    """What PostgreSQL says of an error."""

    constraint_name: str
    message_detail: str


class Violation(UniqueViolation):
    """A unique key is taken."""

    def __init__(self, constraint: str, key: Key) -> None:
        """Name the constraint, as the server does."""
        super().__init__(f'duplicate key value violates unique constraint "{constraint}"')
        self._diagnosis = Diagnosis(constraint, f"Key {key} already exists.")

    @property
    def diag(self) -> Any:
        """The constraint and the key."""
        return self._diagnosis


class Lost(psycopg.OperationalError):
    """The connection is gone."""


class Transaction:
    """What one transaction has changed so far, and what it holds until it ends."""

    def __init__(self, owner: "Session") -> None:
        """`owner`: whose it is."""
        self.owner = owner
        self.changes: dict[str, dict[Key, Row | None]] = {}
        self.taken: dict[tuple[str, Key], None] = {}
        self.locks: dict[object, None] = {}
        self.notified = False
        self.latest: datetime | None = None
        """The latest time that its events may bear."""

    def mark(self) -> tuple[dict[str, dict[Key, Row | None]], dict[tuple[str, Key], None]]:
        """A savepoint."""
        return {table: dict(rows) for table, rows in self.changes.items()}, dict(self.taken)


class Session:
    """One connection as the server sees it."""

    def __init__(self, server: "Server", actor: Actor | None) -> None:
        """`actor`: the process at the other end."""
        self.server = server
        self.actor = actor
        self.transaction: Transaction | None = None
        self.ended: psycopg.Error | None = None
        self.woken = server.wakes
        """How many notifications it has seen."""


class Server:
    """The database."""

    def __init__(self, scheduler: Scheduler, keys: dict[str, list[UniqueKey]]) -> None:
        """`keys`: the unique keys it enforces, by table."""
        self.scheduler = scheduler
        self.tables = {name: Table(name, unique) for name, unique in keys.items()}
        self.sequences: dict[str, int] = {}
        self.locks: dict[object, Transaction] = {}
        self.sessions: dict[Session, None] = {}
        self.listening: dict[Session, None] = {}
        self.waits: dict[Session, object] = {}
        """What each session waits for, while it waits."""
        self.commits = 0
        self.version = 150_000
        self.orders = True
        """Whether the database itself takes the order before each writing, as its trigger does."""
        self.stamped = scheduler.now
        """The time of the last events written."""
        self.wakes = 0
        """Commits that told the followers."""
        self.strike: Callable[[Session, str], None] = lambda _session, _where: None
        """Called between two statements, before and after a commit: a fault may strike there."""

    # --- Sessions ----------------------------------------------------------------------------------------------------

    def open(self) -> Session:
        """A session of the process that goes on now."""
        session = Session(self, self.scheduler.current)
        self.sessions[session] = None
        return session

    def end(self, session: Session, why: psycopg.Error | None = None) -> None:
        """The session is over: what it had not committed is undone, what it held is free."""
        session.ended = session.ended or why or Lost("server closed the connection unexpectedly")
        if session.transaction is not None:
            self.rollback(session)
        self.sessions.pop(session, None)
        if session in self.listening:
            self.scheduler.wake(session.actor)

    def of(self, actor: Actor) -> list[Session]:
        """The sessions of a process."""
        return [session for session in self.sessions if session.actor is actor]

    def outlast(self, actor: Actor, seconds: float) -> None:
        """A process stands still: its transactions are ended when they have been silent for too long."""
        began_s = self.scheduler.now_s
        for session in self.of(actor):
            transaction = session.transaction
            if transaction is None:
                continue
            limit_s = ORDER_HELD_MAX_S if ("advisory", ORDER_LOCK) in transaction.locks else IDLE_MAX_S
            if seconds > limit_s:
                self.scheduler.at(began_s + limit_s, partial(self._time_out, session, transaction))

    def _time_out(self, session: Session, transaction: Transaction) -> None:
        if session.transaction is transaction:
            self.scheduler.tell("a silent session is ended")
            self.end(session, IdleInTransactionSessionTimeout("terminating connection due to timeout"))

    # --- Transactions ------------------------------------------------------------------------------------------------

    def begin(self, session: Session) -> Transaction:
        """A transaction begins."""
        session.transaction = Transaction(session)
        return session.transaction

    def commit(self, session: Session) -> None:
        """All or nothing: what the transaction changed is there for all, what it held is free."""
        transaction = session.transaction
        if transaction is None:
            raise RuntimeError("nothing to commit")
        for name, rows in transaction.changes.items():
            for key, row in rows.items():
                self.tables[name].write(key, row)
        self.commits += 1
        if transaction.notified:
            self.wakes += 1
            for listening in self.listening:
                self.scheduler.wake(listening.actor)
        self._release(session, transaction)

    def rollback(self, session: Session) -> None:
        """Nothing of it remains."""
        if session.transaction is not None:
            self._release(session, session.transaction)

    def _release(self, session: Session, transaction: Transaction) -> None:
        for name in transaction.locks:
            if self.locks.get(name) is transaction:
                del self.locks[name]
        session.transaction = None

    # --- Locks -------------------------------------------------------------------------------------------------------

    def lock(self, transaction: Transaction, name: object) -> None:
        """Hold this until the transaction ends; waits for whoever holds it. Raises as PostgreSQL would."""
        if self.locks.get(name) is transaction:
            return
        if name in self.locks:
            if self._waits_for(self.locks[name], transaction):
                raise DeadlockDetected("deadlock detected")
            session = transaction.owner
            self.waits[session] = name
            try:
                free = self.scheduler.wait(lambda: name not in self.locks or session.ended is not None, LOCK_TIMEOUT_S)
            finally:
                del self.waits[session]
            if session.ended is not None:
                raise session.ended
            if not free:
                raise LockNotAvailable("canceling statement due to lock timeout")
        self.locks[name] = transaction
        transaction.locks[name] = None

    def _waits_for(self, holder: Transaction, asking: Transaction) -> bool:
        seen: set[int] = set()
        while id(holder) not in seen:
            seen.add(id(holder))
            name = self.waits.get(holder.owner)
            if name is None or name not in self.locks:
                return False
            holder = self.locks[name]
            if holder is asking:
                return True
        return False

    # --- Rows --------------------------------------------------------------------------------------------------------

    def rows(self, transaction: Transaction, name: str) -> Iterable[Row]:
        """The rows that this transaction sees now."""
        committed = self.tables[name].rows
        own = transaction.changes.get(name)
        if not own:
            return list(committed.values())
        return [row for row in {**committed, **own}.values() if row is not None]

    def row(self, transaction: Transaction, name: str, key: Key) -> Row | None:
        """The row of this name, as this transaction sees it."""
        own = transaction.changes.get(name)
        if own is not None and key in own:
            return own[key]
        return self.tables[name].rows.get(key)

    def insert(self, transaction: Transaction, name: str, row: Row) -> None:
        """Add a row; waits for another transaction that adds the same key. Raises UniqueViolation."""
        table = self.tables[name]
        for unique in table.keys:
            key = values_of(unique, row)
            if (unique.constraint, key) in transaction.taken:
                raise Violation(unique.constraint, key)
            self.lock(transaction, (unique.constraint, key))
            if key in table.indexes[unique.constraint]:
                raise Violation(unique.constraint, key)
            transaction.taken[unique.constraint, key] = None
        transaction.changes.setdefault(name, {})[table.key_of(row)] = row

    def upsert(self, transaction: Transaction, name: str, row: Row, merge: Callable[[Row, Row], Row]) -> None:
        """Add a row, or merge it into the one that is there."""
        table = self.tables[name]
        key = table.key_of(row)
        self.lock(transaction, (name, key))
        old = self.row(transaction, name, key)
        if old is None:
            self.insert(transaction, name, row)
        else:
            transaction.changes.setdefault(name, {})[key] = merge(old, row)

    def change(self, transaction: Transaction, name: str, key: Key, change: Callable[[Row], Row | None]) -> bool:
        """Change the row of this name, held until the end, if it still matches (`change` gives a row then)."""
        old = self.row(transaction, name, key)
        if old is None or change(old) is None:
            return False
        self.lock(transaction, (name, key))
        old = self.row(transaction, name, key)  # As whoever held it left it.
        new = change(old) if old is not None else None
        if new is None:
            return False
        transaction.changes.setdefault(name, {})[key] = new
        return True

    def delete(self, transaction: Transaction, name: str, key: Key) -> bool:
        """Remove the row of this name; whether it was still there once it was held."""
        self.lock(transaction, (name, key))
        if self.row(transaction, name, key) is None:
            return False
        transaction.changes.setdefault(name, {})[key] = None
        return True

    def next(self, sequence: str) -> int:
        """The next number of a sequence: never given back, whatever the transaction does."""
        self.sequences[sequence] = self.sequences.get(sequence, 0) + 1
        return self.sequences[sequence]

    # --- Backup ------------------------------------------------------------------------------------------------------

    def dump(self) -> tuple[dict[str, Table], dict[str, int]]:
        """A consistent copy of all that is committed."""
        return {name: table.copy() for name, table in self.tables.items()}, dict(self.sequences)

    def restore(self, dump: tuple[dict[str, Table], dict[str, int]]) -> None:
        """The database as it was; every session is over."""
        for session in list(self.sessions):
            self.end(session)
        self.tables = {name: table.copy() for name, table in dump[0].items()}
        self.sequences = dict(dump[1])
