"""Sample avis, made from a seed: the same seed on the same day gives the same avis."""

import random
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final

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
