"""An independent ledger, fed only from what was sent: it knows none of our code, only the rules of the contract."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field


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
    """A payment that the service opened, with the shares it answered."""

    transaction: str
    amount: int
    shares: dict[str, int]
    form: dict[str, str]
    authorisation: str = ""
    """The first authorisation told with the right amount."""


class Ledger:
    """All debts and payments; each belongs to one actor, so no lock is needed."""

    def __init__(self) -> None:
        """Empty."""
        self.debts: dict[str, Debt] = {}
        self.payments: dict[str, Payment] = {}
        self.unattached: dict[str, set[tuple[int, str]]] = defaultdict(set)
        """Money that no debt may receive, by transaction: each amount and authorisation once."""
        self.sent: Counter[str] = Counter()
        """How many messages of each kind were sent."""

    def accept(self, transaction: str, amount: int, authorisation: str) -> None:
        """The bank said yes."""
        payment = self.payments.get(transaction)
        if payment is None or amount != payment.amount:
            self.unattached[transaction].add((amount, authorisation))
        elif payment.authorisation in {"", authorisation}:
            payment.authorisation = authorisation
            for reference, share in payment.shares.items():
                self.debts[reference].accepted[transaction] = share
        else:
            self.unattached[transaction].add((amount, authorisation))

    def unattached_sums(self) -> dict[str, int]:
        """The sum not attached, by transaction."""
        return {transaction: sum(amount for amount, _ in money) for transaction, money in self.unattached.items()}
