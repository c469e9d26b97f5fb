"""What must be true in the end, from what was sent alone: every debt, every payment that was answered, all money."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from tests.faults.ledger import Debt


@dataclass(frozen=True)
class Opened:
    """A payment as the service answered it."""

    transaction: str
    """Its name at the bank: after a restore it may serve twice."""
    request: str
    """Whose request opened it: this names it for good."""
    echo: str
    """What its form asks the bank to give back."""
    amount: int
    shares: tuple[tuple[str, int], ...]
    opened_at: datetime
    """When it was asked for: it is opened then or later."""


@dataclass
class Books:
    """Kept by the senders."""

    debts: dict[str, Debt] = field(default_factory=dict)
    payments: dict[tuple[str, str], Opened] = field(default_factory=dict)
    """By transaction and request."""
    taken: dict[tuple[str, str, int], set[str | None]] = field(default_factory=lambda: defaultdict(set))
    """The authorisations under which the bank took an amount for a payment."""
    sent: Counter[str] = field(default_factory=Counter)

    def take(self, transaction: str, request: str, amount: int, authorisation: str | None) -> None:
        """The bank takes money, whether its answer has arrived yet or not."""
        self.taken[transaction, request, amount].add(authorisation)

    def forget(self, kept: set[tuple[str, str]]) -> None:
        """A backup is restored: only these payments are in it."""
        self.payments = {name: opened for name, opened in self.payments.items() if name in kept}

    def balances(self) -> dict[str, int]:
        """The signed balance of every debt."""
        for debt in self.debts.values():
            debt.accepted.clear()
        for (transaction, request), opened in self.payments.items():
            if (transaction, request, opened.amount) in self.taken:
                for reference, share in opened.shares:
                    self.debts[reference].accepted[request] = share
        return {reference: debt.balance for reference, debt in self.debts.items()}

    def unattached(self) -> dict[str, int]:
        """The money that no debt may receive, by transaction: told without its authorisation, it is not other money."""
        sums: Counter[str] = Counter()
        for (transaction, request, amount), authorisations in self.taken.items():
            times = max(1, len(authorisations - {None}))
            opened = self.payments.get((transaction, request))
            if opened is not None and opened.amount == amount:
                times -= 1
            sums[transaction] += amount * times
        return {transaction: total for transaction, total in sums.items() if total}
