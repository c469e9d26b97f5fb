"""The simulated bank: what it knows of each transaction, and the product's own kiosk that asks it."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import httpx

from kiosque.interface import Etat, Inconnue, Indeterminee, Rejetee, Trouvee, Verifiee
from kiosque.sips.paypage import Sips
from kiosque.sips.reglages import PAR_DEFAUT, ReglagesSips
from kiosque.sips.sceau import Marchand
from tests.faults.bank import MERCHANT, SECRET, sealed
from tests.simulation.books import Books, Opened
from tests.simulation.broker import Broker
from tests.simulation.scheduler import Scheduler

YES, NO, PENDING = "00", "05", "60"
NOTIFICATIONS = "creances.kiosque.notifications"


@dataclass
class Known:
    """What the bank says when it is asked."""

    amount: int
    code: str
    authorisation: str | None


class Bank:
    """Takes money, tells it on the topic of notifications, answers when it is asked."""

    def __init__(self, scheduler: Scheduler, broker: Broker, books: Books) -> None:
        """`books`: told of the money taken."""
        self.scheduler, self.broker, self.books = scheduler, broker, books
        self.known: dict[str, Known] = {}
        self.names: dict[str, str] = {}
        """Whose each name is: the first payment that came under it."""
        self.silent_s = 0.0

    def admits(self, payment: Opened) -> bool:
        """Whether this name may be paid under: never twice for two payments."""
        return self.names.setdefault(payment.transaction, payment.request) == payment.request

    def decide(self, payment: Opened, code: str, amount: int, authorisation: str | None) -> None:
        """Decide; money is taken now, whoever hears of it."""
        known = self.known.get(payment.transaction)
        if known is None or known.code != YES:
            self.known[payment.transaction] = Known(amount, code, authorisation)
        if code == YES:
            self.books.take(payment.transaction, payment.request, amount, authorisation)

    def tell(
        self, transaction: str, echo: str, code: str, amount: int, authorisation: str | None, *, key: str = SECRET
    ) -> None:
        """An answer, as the API puts it on the topic; another key forges it."""
        rng = self.scheduler.rng
        at = self.scheduler.now - timedelta(hours=rng.choice([0, 0, 0, 1, 30, 60]))
        form = sealed(transaction, amount, code, authorisation=authorisation, echo=echo, key=key, at=at)
        self.forward(transaction, form | {"recue_le": self.scheduler.now.isoformat()})

    def forward(self, transaction: str, value: Any) -> None:
        """Put an answer on the topic, now and then with a time that is none."""
        rng = self.scheduler.rng
        stamp = rng.choice([0, -1, 1, 1_780_000_000_000_000_000]) if rng.random() < 0.05 else None
        self.broker.put(NOTIFICATIONS, transaction.encode(), json.dumps(dict(value)).encode(), stamp)
        self.books.sent["answer"] += 1


class Kiosk(Sips):
    """The product's kiosk; the question that it would send over HTTP is put to the simulated bank."""

    def __init__(self, bank: Bank) -> None:
        """One merchant for all."""
        merchant = Marchand.model_validate({"id": MERCHANT, "cles": {1: SECRET}, "version_courante": 1})
        settings = ReglagesSips(url="https://bank/paypage", office="https://bank", marchands={PAR_DEFAUT: merchant})
        super().__init__(settings, cast("httpx.Client", object()))
        self.bank = bank

    def interroger(self, transaction: str, marchand: str) -> Etat:  # noqa: ARG002 (one merchant)
        """Ask the bank."""
        bank = self.bank
        if bank.scheduler.now_s < bank.silent_s:
            return Indeterminee("the bank is silent")
        known = bank.known.get(transaction)
        if known is None:
            return Inconnue()
        value = sealed(
            transaction,
            known.amount,
            known.code,
            authorisation=known.authorisation,
            # What Office answers to a question holds no echo: it cannot say whose a name that served twice is.
            at=bank.scheduler.now,
        )
        match self.relire(value):
            case Verifiee(reponse=answer):
                return Trouvee(answer, value)
            case Rejetee(refus=refusal):
                return Indeterminee(str(refusal))
            case other:
                raise TypeError(other)
