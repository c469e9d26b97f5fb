"""What one node carries against the nation's load, computed from the measured figures."""

from typing import Final

from bench.chart import number
from bench.figures import Figures

CREANCES: Final = 80_000_000
EVENTS_A_YEAR: Final = 300_000_000
PEAK: Final = 500
"""Notifications a second."""

SECONDS_A_YEAR: Final = 365 * 24 * 3600
GIGABYTE: Final = 1_000_000_000
HOUR: Final = 3600.0
NIGHT_HOURS: Final = 12.0
SAFETY: Final = 0.5
"""A node is full at half of what it was measured to do: the other half catches up after an outage."""


def carried(figures: Figures) -> str:
    """The section of the page; empty if what it needs was not measured."""
    rate = figures.median("pipeline.large.ours, all followers")
    rebuild = figures.median("rebuild.large.ours")
    per_event = figures.facts.get("bytes_per_event")
    per_fate = figures.facts.get("bytes_per_fate")
    per_row = figures.facts.get("bytes_per_view_row")
    if rate is None or rebuild is None or not per_event or not per_fate or not per_row:
        return ""
    year = EVENTS_A_YEAR * float(per_event) / GIGABYTE
    view = CREANCES * float(per_row) / GIGABYTE
    # At most every second event comes with a message, hence with a fate.
    fates = EVENTS_A_YEAR / 2 * float(per_fate) / GIGABYTE
    hours = CREANCES / rebuild / HOUR
    year_hours = EVENTS_A_YEAR / rebuild / HOUR
    minutes = 60 * PEAK / (rate - PEAK) if rate > PEAK else None
    late = "never caught up" if minutes is None else f"caught up in {number(minutes)} minutes, while the peak goes on"
    rows = (
        ("mean", f"{EVENTS_A_YEAR / SECONDS_A_YEAR:.1f} events/s", ""),
        ("peak", f"{PEAK} notifications/s", f"{number(rate)} /s with every follower: {rate / PEAK:.1f} times the peak"),
        ("an hour's outage at the peak", "", late),
        ("log", "", f"{number(float(per_event))} bytes an event with its indexes: {number(year)} GB a year"),
        ("fates", "", f"{number(float(per_fate))} bytes a message with their indexes: {number(fates)} GB a year"),
        ("`restant_du`", "", f"{number(float(per_row))} bytes a créance with its indexes: {number(view)} GB"),
        ("rebuild: the avis alone", "", f"{number(rebuild)} events/s: {hours:.1f} h (extrapolated)"),
        ("rebuild: a year's log", "", f"{year_hours:.1f} h (extrapolated)"),
    )
    lines = "\n".join(f"| {what} | {needed} | {found} |" for what, needed, found in rows)
    return f"""\
## What one node carries against the nation's load

Some {CREANCES / 1e6:.0f} million créances, {EVENTS_A_YEAR / 1e6:.0f} million events a year, peaks of {PEAK}
notifications a second. Everything below is computed from the figures of this run.

| | needed | one node |
|---|---|---|
{lines}

{_sharding(rate, year + fates, year_hours)}"""


def _sharding(rate: float, gigabytes_a_year: float, rebuild_hours: float) -> str:
    room = rate * SAFETY / PEAK
    first = f"At half of its measured rate a node carries {room:.1f} times the nation's peak: "
    first += "one database is enough for the rate." if room >= 1 else f"the rate asks for {1 / room:.0f} or more."
    return f"""\
**When to shard.** {first}
What asks for several databases is then time and space: a rebuild reads the whole log, and log and fates grow by
{number(gigabytes_a_year)} GB a year. A rebuild runs beside the live view, so it may take a night of {NIGHT_HOURS:.0f}
hours; past {NIGHT_HOURS / rebuild_hours:.1f} years of log it no longer fits. Appends of one database go through one
lock, so a second database, owning its own caisses, doubles everything here.

These are figures of a small machine with client, broker and database on the same cores. A database of its own and more
consumers move the rates up; a network between them moves the latency up.
"""
