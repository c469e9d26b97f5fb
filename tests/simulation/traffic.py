"""What is sent: by caisses, by insured persons and their bank; each in its own order, drawn from the seed."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

from domain.avis import Canal
from domain.monnaie import Centimes
from domain.references import Pseudonyme, ReferenceCreance
from domain.refus import Refus
from engine.mapper import UnreadableStream
from engine.outages import Outage
from guichet.guichet import Guichet
from guichet.ouvrir_paiement import Demande, ouvrir_paiement
from tests.faults.bank import echoed
from tests.faults.ledger import Debt
from tests.simulation.bank import NO, NOTIFICATIONS, PENDING, USED, YES, Bank
from tests.simulation.books import Books, Opened
from tests.simulation.broker import Broker
from tests.simulation.scheduler import Scheduler

AVIS = "creances.avis"
CAISSE = "381"
AMOUNTS = (1600, 2000, 5000)
"""Few, so that two payments are often of the same: only what names them tells them apart."""
OUTAGES = (psycopg.Error, Outage, UnreadableStream)
"""What a client would see as a 503, and try again after."""


@dataclass
class Traffic:
    """What the senders need."""

    scheduler: Scheduler
    broker: Broker
    bank: Bank
    guichet: Guichet
    books: Books
    restores: bool
    """Whether a backup will be restored: what the bank never tells would then be known to nobody."""
    finished: int = 0


class Caisse:
    """Sends avis and what follows them; keeps what they make due."""

    def __init__(self, traffic: Traffic, assure: str) -> None:
        """`assure`: whose debts these are."""
        self.traffic, self.assure = traffic, assure
        self.rng = traffic.scheduler.rng
        self.references: list[str] = []
        self.later: list[dict[str, Any]] = []
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.number = 0

    def run(self) -> None:
        """A few debts, then whatever the seed says."""
        for _ in range(self.rng.randint(1, 3)):
            self.emit()
        acts: list[Callable[[], None]] = [
            self.emit, self.cheque, self.cheque_first, self.rectify, self.cancel, self.again, self.contradict,
            self.poison,
        ]  # fmt: skip
        for _ in range(self.rng.randint(3, 9)):
            self.traffic.scheduler.sleep(self.rng.choice([0.0, 0.1, 3.0, 25.0]))
            self.rng.choice(acts)()
        for avis in self.later:
            self._emit(avis)
        self.traffic.finished += 1

    def emit(self) -> None:
        """A new avis."""
        self._emit(self._avis())

    def cheque(self) -> None:
        """A cheque for a debt that is there."""
        self._cheque(self.rng.choice(self.references))

    def cheque_first(self) -> None:
        """A cheque that comes before its avis, and what follows it waits behind it."""
        avis = self._avis()
        self._cheque(avis["reference"])
        if self.rng.random() < 0.5:
            self._cheque(avis["reference"])
        if self.rng.random() < 0.5:
            self._emit(avis)
        else:
            self.later.append(avis)

    def rectify(self) -> None:
        """The caisse corrects an amount."""
        reference, amount = self.rng.choice(self.references), self.rng.randint(3000, 15000)
        self._message(reference, "avis_rectifie", montant_initial_centimes=amount, motif="erreur")
        debt = self.traffic.books.debts[reference]
        if not debt.cancelled:
            debt.rectified = amount

    def cancel(self) -> None:
        """The caisse cancels an avis, rarely."""
        if self.rng.random() < 0.3:
            reference = self.rng.choice(self.references)
            self._message(reference, "avis_annule", motif="annulé")
            self.traffic.books.debts[reference].cancelled = True

    def again(self) -> None:
        """The same message once more."""
        if self.told:
            reference, message = self.rng.choice(self.told)
            self._put(reference, message, "duplicate")

    def contradict(self) -> None:
        """A message told before, with another content: the first stays."""
        if self.told:
            reference, message = self.rng.choice(self.told)
            changed = {name: value + 1 if name.startswith("montant") else value for name, value in message.items()}
            self._put(reference, changed, "contradiction" if changed != message else "duplicate")

    def poison(self) -> None:
        """Bytes that are no message."""
        value = self.rng.choice([b"", b"\xff\xfe", b"{", b"null", b'{"type":"avis_emis","reference":"1"}', b"[]"])
        topic = self.rng.choice([AVIS, NOTIFICATIONS])
        self.traffic.broker.put(topic, bytes([self.rng.randrange(256)]), value, self.rng.choice([None, 0, -1]))
        self.traffic.books.sent["poison"] += 1

    def _avis(self) -> dict[str, Any]:
        self.number += 1
        return {
            "type": "avis_emis",
            "reference": f"{CAISSE}26{self.rng.randrange(10**9):09d}{self.number:02d}K",
            "assure": self.assure,
            "caisse": CAISSE,
            "nature": "PF/FR",
            "montant_initial_centimes": self.rng.randint(4000, 20000),
            "solde_pf_fr_centimes": self.rng.randint(4000, 20000),
            "date_emission": f"2026-0{self.rng.randint(1, 5)}-{self.rng.randint(10, 28)}",
            "mode": "papier",
        }

    def _emit(self, avis: dict[str, Any]) -> None:
        reference = avis["reference"]
        self._put(reference, avis, "avis")
        self.traffic.books.debts.setdefault(reference, Debt(0)).initial = avis["montant_initial_centimes"]
        self.references.append(reference)

    def _cheque(self, reference: str) -> None:
        amount = self.rng.randint(100, 4000)
        self._message(reference, "encaissement_recu", montant_centimes=amount, moyen="cheque", date="2026-05-20")
        self.traffic.books.debts.setdefault(reference, Debt(0)).received += amount

    def _message(self, reference: str, kind: str, **fields: Any) -> None:
        name = f"m-{self.rng.getrandbits(48):012x}"
        self._put(reference, {"type": kind, "reference": reference, "message_id": name} | fields, kind)

    def _put(self, reference: str, message: dict[str, Any], kind: str) -> None:
        stamp = self.rng.choice([0, -1, 1_780_000_000_000_000_000]) if self.rng.random() < 0.05 else None
        self.traffic.broker.put(AVIS, reference.encode(), json.dumps(message).encode(), stamp)
        self.traffic.books.sent[kind] += 1
        if kind not in {"duplicate", "contradiction"}:
            self.told.append((reference, message))


class Payer:
    """An insured person: opens payments, pays at the bank, or does not; the bank tells it, sooner or later."""

    def __init__(self, traffic: Traffic, caisse: Caisse) -> None:
        """`caisse`: whose avis they received."""
        self.traffic, self.caisse = traffic, caisse
        self.rng = traffic.scheduler.rng
        self.keys = 0

    def run(self) -> None:
        """Some payments, one after the other."""
        for _ in range(self.rng.randint(2, 6)):
            self.traffic.scheduler.sleep(self.rng.choice([0.1, 1.0, 5.0, 20.0]))
            if self.caisse.references and (payment := self._open()) is not None:
                self._pay(payment)
            if self.rng.random() < 0.15:
                self._orphan()
        self.traffic.finished += 1

    def _open(self) -> Opened | None:
        traffic = self.traffic
        self.keys += 1
        known = self.caisse.references
        references = self.rng.sample(known, k=min(len(known), self.rng.choice([1, 2])))
        demand = Demande(
            Pseudonyme(self.caisse.assure),
            tuple(ReferenceCreance(reference) for reference in references),
            Centimes(self.rng.choice(AMOUNTS)),
            Canal.WEB,
            f"k-{self.keys}",
            bytes(32),
        )
        last: Exception | None = None
        for _ in range(200):
            try:
                asked_at = traffic.scheduler.now
                given = ouvrir_paiement(traffic.guichet, demand, asked_at)
            except OUTAGES as outage:
                last = outage
                traffic.scheduler.sleep(self.rng.choice([0.2, 2.0]))
                continue
            except Refus:
                return None
            echo = echoed(dict(given.formulaire.champs))
            request = f"{demand.assure}/{demand.cle}"
            payment = Opened(given.transaction, request, echo, given.montant, tuple(given.parts), asked_at)
            traffic.books.payments[payment.transaction, request] = payment
            return payment
        raise TimeoutError(f"no payment was answered: {last!r}") from last

    def _pay(self, payment: Opened) -> None:  # noqa: C901, PLR0912 (a case a line: the table of contents)
        bank, rng, amount = self.traffic.bank, self.rng, payment.amount
        first, second = str(rng.randint(100_000, 499_999)), str(rng.randint(500_000, 999_999))
        if not bank.admits(payment):
            # The name was given before: we are told so, ask, and hear of the other payment.
            code = rng.choice([USED, NO]) if bank.can_tell_apart(payment) else NO
            bank.tell(payment.transaction, payment.echo, code, amount, None)
            return
        kinds = ["yes"] * 4 + ["no", "twice", "no yes", "yes no", "other", "wrong", "wrong yes", "pending", "abandon"]
        kinds += [] if self.traffic.restores else ["silent", "null yes", "yes null", "null"]
        match rng.choice(kinds):
            case "yes":
                self._say(payment, YES, amount, first)
            case "no":
                self._say(payment, NO, amount, None)
            case "twice":
                self._say(payment, YES, amount, first)
                self._say(payment, YES, amount, first)
            case "no yes":
                self._say(payment, NO, amount, None)
                self._say(payment, YES, amount, first)
            case "yes no":
                self._say(payment, YES, amount, first)
                self._say(payment, NO, amount, None)
            case "other":
                self._say(payment, YES, amount, first)
                self._say(payment, YES, amount, second)
            case "wrong":
                self._say(payment, YES, amount + rng.choice([1, 100, 99_900]), first)
            case "wrong yes":
                self._say(payment, YES, amount + 100, first)
                self._say(payment, YES, amount, second)
            case "pending":
                self._say(payment, PENDING, amount, None)
                self._say(payment, YES, amount, first)
            case "silent":
                bank.decide(payment, YES, amount, first)
            case "null yes":
                self._say(payment, YES, amount, None)
                self._say(payment, YES, amount, first)
            case "yes null":
                self._say(payment, YES, amount, first)
                self._say(payment, YES, amount, None)
            case "null":
                self._say(payment, YES, amount, None)
            case _:
                pass  # The person never goes to the bank.

    def _say(self, payment: Opened, code: str, amount: int, authorisation: str | None) -> None:
        """The bank decides; its answer arrives after a while, now and then twice, or after what comes next."""
        bank, rng = self.traffic.bank, self.rng
        bank.decide(payment, code, amount, authorisation)
        if rng.random() < 0.5:
            self.traffic.scheduler.sleep(rng.choice([0.1, 2.0, 60.0]))
        for _ in range(rng.choice([1, 1, 1, 2])):
            bank.tell(payment.transaction, payment.echo, code, amount, authorisation)

    def _orphan(self) -> None:
        """Money for a payment that was never opened here; and a forged answer."""
        name, amount = f"ORPH{self.rng.getrandbits(32):08X}", self.rng.randint(1600, 5000)
        authorisation = str(self.rng.randint(100_000, 999_999))
        self.traffic.bank.tell(name, "", YES, amount, authorisation)
        self.traffic.books.take(name, "", amount, authorisation)
        self.traffic.bank.tell(f"F{name}", "", YES, amount, authorisation, key="guess")
