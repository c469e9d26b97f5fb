"""What must be true in the end, from what was sent alone: every debt, every payment that was answered, all money."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.faults.ledger import Debt


@dataclass(frozen=True)
class Opened:
    """A payment as the service answered it: its name, the part of chance in its form, its shares."""

    transaction: str
    echo: str
    amount: int
    shares: tuple[tuple[str, int], ...]


@dataclass
class Books:
    """Kept by the senders."""

    debts: dict[str, Debt] = field(default_factory=dict)
    payments: dict[tuple[str, str], Opened] = field(default_factory=dict)
    """By transaction and echo: a name may serve twice, after a restore."""
    taken: dict[tuple[str, str, int], set[str | None]] = field(default_factory=lambda: defaultdict(set))
    """The authorisations under which the bank took an amount for a payment."""
    sent: Counter[str] = field(default_factory=Counter)

    def take(self, transaction: str, echo: str, amount: int, authorisation: str | None) -> None:
        """The bank takes money, whether its answer has arrived yet or not."""
        self.taken[transaction, echo, amount].add(authorisation)

    def forget(self, kept: set[tuple[str, str]]) -> None:
        """A backup is restored: only these payments are in it."""
        self.payments = {name: opened for name, opened in self.payments.items() if name in kept}

    def balances(self) -> dict[str, int]:
        """The signed balance of every debt."""
        for debt in self.debts.values():
            debt.accepted.clear()
        for (transaction, echo), opened in self.payments.items():
            if (transaction, echo, opened.amount) in self.taken:
                for reference, share in opened.shares:
                    self.debts[reference].accepted[f"{transaction}/{echo}"] = share
        return {reference: debt.balance for reference, debt in self.debts.items()}

    def unattached(self) -> dict[str, int]:
        """The money that no debt may receive, by transaction: told without its authorisation, it is not other money."""
        sums: Counter[str] = Counter()
        for (transaction, echo, amount), authorisations in self.taken.items():
            times = max(1, len(authorisations - {None}))
            opened = self.payments.get((transaction, echo))
            if opened is not None and opened.amount == amount:
                times -= 1
            sums[transaction] += amount * times
        return {transaction: total for transaction, total in sums.items() if total}
