"""The ledger that judges the service is judged here: what a restore may take, what it must, and what then is owed."""

import random

import pytest

from tests.faults.fault import Deck, Fault
from tests.faults.ledger import Debt, Ledger, Payment, Restore

RESTORE = Restore(begun=10.0, taken=20.0, closing=30.0, put=40.0)


def ledger(asked_at: float, answered_at: float) -> Ledger:
    kept = Ledger(debts={"R": Debt(50_00)}, restores=[RESTORE])
    kept.open(Payment("T", 20_00, {"R": 20_00}, {}, asked_at, answered_at))
    kept.accept("T", 20_00, "1")
    kept.accept("T", 20_00, "1")
    return kept


@pytest.mark.parametrize(
    ("asked_at", "answered_at", "gone_is_wrong", "there_is_wrong"),
    [
        (8, 9, True, False),  # Answered before the backup began: it is in it.
        (8, 11, False, False),  # While it was taken: either.
        (15, 16, False, False),
        (19, 25, False, False),
        (21, 29, False, True),  # After it, and on the log that is no more.
        (21, 31, False, False),  # While one took the other's place: either.
        (35, 36, False, False),
        (35, 50, False, False),
        (41, 42, True, False),  # On the log that is there.
    ],
)
def test_only_what_was_opened_after_the_backup_began_may_be_gone(
    *, asked_at: float, answered_at: float, gone_is_wrong: bool, there_is_wrong: bool
) -> None:
    assert bool([*ledger(asked_at, answered_at).reconsider([])]) is gone_is_wrong
    assert bool([*ledger(asked_at, answered_at).reconsider(["T"])]) is there_is_wrong


def test_the_money_of_a_lost_payment_is_all_there_and_on_no_debt() -> None:
    kept = ledger(21, 29)
    kept.accept("T", 20_00, "2")
    kept.accept("T", 99_00, "2")
    assert kept.balances() == {"R": 30_00}
    assert kept.unattached() == {"T": 119_00}
    assert [*kept.reconsider([])] == []
    assert kept.balances() == {"R": 50_00}
    assert kept.unattached() == {"T": 139_00}


def test_a_name_given_twice_is_told() -> None:
    kept = ledger(8, 9)
    assert kept.open(Payment("T", 1, {}, {})) is not None


def test_every_kind_comes_before_one_comes_again_and_none_without_its_time() -> None:
    kinds = [Fault(str(number), lambda _: None, seconds=number) for number in range(1, 9)]
    deck = Deck(kinds, random.Random("s"))  # noqa: S311 (a replayable draw, no secret)
    for _ in range(3):
        assert {fault.name for fault in (deck.draw(10) for _ in kinds) if fault} == {kind.name for kind in kinds}
    assert all(fault is not None and fault.seconds <= 2 for fault in (deck.draw(2.5) for _ in range(40)))
    assert deck.draw(0.5) is None
