"""An independent ledger, fed only from what was sent: it knows none of our code, only the rules of the contract."""

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass
class Debt:
    """What one reference must owe, from the messages of its caisse and the answers of the bank, in centimes."""

    initial: int
    rectified: int | None = None
    cancelled: bool = False
    received: int = 0
    accepted: dict[str, int] = field(default_factory=dict)
    """The share of each accepted payment, by transaction: an acceptance told twice is one."""

    @property
    def balance(self) -> int:
        """The signed balance: what is due, or below zero what was paid too much."""
        amount = 0 if self.cancelled else self.initial if self.rectified is None else self.rectified
        return amount - self.received - sum(self.accepted.values())


@dataclass
class Payment:
    """A payment that the service opened, with the shares it answered; both instants are monotonic seconds."""

    transaction: str
    amount: int
    shares: dict[str, int]
    form: dict[str, str]
    asked_at: float = 0.0
    """When it was asked for first."""
    answered_at: float = 0.0


class Restore(NamedTuple):
    """A backup put in the place of the log; monotonic seconds."""

    begun: float
    """When the backup was begun: what was answered before is in it."""
    taken: float
    """When it was taken: what was asked for later is not in it."""
    closing: float
    """When the old log began to go: what was answered before was on it."""
    put: float
    """When it was in its place: what was asked for later is not lost."""

    def may_lose(self, payment: Payment) -> bool:
        """Whether this payment may be gone."""
        return payment.answered_at > self.begun and payment.asked_at < self.put

    def must_lose(self, payment: Payment) -> bool:
        """Whether it was opened on the log that is no more, and nowhere else."""
        return payment.asked_at > self.taken and payment.answered_at < self.closing


@dataclass
class Ledger:
    """All debts and payments; each belongs to one actor."""

    debts: dict[str, Debt] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    restores: list[Restore] = field(default_factory=list)
    withheld: set[str] = field(default_factory=set)
    """References of payments that were opened and whose form nobody ever got: in flight until they expire."""
    sent: Counter[str] = field(default_factory=Counter)
    """How many messages of each kind were sent."""
    lost: set[str] = field(default_factory=set)
    """The payments that a restore took away, once `reconsider` was asked."""
    _accepted: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    """Each amount and authorisation that the bank accepted, once, in its order, by transaction."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, payment: Payment) -> str | None:
        """A payment was answered; what is wrong with it, if anything."""
        with self._lock:
            if payment.transaction in self.payments:
                return f"transaction issued twice: {payment.transaction}"
            self.payments[payment.transaction] = payment
        return None

    def accept(self, transaction: str, amount: int, authorisation: str) -> None:
        """The bank said yes; told twice, it is one."""
        with self._lock:
            if (amount, authorisation) not in self._accepted[transaction]:
                self._accepted[transaction].append((amount, authorisation))

    def reconsider(self, opened: Iterable[str]) -> Iterator[str]:
        """Which payments are lost, given those that the log knows; tells each that no restore may have taken."""
        known = set(opened)
        with self._lock:
            payments = list(self.payments.values())
        self.lost = {payment.transaction for payment in payments} - known
        for payment in payments:
            if payment.transaction in self.lost:
                if not any(restore.may_lose(payment) for restore in self.restores):
                    yield f"payment {payment.transaction} is not in the log, and no restore may have lost it"
            elif any(restore.must_lose(payment) for restore in self.restores):
                yield f"payment {payment.transaction} is in the log, though opened after the backup that is the log now"

    def balances(self) -> dict[str, int]:
        """What each reference owes, signed."""
        for debt in self.debts.values():
            debt.accepted.clear()
        for payment, _ in self._paid():
            for reference, share in payment.shares.items():
                self.debts[reference].accepted[payment.transaction] = share
        return {reference: debt.balance for reference, debt in self.debts.items()}

    def unattached(self) -> dict[str, int]:
        """The money that no debt may receive, by transaction: all of an unknown payment's, what contradicts else."""
        sums = {transaction: sum(amount for amount, _ in money) for transaction, money in self._accepted.items()}
        for payment, amount in self._paid():
            sums[payment.transaction] -= amount
        return {transaction: amount for transaction, amount in sums.items() if amount}

    def _paid(self) -> Iterator[tuple[Payment, int]]:
        """Each payment that the bank accepted as it was asked, with its amount: its first such acceptance counts."""
        for transaction, money in self._accepted.items():
            payment = self.payments.get(transaction)
            if payment is not None and transaction not in self.lost and any(a == payment.amount for a, _ in money):
                yield payment, payment.amount
