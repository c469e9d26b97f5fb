"""The raw figures of one bench: every run kept, in rounds that interleave the ways; medians and ratios from them."""

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any


@dataclass
class Figures:
    """Figures by name, each a list of runs, in the order of the rounds; `facts` are what was not measured in rounds."""

    runs: dict[str, list[float]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def add(self, name: str, value: float, unit: str) -> None:
        """Keep a run's figure, and say it."""
        self.runs.setdefault(name, []).append(value)
        self.say(f"{name}: {value:,.4g} {unit}" if value < 10 else f"{name}: {value:,.0f} {unit}")  # noqa: PLR2004

    def fact(self, name: str, value: Any) -> None:
        """Keep something else that was found, and say it."""
        self.facts[name] = value
        self.say(f"{name}: {value}")

    def say(self, line: str) -> None:
        """Print progress, with the minutes since the start."""
        seconds = time.monotonic() - self.started
        print(f"[{int(seconds) // 60:02d}:{int(seconds) % 60:02d}] {line}", file=sys.stderr, flush=True)

    def median(self, name: str) -> float | None:
        """The median run; None if this was not measured."""
        return median(self.runs[name]) if self.runs.get(name) else None

    def ratio(self, name: str, other: str) -> float | None:
        """The median of the rounds' ratios: what drifts between rounds touches both ways of a round alike."""
        pairs = list(zip(self.runs.get(name, ()), self.runs.get(other, ()), strict=False))
        return median(one / two for one, two in pairs) if pairs else None

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"facts": self.facts, "runs": self.runs}, indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Figures":
        """Read what `write` wrote."""
        content: Mapping[str, Any] = json.loads(path.read_text())
        return cls(runs=dict(content["runs"]), facts=dict(content["facts"]))
