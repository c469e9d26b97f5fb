"""How much each bench does: the full one for the figures that count, the quick one to see that it runs."""

from dataclasses import dataclass
from typing import Final

from bench.data import Scale


@dataclass(frozen=True)
class Plan:
    """Sizes, counts and durations of one bench."""

    small: Scale
    large: Scale
    huge: Scale
    """Ten times the large one, on demand only: `batches` loads it."""
    messages: int
    """Notifications of a pipeline run; the same at both scales, so that only the size of the base differs."""
    rounds: int
    library_rebuild_seconds: float
    """How long the library's rebuild is watched; what is left is extrapolated from what was done by then."""
    latency_seconds: float
    http_seconds: float
    memory_messages: int


FULL: Final = Plan(
    small=Scale(10_000, 10_000),
    large=Scale(1_000_000, 200_000),
    huge=Scale(10_000_000, 200_000),
    messages=10_000,
    rounds=3,
    library_rebuild_seconds=20.0,
    latency_seconds=30.0,
    http_seconds=12.0,
    memory_messages=200_000,
)

QUICK: Final = Plan(
    small=Scale(2_000, 2_000),
    large=Scale(20_000, 10_000),
    huge=Scale(40_000, 10_000),
    messages=2_000,
    rounds=1,
    library_rebuild_seconds=3.0,
    latency_seconds=5.0,
    http_seconds=2.0,
    memory_messages=10_000,
)
