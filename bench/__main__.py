"""`make bench`: every measurement on the same servers, in one run.

It states figures and never fails for one. `--quick` takes small sizes and one round, to see that everything runs.
"""

import argparse
import os
import platform
from pathlib import Path
from typing import Final

import psycopg

from bench import pipeline
from bench.figures import Figures
from bench.plan import FULL, QUICK, Plan
from bench.servers import Servers, servers
from bench.stage import Stage, prepare, strike

RAW: Final = Path(__file__).resolve().parent.parent / ".bench" / "figures.json"


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round, no page written")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    figures = Figures()
    with servers() as running:
        _tell_machine(running, figures)
        for name, scale in (("small", plan.small), ("large", plan.large)):
            stage = prepare(running, figures, name, scale, plan.messages)
            _pipeline(running, figures, plan, stage)
            strike(running, stage)
            figures.write(RAW)


def _tell_machine(running: Servers, figures: Figures) -> None:
    with psycopg.connect(running.owner_url) as conn:
        (version,) = conn.execute("SHOW server_version").fetchone() or ("?",)
        (fsync,) = conn.execute("SHOW fsync").fetchone() or ("?",)
    figures.fact("cores", os.cpu_count())
    figures.fact("load_before", round(os.getloadavg()[0], 2))
    figures.fact("python", platform.python_version())
    figures.fact("postgresql", f"{version} (fsync {fsync}{', embedded' if running.embedded else ''})")


def _pipeline(running: Servers, figures: Figures, plan: Plan, stage: Stage) -> None:
    """Notifications per second, three ways and once more with every follower, interleaved."""
    ways = (
        pipeline.ours("restant_du"),
        pipeline.library(),
        pipeline.ceiling(stage.scale, processes=1),
        pipeline.ours("restant_du", "paiements", "delai_affichage"),
    )
    for _ in range(plan.rounds):
        for way in ways:
            rate = pipeline.measure(running, stage, way)
            figures.add(f"pipeline.{stage.name}.{way.name}", rate, "notifications/s")


if __name__ == "__main__":
    main()
