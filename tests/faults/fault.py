"""What a fault is, and what it finds when it strikes."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.faults.ledger import Ledger
from tests.faults.producer import Producer
from tests.faults.stack import Stack
from tests.faults.traffic import Actor


@dataclass
class Scene:
    """What runs when a fault strikes, and what draws."""

    stack: Stack
    rng: random.Random
    ledger: Ledger
    producer: Producer
    actors: Sequence[Actor]
    wrong: list[str] = field(default_factory=list)
    """What its keeper saw and should not have."""


class Fault(NamedTuple):
    """One kind of fault."""

    name: str
    strike: Callable[[Scene], None]
    """Takes something away and gives it back as its keeper would; returns once it is given back."""
    seconds: float = 10.0
    """About how long that takes: none is begun for which the run has no time left."""
    lacking: Callable[[Stack], str | None] = lambda _: None
    """What this machine lacks for it; None if nothing."""


class Deck:
    """Faults in random order; none comes a second time before each came once."""

    def __init__(self, faults: Sequence[Fault], rng: random.Random) -> None:
        """A kind that stands there twice comes twice as often."""
        self._all, self._rng = list(faults), rng
        self._left: list[Fault] = []

    def draw(self, seconds: float) -> Fault | None:
        """The next one that fits into these seconds; None if none does."""
        if not any(fault.seconds <= seconds for fault in self._left):
            self._left += self._rng.sample(self._all, k=len(self._all))
        found = next(self._fitting(seconds), None)
        if found is not None:
            self._left.remove(found)
        return found

    def _fitting(self, seconds: float) -> Iterator[Fault]:
        return (fault for fault in self._left if fault.seconds <= seconds)
