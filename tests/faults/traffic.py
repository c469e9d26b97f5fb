"""Random traffic, from a seed: caisses, insured persons and the bank, each acting as its own system would."""

import json
import random
import secrets
import threading
import time
from collections.abc import Callable
from datetime import date

import httpx

from tests.faults.bank import Bank, echoed, late, sealed
from tests.faults.ledger import Debt, Ledger, Payment
from tests.faults.producer import PATIENCE_S, Producer

CAISSE = "381"


class Actor(threading.Thread):
    """One insured person, their caisse and their bank: acts in its own order, so its part of the ledger is certain."""

    def __init__(
        self,
        number: int,
        seed: str,
        *,
        urls: list[str],
        producer: Producer,
        prefix: str,
        token: Callable[[str], str],
        ledger: Ledger,
        until: float,
    ) -> None:
        """`until`: the monotonic instant after which it begins nothing new."""
        super().__init__(daemon=True)
        self.rng = random.Random(seed)  # noqa: S311 (a replayable history, no secret)
        self.assure = f"f-{secrets.token_hex(4)}-{number}"
        self.urls, self.producer, self.prefix, self.ledger, self.until_s = urls, producer, prefix, ledger, until
        self.client = httpx.Client(timeout=12, headers={"Authorization": f"Bearer {token(self.assure)}"})
        self.bank = Bank(urls, httpx.Client(timeout=12), self.rng)
        self.references: list[str] = []
        self.later: list[dict[str, object]] = []
        """Avis to emit after a cheque that came before them."""
        self.last: list[tuple[str, dict[str, str]]] = []
        self.told: list[tuple[dict[str, str], int]] = []
        """Each answer of the bank, in order, and what it was answered."""
        self.problems: list[str] = []
        self.steps = 0
        self._again = threading.Event()

    # --- What it does ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Acts until its time is over, then ends what it began."""
        try:
            for _ in range(3):
                self.emit()
            actions = [self.pay] * 8 + [self.emit, self.cheque, self.cheque_first, self.rectify, self.cancel]
            actions += [self.again, self.orphan, self.forged, self.poison, self.odd_time, self.same_avis]
            while time.monotonic() < self.until_s:
                self._tell_again()
                self.rng.choice(actions)()
                self.steps += 1
            for avis in self.later:
                self._to_caisses(avis)
        except Exception as error:  # noqa: BLE001 (told by the run)
            self.problems.append(f"{self.assure}: {type(error).__name__}: {error}")

    def tell_again(self) -> None:
        """What the bank had told and Kafka lost unread is to be told again, once this actor comes to it."""
        self._again.set()

    def end(self) -> None:
        """Once it no longer runs: what is still to be told again, and the end of its connections."""
        try:
            self._tell_again()
        except TimeoutError as error:
            self.problems.append(f"{self.assure}: {error}")
        self.client.close()
        self.bank.client.close()

    def _tell_again(self) -> None:
        if self._again.is_set():
            self._again.clear()
            for form, expected in list(self.told):
                self._post(form, "answer again, its topic recreated", expected, note=False)

    def emit(self) -> None:
        """A new avis."""
        self._to_caisses(self._avis())

    def same_avis(self) -> None:
        """The bytes of garbage in the shape of an avis: refused, and nobody else is."""
        self._put("avis", b"x", json.dumps({"type": "avis_emis", "reference": "1"}).encode(), "bad avis")

    def cheque(self) -> None:
        """A cheque for a debt that is there."""
        self._cheque(self.rng.choice(self.references))

    def cheque_first(self) -> None:
        """A cheque that comes before its avis."""
        avis = self._avis()
        self.later.append(avis)
        self._cheque(str(avis["reference"]))
        if self.rng.random() < 0.7:
            self._to_caisses(self.later.pop())

    def rectify(self) -> None:
        """The caisse corrects an amount."""
        reference = self.rng.choice(self.references)
        debt = self.ledger.debts[reference]
        if debt.cancelled:
            return
        amount = self.rng.randint(3000, 15000)
        self._message(reference, "avis_rectifie", montant_initial_centimes=amount, motif="erreur")
        debt.rectified = amount

    def cancel(self) -> None:
        """The caisse cancels an avis, rarely."""
        reference = self.rng.choice(self.references)
        if self.rng.random() < 0.8 or self.ledger.debts[reference].cancelled:
            return
        self._message(reference, "avis_annule", motif="annulé")
        self.ledger.debts[reference].cancelled = True

    def pay(self) -> None:
        """A payment, and what the bank says of it."""
        payment = self._open()
        if payment is None:
            return
        transaction, amount = payment.transaction, payment.amount
        authorisation = str(self.rng.randint(100000, 999999))
        match self.rng.choice(["yes", "yes", "yes", "no", "twice", "no yes", "yes no", "other", "wrong", "pending"]):
            case "yes":
                self._tell(payment, "00", amount, authorisation)
            case "no":
                self._tell(payment, "05", amount, None)
            case "twice":
                self._tell(payment, "00", amount, authorisation)
                self._tell(payment, "00", amount, authorisation)
            case "no yes":
                self._tell(payment, "05", amount, None)
                self._tell(payment, "00", amount, authorisation)
            case "yes no":
                self._tell(payment, "00", amount, authorisation)
                self._tell(payment, "17", amount, None)
            case "other":
                self._tell(payment, "00", amount, authorisation)
                self._tell(payment, "00", amount, str(self.rng.randint(100000, 999999)))
            case "wrong":
                self._tell(payment, "00", amount + self.rng.choice([1, 100, 99900]), authorisation)
                self._tell(payment, "05", amount, None)
            case _:
                self._tell(payment, "60", amount, None)
                self._tell(payment, self.rng.choice(["00", "97"]), amount, authorisation)
        self.ledger.sent[f"payment of {len(payment.shares)}"] += 1
        self.last = [
            *self.last[-5:],
            (transaction, sealed(transaction, amount, "05", authorisation=None, echo=echoed(payment.form))),
        ]

    def again(self) -> None:
        """An old refusal comes again: it changes nothing."""
        if self.last:
            _, form = self.rng.choice(self.last)
            self._post(form, "old refusal again")

    def orphan(self) -> None:
        """The bank took money for a payment that we never opened."""
        transaction, amount = f"ORPH{secrets.token_hex(6).upper()}", self.rng.randint(1600, 5000)
        authorisation = str(self.rng.randint(100000, 999999))
        self._post(sealed(transaction, amount, "00", authorisation=authorisation), "orphan acceptance")
        self.ledger.accept(transaction, amount, authorisation)

    def forged(self) -> None:
        """Someone without the key says that a payment was accepted."""
        form = sealed(f"FORG{secrets.token_hex(6).upper()}", 2000, "00", authorisation="1", key="guess")
        self._post(form, "forged", expected=400)

    def poison(self) -> None:
        """Bytes that are no message."""
        topic = self.rng.choice(["avis", "kiosque.notifications"])
        value = self.rng.choice([b"", b"\xff\xfe", b"{", b"null", b"[" * 5000, self.rng.randbytes(200), b'{"Data":1}'])
        self._put(topic, self.rng.randbytes(4), value, "poison")

    def odd_time(self) -> None:
        """An avis whose Kafka timestamp is no time at all, or in nanoseconds."""
        stamp = self.rng.choice([0, time.time_ns(), time.time_ns() // 1000, 1])
        self._to_caisses(self._avis(), timestamp_ms=stamp)

    # --- How ---------------------------------------------------------------------------------------------------------

    @property
    def _limit(self) -> float:
        return self.until_s + PATIENCE_S

    def _avis(self) -> dict[str, object]:
        reference = f"{CAISSE}26{self.rng.randrange(10**11):011d}{self.rng.choice('ABCDEFGHJKLMNPRSTVWXYZ')}"
        return {
            "type": "avis_emis",
            "reference": reference,
            "assure": self.assure,
            "caisse": CAISSE,
            "nature": "PF/FR",
            "montant_initial_centimes": self.rng.randint(4000, 20000),
            "solde_pf_fr_centimes": self.rng.randint(4000, 20000),
            "date_emission": date(2026, self.rng.randint(1, 11), self.rng.randint(1, 28)).isoformat(),
            "mode": "papier",
        }

    def _to_caisses(self, avis: dict[str, object], timestamp_ms: int | None = None) -> None:
        reference, amount = str(avis["reference"]), int(str(avis["montant_initial_centimes"]))
        self._put("avis", reference.encode(), json.dumps(avis).encode(), "avis", timestamp_ms)
        if reference in self.ledger.debts:
            self.ledger.debts[reference].initial = amount
        else:
            self.ledger.debts[reference] = Debt(amount)
        self.references.append(reference)

    def _message(self, reference: str, kind: str, **fields: object) -> None:
        value = {"type": kind, "reference": reference, "message_id": f"m-{secrets.token_hex(6)}"} | fields
        self._put("avis", reference.encode(), json.dumps(value).encode(), kind)

    def _cheque(self, reference: str) -> None:
        amount = self.rng.randint(100, 4000)
        self._message(reference, "encaissement_recu", montant_centimes=amount, moyen="cheque", date="2026-10-01")
        self.ledger.debts.setdefault(reference, Debt(0)).received += amount

    def _put(self, topic: str, key: bytes, value: bytes, kind: str, timestamp_ms: int | None = None) -> None:
        name = f"{self.prefix}.{topic}"
        if not self.producer.send(name, key, value, until=self._limit, timestamp_ms=timestamp_ms):
            raise TimeoutError(f"Kafka took no {kind}")
        self.ledger.sent[kind] += 1

    def _open(self) -> Payment | None:
        references = self.rng.sample(self.references, k=min(len(self.references), self.rng.choice([1, 1, 2, 3])))
        body = {"references": references, "montant_centimes": self.rng.randint(1600, 5000), "canal": "web"}
        headers = {"Idempotency-Key": f"k-{secrets.token_hex(8)}"}
        asked_at = time.monotonic()
        while time.monotonic() < self._limit:
            try:
                url = f"{self.rng.choice(self.urls)}/api/v1/paiements"
                answer = self.client.post(url, json=body, headers=headers)
            except httpx.HTTPError:
                time.sleep(0.2)
                continue
            if answer.status_code == httpx.codes.CREATED:
                said = answer.json()
                shares = {part["reference"]: part["montant_centimes"] for part in said["imputations"]}
                form, amount = said["kiosque"]["champs"], said["montant_centimes"]
                payment = Payment(said["transaction"], amount, shares, form, asked_at, time.monotonic())
                if (problem := self.ledger.open(payment)) is not None:
                    self.problems.append(problem)
                return payment
            if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                if answer.json().get("code") == "paiement_clos":
                    # Opened by a request whose answer was lost; the caisse has cancelled a debt of it since.
                    self.ledger.withheld.update(references)
                return None  # Refused by a rule: settled, cancelled, not there yet, too large.
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                self.problems.append(f"POST paiements: {answer.status_code} {answer.text[:200]}")
            time.sleep(0.2)
        raise TimeoutError("no payment was answered")

    def _tell(self, payment: Payment, code: str, amount: int, authorisation: str | None) -> None:
        at = late(self.rng)
        form = sealed(payment.transaction, amount, code, authorisation=authorisation, echo=echoed(payment.form), at=at)
        for _ in range(self.rng.choice([1, 1, 1, 2])):
            self._post(form, f"answer {code}")
        if code == "00":
            self.ledger.accept(payment.transaction, amount, authorisation or "")

    def _post(self, form: dict[str, str], kind: str, expected: int = 200, *, note: bool = True) -> None:
        if note:
            self.told.append((form, expected))
        status = self.bank.tell(form, until=self._limit)
        if status != expected:
            raise TimeoutError(f"{kind}: answered {status}")
        self.ledger.sent[kind] += 1
