"""Histories by seed: `make simulate SEED=… HISTORIES=…` (`python -m tests.simulation --help`).

Exit 0 if every history came right. With `--without`, a safety is taken out, and exit 0 says that this was noticed.
"""

import argparse
import hashlib
import secrets
import sys
import time
from collections import Counter

from tests.simulation.safeties import SAFETIES, Safety
from tests.simulation.seams import silent
from tests.simulation.world import World

LINES = 60


def main() -> int:
    """Run the histories that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", default="", help="a word, or word:number for one history with its whole trace")
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument(
        "--without", choices=sorted(SAFETIES), help="take this safety out; stop at what it lets through"
    )
    asked = parser.parse_args()
    seed, _, number = (asked.seed or secrets.token_hex(4)).partition(":")
    without = SAFETIES[asked.without] if asked.without else None
    with silent():
        if number:
            return _one(f"{seed}:{number}", without)
        return _many(seed, asked.histories, without)


def _one(seed: str, without: Safety | None) -> int:
    world = World(seed, without)
    wrong = world.live()
    print("\n".join(world.scheduler.lines))
    _say_wrong(seed, wrong)
    print(f"history {seed}: {world.scheduler.digest}")
    return 1 if wrong else 0


def _many(seed: str, histories: int, without: Safety | None) -> int:
    began = time.perf_counter()
    digest, struck, sent = hashlib.sha256(), Counter[str](), Counter[str]()
    steps = payments = 0
    for number in range(histories):
        world = World(f"{seed}:{number}", without)
        wrong = world.live()
        digest.update(world.scheduler.digest.encode())
        struck.update(world.faults.struck)
        sent.update(world.books.sent)
        steps += world.scheduler.steps
        payments += len(world.books.payments)
        if wrong:
            _say_wrong(world.seed, wrong)
            if without:
                print(f"without {without.name}: noticed in history {number + 1}, after {_since(began)}")
                return 0
            print(f"replay: make simulate SEED={world.seed}")
            return 1
    taken = time.perf_counter() - began
    print(f"seed {seed}: {histories} histories in {taken:.1f} s ({histories / taken * 60:.0f} a minute), {steps} steps")
    print(f"{sent.total()} messages sent, {payments} payments; faults: {dict(sorted(struck.items()))}")
    print(f"digest {digest.hexdigest()}")
    if without:
        print(f"without {without.name}: NOT noticed")
        return 1
    print(f"{histories} passed, 0 failed")
    return 0


def _say_wrong(seed: str, wrong: list[str]) -> None:
    for what in wrong[:LINES]:
        print(f"{seed}: {what}")


def _since(began: float) -> str:
    return f"{time.perf_counter() - began:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
