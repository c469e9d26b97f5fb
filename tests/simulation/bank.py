"""The simulated bank: what it knows of each transaction, and the product's own kiosk that asks it."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from kiosque.sips.office.sceau import Json, ecrire_json, sceller_json
from kiosque.sips.paypage import Sips
from kiosque.sips.reglages import PAR_DEFAUT, ReglagesSips
from kiosque.sips.sceau import Marchand
from tests.faults.bank import MERCHANT, SECRET, sealed
from tests.simulation.books import Books, Opened
from tests.simulation.broker import Broker
from tests.simulation.scheduler import Scheduler

YES, NO, PENDING, USED = "00", "05", "60", "94"
NOTIFICATIONS = "creances.kiosque.notifications"


@dataclass
class Known:
    """What the bank says when it is asked."""

    amount: int
    code: str
    authorisation: str | None
    order: str
    """What the payment's form put in `orderId`."""
    at: datetime


class Bank:
    """Takes money, tells it on the topic of notifications, answers when it is asked."""

    def __init__(self, scheduler: Scheduler, broker: Broker, books: Books) -> None:
        """`books`: told of the money taken."""
        self.scheduler, self.broker, self.books = scheduler, broker, books
        self.known: dict[str, Known] = {}
        self.names: dict[str, str] = {}
        """Whose each name is: the first payment that came under it."""
        self.silent_s = 0.0
        self.gives_order_back = scheduler.rng.random() < 0.5
        """Whether an answer to a question holds `orderId`; if not, only its time says whose it is."""

    def admits(self, payment: Opened) -> bool:
        """Whether this name may be paid under: never twice for two payments."""
        return self.names.setdefault(payment.transaction, payment.request) == payment.request

    def can_tell_apart(self, payment: Opened) -> bool:
        """Whether an answer to a question could show that it is about the other payment of this name.

        A bank that does not give `orderId` back, and takes the other's money only after this one is opened here,
        cannot: only names that no restore gives out again close that.
        """
        known = self.known.get(payment.transaction)
        return self.gives_order_back or (known is not None and known.at < payment.opened_at)

    def decide(self, payment: Opened, code: str, amount: int, authorisation: str | None) -> None:
        """Decide; money is taken now, whoever hears of it."""
        known = self.known.get(payment.transaction)
        if known is None or known.code != YES:
            now = self.scheduler.now
            self.known[payment.transaction] = Known(amount, code, authorisation, payment.echo, now)
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


STATUS = {YES: "TO_CAPTURE", NO: "REFUSED", PENDING: "TO_AUTHORIZE"}


class Kiosk(Sips):
    """The product's kiosk; the questions that it sends over HTTP are answered by the simulated bank."""

    def __init__(self, bank: Bank) -> None:
        """One merchant for all."""
        merchant = Marchand.model_validate({"id": MERCHANT, "cles": {1: SECRET}, "version_courante": 1})
        settings = ReglagesSips(url="https://bank/paypage", office="https://bank", marchands={PAR_DEFAUT: merchant})
        super().__init__(settings, httpx.Client(transport=httpx.MockTransport(self._answer), trust_env=False))
        self.bank = bank

    def _answer(self, request: httpx.Request) -> httpx.Response:
        """What Office answers: never `returnContext`, and `orderId` only if this bank gives it back."""
        bank = self.bank
        if bank.scheduler.now_s < bank.silent_s:
            raise httpx.ReadTimeout("the bank is silent")
        transaction = str(json.loads(request.content)["transactionReference"])
        answer: dict[str, Json] = {"transactionReference": transaction, "merchantId": MERCHANT, "keyVersion": "1"}
        if (known := bank.known.get(transaction)) is None:
            answer["getTransDataResponseCode"] = "25"
        else:
            answer |= {
                "getTransDataResponseCode": "00",
                "responseCode": known.code,
                "transactionStatus": STATUS[known.code],
                "originAmount": str(known.amount),
                "currencyCode": "978",
                "transactionDateTime": known.at.isoformat(),
            }
            if known.authorisation is not None:
                answer["authorisationId"] = known.authorisation
            if bank.gives_order_back:
                answer["orderId"] = known.order
        answer["seal"] = sceller_json(answer, SECRET.encode())
        return httpx.Response(200, content=ecrire_json(answer))
