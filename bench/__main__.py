"""`make bench`: every measurement on the same servers, in one run.

It states figures and never fails for one. `--quick` takes small sizes and one round, to see that everything runs.
"""

import argparse
import os
import platform
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import harmonic_mean, mean
from typing import Final

import psycopg

from bench import batches, latency, memory, pipeline, reading, rebuild, report
from bench.around import AROUND
from bench.costs import Costs
from bench.figures import Figures
from bench.plan import FULL, QUICK, Plan
from bench.servers import Servers, servers
from bench.stage import Stage, prepare, strike
from service.composition import VIEWS

ROOT: Final = Path(__file__).resolve().parent.parent
RAW: Final = ROOT / ".bench" / "figures.json"


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round, no page written")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each measurement, when in doubt more")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="only these measurements")
    parser.add_argument("--scale", nargs="+", choices=(*SCALES, HUGE), default=SCALES, help="only these scales")
    parser.add_argument(
        "--pages", type=Path, metavar="JSON", help="write the pages from these figures, measure nothing"
    )
    options = parser.parse_args()
    if options.pages:
        _write_pages(Figures.read(options.pages))
        return
    plan = QUICK if options.quick else FULL
    if options.rounds:
        plan = replace(plan, rounds=options.rounds)
    # Ended from outside, it still stops its servers and roles.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    figures, failed = Figures(), False
    with servers() as running:
        _tell_machine(running, figures)
        for name, scale in zip(SCALES, (plan.small, plan.large), strict=True):
            figures.facts[f"créances_{name}"] = scale.creances
            parts = [part for part in PARTS if part.__name__.strip("_") in options.only]
            parts = [part for part in parts if name == "large" or part in AT_BOTH_SCALES]
            if name not in options.scale or not parts:
                continue
            stage = prepare(running, figures, name, scale, plan.messages)
            for part in parts:
                failed |= not _attempt(part, running, figures, plan, stage)
                figures.write(RAW)
            strike(running, stage)
        if HUGE in options.scale:
            batches.compare(running, figures, {"small": plan.small, HUGE: plan.huge}, plan.rounds)
            figures.write(RAW)
    print(report.table(figures))
    whole = not options.quick and options.only == NAMES and options.scale == SCALES
    if whole:
        _write_pages(figures)
    sys.exit(1 if failed else 0)


def _attempt(part: "Part", running: Servers, figures: Figures, plan: Plan, stage: Stage) -> bool:
    """Run a measurement; one that breaks down is told, and does not lose the others."""
    try:
        part(running, figures, plan, stage)
    except Exception:  # noqa: BLE001  whatever it is, the other measurements stand
        figures.say(f"{part.__name__.strip('_')} broke down:\n{traceback.format_exc()}")
        return False
    return True


def _write_pages(figures: Figures) -> None:
    docs = ROOT / "docs"
    (docs / "performance.md").write_text(report.page(figures))
    (docs / "performance.svg").write_text(report.chart(figures))


def _tell_machine(running: Servers, figures: Figures) -> None:
    with psycopg.connect(running.owner_url) as conn:
        (version,) = conn.execute("SHOW server_version").fetchone() or ("?",)
        (fsync,) = conn.execute("SHOW fsync").fetchone() or ("?",)
    figures.fact("date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    figures.fact("cores", os.cpu_count())
    figures.fact("load_before", round(os.getloadavg()[0], 2))
    figures.fact("python", platform.python_version())
    figures.fact("postgresql", f"{version} (fsync {fsync}{', embedded' if running.embedded else ''})")


def _pipeline(running: Servers, figures: Figures, plan: Plan, stage: Stage) -> None:
    """Notifications per second, three ways and once more with every follower.

    Ours and the ceiling take some seconds each, and the machine's speed drifts within seconds: they run by turns.
    """
    library, every = pipeline.library(), pipeline.ours(*VIEWS)
    both = (pipeline.ours("restant_du"), pipeline.ceiling(stage.scale, processes=1))
    for _ in range(plan.rounds):
        _add_rate(figures, stage, library, [pipeline.measure(running, stage, library).rate])
        turns = [[pipeline.measure(running, stage, way).rate for way in both] for _ in range(PIPELINE_TURNS)]
        for way, rates in zip(both, zip(*turns, strict=True), strict=True):
            _add_rate(figures, stage, way, rates)
        measured = pipeline.measure(running, stage, every)
        _add_rate(figures, stage, every, [measured.rate])
        _add_costs(figures, stage, measured.spent)


def _add_rate(figures: Figures, stage: Stage, way: pipeline.Way, rates: Sequence[float]) -> None:
    """The rate over all turns: of equal work, the harmonic mean."""
    figures.add(f"pipeline.{stage.name}.{way.name}", harmonic_mean(rates), "notifications/s")


def _add_costs(figures: Figures, stage: Stage, spent: Costs) -> None:
    """Processor time a notification, by role and by session of PostgreSQL, with every follower."""
    for name, found in spent._asdict().items():
        for who, microseconds in found.items():
            figures.add(f"cost.{stage.name}.{name}.{who}", microseconds, "µs a notification")


def _rebuild(running: Servers, figures: Figures, plan: Plan, stage: Stage) -> None:
    """Events a second into an empty view, three ways, interleaved."""
    for _ in range(plan.rounds):
        with running.copy(stage.template) as database:
            figures.add(f"rebuild.{stage.name}.ours", rebuild.ours(running, stage, database), "events/s")
            figures.add(f"rebuild.{stage.name}.ceiling", rebuild.by_hand(running, stage, database), "events/s")
        rate, part = rebuild.by_library(running, stage, plan.library_rebuild_seconds)
        figures.add(f"rebuild.{stage.name}.library", rate, "events/s")
        figures.add(f"rebuild.{stage.name}.library, part measured", part, "of the log")


def _latency(running: Servers, figures: Figures, plan: Plan, stage: Stage) -> None:
    """From the POST to the visible balance."""
    for _ in range(plan.rounds):
        found = latency.measure(running, stage, plan.latency_seconds)
        figures.add("latency.p50", found.p50, "ms")
        figures.add("latency.p99", found.p99, "ms")
        figures.add("latency.worst", found.worst, "ms")


def _http(running: Servers, figures: Figures, plan: Plan, stage: Stage) -> None:
    """The balance read, beside the bare endpoint, by turns, many in a round: the machine's speed drifts in seconds."""
    seconds = plan.http_seconds / TURNS
    with reading.endpoints(running, stage) as both:
        for endpoint in both:
            endpoint.load(seconds)  # Warm.
        for _ in range(plan.rounds):
            turns = [[endpoint.load(seconds) for endpoint in both] for _ in range(TURNS)]
            for endpoint, loads in zip(both, zip(*turns, strict=True), strict=True):
                name = f"http.{endpoint.name}"
                figures.add(name, mean(load.requests_per_second for load in loads), "requests/s")
                figures.add(f"{name}, processor", mean(load.processor for load in loads), "µs a request")
                figures.add(f"{name}, client", mean(load.client for load in loads), "of a core")


def _memory(running: Servers, figures: Figures, plan: Plan, stage: Stage) -> None:
    """Each role's memory over a long stream."""
    held, sizes = memory.measure(running, stage, plan.memory_messages)
    for name, size in sizes.items():
        figures.fact(name, round(size, 1))
    for role, found in held.items():
        figures.add(f"memory.{role}", found.samples[-1] / MEGABYTE, "MB")
        figures.add(f"memory.{role}, peak", found.peak / MEGABYTE, "MB")
        figures.add(f"memory.{role}, growth", found.growth / MEGABYTE, "MB")
        figures.facts[f"memory.{role}, samples"] = [round(sample / MEGABYTE, 1) for sample in found.samples]


MEGABYTE: Final = 1_000_000
TURNS: Final = 8
"""Turns of each endpoint in a round of HTTP."""

PIPELINE_TURNS: Final = 3
"""Turns of ours and of the ceiling in a round of the pipeline."""

Part = Callable[[Servers, Figures, Plan, Stage], None]
PARTS: Final[tuple[Part, ...]] = (_pipeline, _rebuild, _http, _latency, _memory, batches.lived, *AROUND)
AT_BOTH_SCALES: Final = (_pipeline, _rebuild)
NAMES: Final = tuple(part.__name__.strip("_") for part in PARTS)
SCALES: Final = ("small", "large")
HUGE: Final = "huge"
"""Only on demand, and only what `batches` measures: ten million créances take an hour to load and 50 GB."""

if __name__ == "__main__":
    main()
