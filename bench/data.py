"""The créances, the open payments and the bank's notifications that every way is given, byte for byte the same.

The journal's bytes are the mapper's: it writes one event of each kind with marks in the places that vary, and the rest
is filling in, so that a million créances load in seconds.
"""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, cast

import psycopg
from psycopg import Connection

from bench.servers import Database
from domain.agregats import AGREGATS
from domain.avis import Avis, Canal, Mode
from domain.creance import Créance
from domain.delai import PARIS
from domain.faits import Fait
from domain.imputation import Imputation
from domain.monnaie import Centimes
from domain.paiement import Paiement
from domain.politique import Politique
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance, ReferenceTransaction
from engine.mapper import EventMapper
from engine.recorder import Recorder
from engine.view import ViewWithLists
from kiosque.sips.sceau import Algorithme, sceller
from projections.vues import VUES
from service.composition import VIEWS

EPOCH: Final = datetime.now(UTC).replace(hour=8, minute=0, second=0, microsecond=0) - timedelta(days=30)
"""A month ago: the messages of what was accepted then are still shown."""

EXPIRY: Final = EPOCH + timedelta(minutes=15)
ISSUED: Final = EPOCH.date() - timedelta(days=20)
ANSWERED: Final = EPOCH + timedelta(minutes=9)
SECRET: Final = b"002001000000001_KEY1"
MERCHANT: Final = "002001000000001"
DEBT: Final = 87_09
SHARE: Final = 20_00
"""Each payment settles this part of one créance, in centimes."""

CREANCES_PER_ASSURE: Final = 2
SEED: Final = 1
_MARK: Final = 99_999_999


class Scale(NamedTuple):
    """How many créances there are, and how many payments wait for the bank's answer, spread evenly over them."""

    creances: int
    payments: int

    @property
    def events(self) -> int:
        """Events in the journal before the bank answers."""
        return self.creances + 2 * self.payments

    def creance_of(self, payment: int) -> int:
        """The créance that a payment settles."""
        return payment * (self.creances // self.payments)

    @property
    def order(self) -> list[int]:
        """The payments in the order that the bank answers: it jumps over the whole base."""
        payments = list(range(self.payments))
        random.Random(SEED).shuffle(payments)  # noqa: S311  no secret, only an order
        return payments


def reference(number: int) -> str:
    """The reference of a créance."""
    return f"38117012{number:08d}F"


def assure(creance: int) -> str:
    """The pseudonym of whom a créance belongs to."""
    return f"a-{creance // CREANCES_PER_ASSURE:08d}"


def transaction(payment: int) -> str:
    """The name of a payment; its last eight digits are its number."""
    return f"PCLCB26{payment:08d}"


class StoredRow(NamedTuple):
    """An event as the journal stores it."""

    stream: str
    version: int
    topic: str
    state: bytes


def events(scale: Scale) -> Iterator[StoredRow]:
    """The whole journal in its order: the avis, then each payment's opening and its reservation."""
    opened = _template(_opened(_MARK, _MARK))
    reserved = _template(_reserved(_MARK, _MARK))
    emitted = _template(issued(_MARK)[1])
    for number in range(scale.creances):
        yield StoredRow(Créance.flux(reference(number)), 1, Créance.AvisEmis.TOPIC, emitted(number, 0))
    for payment in range(scale.payments):
        number = scale.creance_of(payment)
        stream = Paiement.flux(transaction(payment))
        yield StoredRow(stream, 1, Paiement.PaiementOuvert.TOPIC, opened(number, payment))
        yield StoredRow(Créance.flux(reference(number)), 2, Créance.PaiementInitié.TOPIC, reserved(number, payment))


def load(database: Database, scale: Scale) -> None:
    """Fill a migrated, empty database: the journal, and the views as their followers would have left them."""
    with psycopg.connect(database.owner_url) as conn:
        with (
            conn.cursor() as cursor,
            cursor.copy(
                "COPY journal.evenements (flux, version, topic, etat, cause, enregistre_le, ecrit_par)"
                " FROM STDIN (FORMAT BINARY)"
            ) as copy,
        ):
            copy.set_types(["text", "int8", "text", "bytea", "text", "timestamptz", "int8"])
            for row in events(scale):  # Of no transaction: from before the seal, which takes such rows up in pieces.
                copy.write_row((*row, "bench", EPOCH, None))
        _load_views(conn, scale)
        keep_lists(conn)
    settle(database)


def settle(database: Database) -> None:
    """Leave the tables as a quiet night would: vacuumed, with statistics."""
    with psycopg.connect(database.owner_url, autocommit=True) as conn:
        conn.execute("VACUUM (FREEZE, ANALYZE)")


def _load_views(conn: Connection[Any], scale: Scale) -> None:
    with (
        conn.cursor() as cursor,
        cursor.copy(
            "COPY vues.restant_du (reference, assure, caisse, nature, date_emission, payable_en_ligne, annulee,"
            " montant_initial, solde, en_cours, version, position) FROM STDIN (FORMAT BINARY)"
        ) as copy,
    ):
        copy.set_types(["text", "text", "text", "text", "date", "bool", "bool", "int8", "int8", "int8", "int8", "int8"])
        step = scale.creances // scale.payments
        for number in range(scale.creances):
            payment, rest = divmod(number, step)
            reserved = rest == 0 and payment < scale.payments
            position = scale.creances + 2 * (payment + 1) if reserved else number + 1
            copy.write_row(
                (
                    *(reference(number), assure(number), "381", "PF/FR", ISSUED, True, False),
                    *(DEBT, DEBT, SHARE if reserved else 0, 2 if reserved else 1, position),
                )
            )
    with (
        conn.cursor() as cursor,
        cursor.copy(
            "COPY vues.paiements (transaction, assure, caisse, canal, montant, statut, ouvert_le, expire_le, version)"
            " FROM STDIN (FORMAT BINARY)"
        ) as copy,
    ):
        copy.set_types(["text", "text", "text", "text", "int8", "text", "timestamptz", "timestamptz", "int8"])
        for payment in range(scale.payments):
            owner = assure(scale.creance_of(payment))
            times = (EPOCH, EXPIRY)
            copy.write_row((transaction(payment), owner, "381", "web", SHARE, "en_cours", *times, 1))
    for view in VIEWS:
        conn.execute("INSERT INTO vues.suiveurs (nom, position) VALUES (%s, %s)", (view, scale.events))


def keep_lists(conn: Connection[Any]) -> None:
    """Make what the views keep beside their rows, as their followers would have."""
    for view in VUES.values():
        led = view.rejouer(cast("Recorder", None))  # It reads no log here.
        if isinstance(led, ViewWithLists):
            led.refaire(conn)
    conn.execute("UPDATE vues.suiveurs SET tenue = position")


def notifications(scale: Scale, count: int) -> Iterator[tuple[bytes, bytes]]:
    """The bank's sealed acceptances of the first payments in the bank's order; key, value."""
    for payment in scale.order[:count]:
        form = notification(transaction(payment)) | {"recue_le": (ANSWERED + timedelta(seconds=30)).isoformat()}
        yield transaction(payment).encode(), json.dumps(form).encode()


def notification(name: str) -> dict[str, str]:
    """An acceptance as the bank posts it: the fields of a real answer, sealed."""
    fields = {
        "captureDay": "0",
        "captureMode": "AUTHOR_CAPTURE",
        "currencyCode": "978",
        "merchantId": MERCHANT,
        "orderChannel": "INTERNET",
        "responseCode": "00",
        "transactionDateTime": ANSWERED.astimezone(PARIS).isoformat(),
        "transactionReference": name,
        "keyVersion": "1",
        "acquirerResponseCode": "00",
        "amount": str(SHARE),
        "authorisationId": "761208",
        "guaranteeIndicator": "Y",
        "cardCSCResultCode": "4D",
        "panExpiryDate": "202901",
        "paymentMeanBrand": "VISA",
        "paymentMeanType": "CARD",
        "customerIpAddress": "192.0.2.1",
        "maskedPan": "4500#############00",
        "holderAuthentRelegation": "N",
        "holderAuthentStatus": "3D_SUCCESS",
        "transactionOrigin": "INTERNET",
        "paymentPattern": "ONE_SHOT",
    }
    data = "|".join(f"{key}={value}" for key, value in fields.items())
    seal = sceller(data.encode(), SECRET, Algorithme.SHA_256)
    return {"Data": data, "Seal": seal, "InterfaceVersion": "HP_2.40", "SealAlgorithm": "SHA-256", "Encode": ""}


def issued(number: int) -> tuple[Créance, Fait]:
    """A créance as its avis makes it, and that fact."""
    avis = Avis(
        reference=ReferenceCreance(reference(number)),
        assure=Pseudonyme(assure(number)),
        caisse=CodeCaisse("381"),
        nature="PF/FR",
        montant_initial=Centimes(DEBT),
        solde_pf_fr=Centimes(DEBT),
        date_emission=ISSUED,
        mode=Mode.PAPIER,
    )
    creance = Créance.ouvrir(avis, Politique(), maintenant=EPOCH)
    (fact,) = creance.collect_events()
    return creance, cast("Fait", fact)


def _opened(number: int, payment: int) -> Fait:
    paiement = Paiement.ouvrir(
        ReferenceTransaction(transaction(payment)),
        assure=Pseudonyme(assure(number)),
        caisse=CodeCaisse("381"),
        canal=Canal.WEB,
        marchand=MERCHANT,
        montant=Centimes(SHARE),
        imputations=(Imputation(reference=ReferenceCreance(reference(number)), part=Centimes(SHARE)),),
        expire_le=EXPIRY,
        maintenant=EPOCH,
    )
    (fact,) = paiement.collect_events()
    return cast("Fait", fact)


def _reserved(number: int, payment: int) -> Fait:
    creance, _ = issued(number)
    creance.initier_paiement(
        ReferenceTransaction(transaction(payment)), Centimes(SHARE), Canal.WEB, EXPIRY, maintenant=EPOCH
    )
    (fact,) = creance.collect_events()
    return cast("Fait", fact)


def _template(fact: Fait) -> Callable[[int, int], bytes]:
    """What writes the stored state of such an event for a créance and a payment."""
    marks: dict[bytes, Callable[[int, int], str]] = {
        reference(_MARK).encode(): lambda number, _: reference(number),
        assure(_MARK).encode(): lambda number, _: assure(number),
        transaction(_MARK).encode(): lambda _, payment: transaction(payment),
    }
    state = EventMapper(AGREGATS).to_stored_event(fact).state
    found = sorted((state.find(mark), mark) for mark in marks if mark in state)
    pattern = state.replace(b"%", b"%%")
    for _, mark in found:
        if pattern.count(mark) != 1:
            raise ValueError(f"{mark!r} must occur once in {state!r}")
        pattern = pattern.replace(mark, b"%b")
    fillers = [marks[mark] for _, mark in found]
    return lambda number, payment: pattern % tuple(filler(number, payment).encode() for filler in fillers)
