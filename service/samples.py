"""Sample avis, made from a seed: the same seed on the same day gives the same avis."""

import random
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

CAISSES: Final = ("381", "011", "631", "594", "751")
"""The caisses of the samples; an insured person's debts come from one, now and then from two."""

DEBTS_MAX: Final = 4
"""Debts of one insured person, at most."""

SECOND_CAISSE_SHARE: Final = 0.15
EXCLUDED_SHARE: Final = 0.1


def avis(count: int, seed: int, today: date) -> Iterator[dict[str, Any]]:
    """Messages of the topic of avis (see the contract); some are not open to online payment, as in life."""
    chance = random.Random(seed)  # noqa: S311  samples, no secret
    made = 0
    person = 0
    while made < count:
        person += 1
        caisse = chance.choice(CAISSES)
        for _ in range(min(chance.randint(1, DEBTS_MAX), count - made)):
            made += 1
            home = caisse if chance.random() > SECOND_CAISSE_SHARE else chance.choice(CAISSES)
            issued = today - timedelta(days=chance.randint(10, 400))
            amount = chance.randint(16_00, 90_00)
            balance = (
                chance.choice((12_00, 250_00)) if chance.random() < EXCLUDED_SHARE else chance.randint(40_00, 200_00)
            )
            yield {
                "type": "avis_emis",
                "reference": f"{home}{issued:%y%j}{seed % 100:02d}{made:06d}F",
                "assure": f"demo-{person:04d}",
                "caisse": home,
                "nature": "PF/FR",
                "montant_initial_centimes": amount,
                "solde_pf_fr_centimes": balance,
                "date_emission": issued.isoformat(),
                "mode": chance.choice(("dematerialise", "papier")),
            }


def scenario(today: date, run: str) -> list[dict[str, Any]]:
    """Two debts of one insured person for the demonstration's scenario; `run` (8 digits) makes them new each time."""
    first, second = today - timedelta(days=120), today - timedelta(days=40)
    return [
        {
            "type": "avis_emis",
            "reference": f"381{issued:%y%j}{run}{letter}",
            "assure": f"scenario-{run}",
            "caisse": "381",
            "nature": "PF/FR",
            "montant_initial_centimes": amount,
            "solde_pf_fr_centimes": 137_09,
            "date_emission": issued.isoformat(),
            "mode": "dematerialise",
        }
        for issued, letter, amount in ((first, "F", 87_09), (second, "G", 50_00))
    ]


class Case(NamedTuple):
    """An insured person whose account shows one situation; amounts in centimes."""

    debts: tuple[int, ...]
    balance: int = 120_00
    other_caisse: bool = False
    """The last debt comes from another caisse."""
    received: int = 0
    """What came in by cheque on the first debt."""


CASES: Final = {
    "cas-petit-reste": Case((7_00, 3_80)),
    "cas-petites-ensemble": Case((12_50, 6_60, 10_36)),
    "cas-deux-caisses": Case((45_00, 30_00), other_caisse=True),
    "cas-cinquante-lignes": Case((20_00,) * 50),
    "cas-soldee": Case((30_00,), received=30_00),
    "cas-trop-percu": Case((30_00,), received=42_00),
    "cas-non-eligible": Case((30_00,), balance=250_00),
    "cas-en-cours": Case((48_00, 25_00)),
}
"""The persons that the demonstration's page offers by situation, by pseudonym."""

CASES_ISSUED: Final = date(2026, 1, 15)
"""Fixed, like the references: the demonstration started again sends the same avis, which change nothing."""


def cases() -> Iterator[dict[str, Any]]:
    """The messages behind `CASES`: every avis, then the cheques."""
    number = 0
    for person, case in CASES.items():
        first = number
        for rank, amount in enumerate(case.debts):
            number += 1
            caisse = "011" if case.other_caisse and rank == len(case.debts) - 1 else "381"
            yield {
                "type": "avis_emis",
                "reference": f"{caisse}26015{number:08d}C",
                "assure": person,
                "caisse": caisse,
                "nature": "PF/FR",
                "montant_initial_centimes": amount,
                "solde_pf_fr_centimes": case.balance,
                "date_emission": CASES_ISSUED.isoformat(),
                "mode": "papier",
            }
        if case.received:
            yield {
                "type": "encaissement_recu",
                "reference": f"38126015{first + 1:08d}C",
                "message_id": f"demo-{person}",
                "montant_centimes": case.received,
                "moyen": "cheque",
                "date": "2026-02-10",
            }


def references_of(person: str) -> Iterator[str]:
    """The references of one of these persons."""
    return (message["reference"] for message in cases() if message.get("assure") == person)
