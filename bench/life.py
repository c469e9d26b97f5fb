"""A base with a life behind it: créances that were paid, refused, displayed, read about and settled by cheque.

Each kind of life is lived once by the domain's own aggregates, under marks; PostgreSQL then fills in the numbers, so
that the bytes are the mapper's and a million lives are written in minutes. Every message has its fate and its place,
every payment its key, every view its rows: `creances audit` finds nothing to say of it.

Where a payment waits for the bank's answer, its créance has such a life too: the stream that is loaded is a lived one.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from bench import data
from bench.data import EPOCH, EXPIRY, MERCHANT, SHARE
from domain.accuse import Accuse
from domain.agregats import AGREGATS
from domain.avis import Canal, Moyen
from domain.imputation import Imputation
from domain.messagerie import Messagerie
from domain.monnaie import Centimes
from domain.paiement import Fin, Paiement
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance, ReferenceTransaction
from domain.sort import Sort
from engine.mapper import EventMapper

LONG_CHEQUES: Final = 60
"""Cheques of a long stream, of ten centimes each."""

EVERY: Final = 1_000
"""The kinds of life repeat after so many créances."""

# In a template: the number of a créance, of its assuré, of the payment that waits. Eight digits each, as names have.
_NUMBER, _PAYMENT = 99_999_999, 77_777_777
_OWNER: Final = _NUMBER // data.CREANCES_PER_ASSURE
_PLACES: Final = {f"{_NUMBER:08d}": "%1$s", f"{_OWNER:08d}": "%2$s", f"{_PAYMENT:08d}": "%3$s"}

_MAPPER: Final = EventMapper(AGREGATS)
_REFERENCE: Final = ReferenceCreance(data.reference(_NUMBER))
_ASSURE: Final = Pseudonyme(data.assure(_NUMBER))
_ACCEPTED_AT: Final = EPOCH + timedelta(minutes=4)
_SECOND: Final = timedelta(seconds=1)

AVIS, BANK = "avis", "bank"
"""The two topics that messages came by."""


class Life:
    """What one créance goes through, and what that leaves in each table; every text is a template (see `_PLACES`)."""

    def __init__(self) -> None:
        """The avis comes in."""
        self.now = EPOCH
        self.heard = {AVIS: 0, BANK: 0}
        self.tried = 0
        self.events: list[tuple[Any, ...]] = []
        self.fates: list[tuple[Any, ...]] = []
        self.payments: list[tuple[Any, ...]] = []
        self.displays: list[tuple[Any, ...]] = []
        self.accounts: list[tuple[Any, ...]] = []
        self.creance, avis = data.issued(_NUMBER)
        self._store([avis], AVIS)
        self._hear(AVIS, _REFERENCE, "enregistré", {"type": "avis_emis"})

    @property
    def balance(self) -> tuple[int, int, int]:
        """Signed balance, what is reserved (centimes), and the version."""
        return self.creance.solde, self.creance.reserve, self.creance.version

    def accept(self) -> Accuse:
        """Pay a share by card: accepted, and displayed."""
        paiement = self._open(ReferenceTransaction(f"H{_NUMBER:08d}N{self.tried}"))
        paiement.conclure(
            Fin.ACCEPTE,
            "accepté par la banque",
            code="00",
            autorisation="761208",
            carte_masquee="4500#############00",
            accepte_le=_ACCEPTED_AT,
            maintenant=self.now,
        )
        self.creance.accepter_paiement(paiement.transaction, SHARE_OF, _ACCEPTED_AT, maintenant=self.now)
        self._store([*paiement.collect_events(), *self.creance.collect_events()], BANK)
        fields = _fields("acceptee", "00", "761208", "4500#############00")
        self._hear(BANK, paiement.transaction, "acceptée par la banque", fields)
        accepted = self.creance.version
        concluded = ("accepte", "00", "accepté par la banque", self._tick(), _ACCEPTED_AT)
        self._row(paiement, *concluded)
        self.creance.afficher_paiement(paiement.transaction, maintenant=self.now)
        self._store(self.creance.collect_events(), "", "affichage:restant_du")
        self.displays.append((_template(paiement.transaction), _ACCEPTED_AT, self._tick(), accepted))
        accuse = Accuse(paiement.transaction, _ACCEPTED_AT)
        self.accounts.append((_template(accuse.transaction), _ACCEPTED_AT, accuse.echeance, None, None))
        return accuse

    def refuse(self) -> None:
        """The same, refused by the bank."""
        paiement = self._open(ReferenceTransaction(f"H{_NUMBER:08d}N{self.tried}"))
        cause = "refusé par la banque (code 05)"
        paiement.conclure(Fin.ECHOUE, cause, code="05", maintenant=self.now)
        self.creance.constater_echec(paiement.transaction, cause, maintenant=self.now)
        self._store([*paiement.collect_events(), *self.creance.collect_events()], BANK)
        self._hear(BANK, paiement.transaction, cause, _fields("refusee", "05", None, None))
        self._row(paiement, "echoue", "05", cause, self._tick(), None)

    def cheque(self, amount: int) -> None:
        """The caisse received a cheque."""
        name = f"cheque-{_NUMBER:08d}-{self.heard[AVIS]}"
        self.creance.encaisser(name, Centimes(amount), Moyen.CHEQUE, data.ISSUED, maintenant=self.now)
        self._store(self.creance.collect_events(), AVIS)
        told = {"message_id": name, "montant_centimes": amount, "moyen": "cheque", "date": data.ISSUED.isoformat()}
        self._hear(AVIS, _REFERENCE, "enregistré", {"type": "encaissement_recu"} | told)
        self._tick()

    def read(self, accuse: Accuse, *, delete: bool) -> None:
        """The assuré opened the message of this payment, and perhaps deleted it."""
        box = Messagerie.vide(_ASSURE, maintenant=self.now)
        box.lire(accuse, maintenant=self.now)
        read_at, deleted_at = self._tick(), None
        if delete:
            box.supprimer(accuse, maintenant=self.now)
            deleted_at = self._tick()
        self._store(box.collect_events(), "", "requete:messagerie")
        self.accounts[-1] = (*self.accounts[-1][:3], read_at, deleted_at)

    def wait(self) -> None:
        """A payment is opened, and the bank has not answered."""
        self._row(self._open(ReferenceTransaction(data.transaction(_PAYMENT))), "en_cours", None, None, None, None)

    def _open(self, transaction: ReferenceTransaction) -> Paiement:
        paiement = Paiement.ouvrir(
            transaction,
            assure=_ASSURE,
            caisse=CodeCaisse("381"),
            canal=Canal.WEB,
            marchand=MERCHANT,
            montant=SHARE_OF,
            imputations=(Imputation(reference=_REFERENCE, part=SHARE_OF),),
            expire_le=EXPIRY,
            maintenant=self.now,
        )
        self.tried += 1
        self.creance.initier_paiement(transaction, SHARE_OF, Canal.WEB, EXPIRY, maintenant=self.now)
        events = [*paiement.collect_events(), *self.creance.collect_events()]
        self._store(events, "", f"requete:{_key(transaction)}")
        self.opened_at = self._tick()
        return paiement

    def _store(self, events: Any, topic: str, cause: str = "") -> None:
        for event in events:
            stored = _MAPPER.to_stored_event(event)
            self.events.append(
                (
                    *(len(self.events), _template(str(stored.originator_id)), stored.originator_version, stored.topic),
                    *(_template(stored.state.decode()), topic, self.heard.get(topic, 0), _template(cause)),
                )
            )

    def _hear(self, topic: str, objet: str, cause: str, fields: dict[str, Any]) -> None:
        told = _template(json.dumps(fields))
        self.fates.append((topic, self.heard[topic], Sort.APPLIQUEE.value, cause, _template(objet), told))
        self.heard[topic] += 1

    def _row(self, paiement: Paiement, *ending: Any) -> None:
        name = paiement.transaction
        answer = {
            "transaction": name,
            "montant_centimes": SHARE,
            "expire_le": EXPIRY.isoformat(),
            "imputations": [{"reference": _REFERENCE, "montant_centimes": SHARE}],
            "kiosque": {"champs": {"d": f"amount={SHARE}|t={name}"}},
        }
        key = (_template(_key(name)), _template(json.dumps(answer)))
        self.payments.append((_template(name), *ending, self.opened_at, paiement.version, *key))

    def _tick(self) -> Any:
        """Now; a second passes."""
        now, self.now = self.now, self.now + _SECOND
        return now


SHARE_OF: Final = Centimes(SHARE)


def _accepted(life: Life) -> None:
    life.accept()


def _refused_then_accepted(life: Life) -> None:
    life.refuse()
    life.accept()


def _read(life: Life) -> None:
    life.read(life.accept(), delete=False)


def _deleted(life: Life) -> None:
    life.read(life.accept(), delete=True)


def _long(life: Life) -> None:
    for _ in range(LONG_CHEQUES):
        life.cheque(10)
    life.accept()


_KINDS: Final[tuple[tuple[range, Callable[[Life], None]], ...]] = (
    (range(40), _accepted),
    (range(40, 50), Life.refuse),
    (range(50, 60), _refused_then_accepted),
    (range(60, 70), lambda life: life.cheque(10_00)),
    (range(76, 80, 2), _read),
    (range(80, 84, 2), _deleted),
    (range(75, 85), _accepted),
)
"""By the last two digits of a créance's number; what is named by none has its avis only. Even numbers only read
messages: the other créance of their assuré does not, and the box is written once."""

_LONG_AT: Final = 70
"""Of a thousand créances, the one with a long stream."""


def lives() -> tuple[list[int], list[Life]]:
    """Which life each of `EVERY` successive créances has, and the lives: one that waits for an answer is the next."""
    kinds = list(dict.fromkeys(live for _, live in _KINDS))
    lived: list[Callable[[Life], None]] = [lambda _: None, _long, *kinds]
    of = {digits: 2 + kinds.index(live) for span, live in reversed(_KINDS) for digits in span}
    numbers = [2 * (1 if number == _LONG_AT else of.get(number % 100, 0)) for number in range(EVERY)]
    found = []
    for live in lived:
        for waits in (False, True):
            life = Life()
            live(life)
            if waits:
                life.wait()
            found.append(life)
    return numbers, found


def _key(transaction: str) -> str:
    return f"cle-{transaction}"


def _fields(issue: str, code: str, autorisation: str | None, card: str | None) -> dict[str, Any]:
    """What PostgreSQL keeps of the bank's answer."""
    return {
        "issue": issue,
        "code": code,
        "code_acquereur": code,
        "montant_centimes": SHARE,
        "marchand": MERCHANT,
        "autorisation": autorisation,
        "carte_masquee": card,
        "transaction_le": _ACCEPTED_AT.isoformat(),
        "recue_le": (_ACCEPTED_AT + _SECOND).isoformat(),
    }


def _template(text: str) -> str:
    """For PostgreSQL's `format`."""
    text = text.replace("%", "%%")
    for mark, place in _PLACES.items():
        text = text.replace(mark, place)
    return text
