"""From the raw figures to what people read: the table, the chart, and `docs/performance.md`.

What no figure says, where a notification's time goes and what bounds it, is written by hand in `notification.md`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bench.chart import Bar, Mark, Panel, draw, number
from bench.figures import Figures
from bench.nation import carried
from bench.pipeline import PATIENCE_SECONDS
from service.composition import VIEWS

ROLES: Final = ("api", "consume kiosque", *(f"project {view}" for view in VIEWS))
SCALE_NAMES: Final = {"small": "créances_small", "large": "créances_large"}
TIMES_LIBRARY: Final = 10.0
OF_CEILING: Final = 0.3
OF_BARE: Final = 0.7
OF_BARE_PAGE: Final = 0.35
COST_GROWTH: Final = 1.3
LIVED_GROWTH: Final = 1.25
MEGABYTES: Final = 200.0
PROOF: Final = (
    ("a balance's proof is given", "proof.given", "ms", 20.0),
    ("a proof is verified offline, a process", "proof.verified, a process", "ms", 50.0),
    ("the log is hashed again", "proof.rehash", "rows/s", 250_000.0),
    ("an event is sealed, p99", "sealing.delay p99", "s", 2.0),
    (
        "every view compared with the log, a million créances with a history, 5 % of a core",
        "parity.again, hours",
        "h",
        1.0,
    ),
    ("sealing, of the processor time of the pipeline with every follower", "sealing.share", "%", 5.0),
)
"""What is measured of the proof and of the watch, and its aim: at most, but for a rate."""


class Line(NamedTuple):
    """A ratio and its aim."""

    what: str
    figures: str
    ratio: float
    aim: str
    reached: bool | None


def scale(figures: Figures, name: str) -> str:
    """How many créances a scale has, as people write it."""
    return number(float(figures.facts.get(SCALE_NAMES[name], 0))) + " créances"


def lines(figures: Figures) -> Iterator[Line]:
    """Every ratio that has an aim, of what was measured."""
    for name in SCALE_NAMES:
        what, ours, unit = f"notifications, {scale(figures, name)}", f"pipeline.{name}", "notifications/s"
        yield from _line(figures, what, (f"{ours}.ours", f"{ours}.library"), unit, TIMES_LIBRARY)
        yield from _line(figures, what, (f"{ours}.ours", f"{ours}.ceiling"), unit, OF_CEILING)
    for name in SCALE_NAMES:
        what, ours, unit = f"rebuild, {scale(figures, name)}", f"rebuild.{name}", "events/s"
        yield from _line(figures, what, (f"{ours}.ours", f"{ours}.library"), unit, None)
        yield from _line(figures, what, (f"{ours}.ours", f"{ours}.ceiling"), unit, OF_CEILING)
    yield from _line(figures, "balance read over HTTP", ("http.ours", "http.bare"), "requests/s", OF_BARE)
    what = "step 2's page, 50 créances, beside a page of one row"
    yield from _line(figures, what, ("pages.50 lines", "pages.bare"), "pages/s", OF_BARE_PAGE)
    yield from _doors(figures)
    growth = figures.ratio("pipeline.small.ours", "pipeline.large.ours")
    if growth is not None:
        what = f"cost of a notification, {scale(figures, 'large')} beside {scale(figures, 'small')}"
        yield Line(what, "", growth, "≤ 1.3", growth <= COST_GROWTH)
    for name in ("large", "huge"):
        growth = figures.ratio(f"lived.{name}.all", "lived.small.all")
        if growth is not None:
            big, small = (number(float(figures.facts[f"lived.{one}.créances"])) for one in (name, "small"))
            what = f"processor time of a notification with a history, every follower, {big} créances beside {small}"
            yield Line(what, "", growth, f"≤ {LIVED_GROWTH}", growth <= LIVED_GROWTH)


def _doors(figures: Figures) -> Iterator[Line]:
    """What the doors add to a request's processor time."""
    for what, name, most in (("balance read", "balance", 1.1), ("the bank's POST", "POST", 1.05)):
        pair = (f"doors.{name}, with", f"doors.{name}, without")
        ratio, guarded, bare = figures.ratio(*pair), figures.median(pair[0]), figures.median(pair[1])
        if ratio is not None and guarded is not None and bare is not None:
            found = f"{number(guarded)} / {number(bare)} (without) µs"
            yield Line(f"{what} with its doors", found, ratio, f"≤ {most:g}", ratio <= most)


def _line(figures: Figures, what: str, pair: tuple[str, str], unit: str, aim: float | None) -> Iterator[Line]:
    ratio, mine, theirs = figures.ratio(*pair), figures.median(pair[0]), figures.median(pair[1])
    if ratio is not None and mine is not None and theirs is not None:
        named = pair[1].rpartition(".")[2]
        found = f"{number(mine)} / {number(theirs)} ({named}) {unit}"
        yield Line(what, found, ratio, f"≥ {aim:g}" if aim else "", None if aim is None else ratio >= aim)


def table(figures: Figures) -> str:
    """The ratios and the other figures, as a Markdown table: the terminal's and the page's."""
    rows = ["| measure | ours / other | ratio | aim | |", "|---|---|---|---|---|"]
    rows += [
        f"| {line.what} | {line.figures} | **{line.ratio:.2g}** | {line.aim} | {_verdict(reached=line.reached)} |"
        for line in lines(figures)
    ]
    for name in SCALE_NAMES:
        everything = figures.median(f"pipeline.{name}.ours, all followers")
        if everything is not None:
            rows.append(
                f"| notifications with every follower, {scale(figures, name)} | {number(everything)} /s | | | |"
            )
        rows += _costs(figures, f"cost.{name}", scale(figures, name))
    for name in ("small", "large", "huge"):
        size = figures.facts.get(f"lived.{name}.créances")
        if size is not None:
            rows += _costs(figures, f"lived.{name}", f"{number(float(size))} créances with a history, in one process")
            clock = figures.median(f"lived.{name}.clock")
            rows.append(f"| the 24 h clock, {number(float(size))} créances with a history | {clock:.0f} ms | | | |")
    rows += _proof(figures)
    p50, p99 = figures.median("latency.p50"), figures.median("latency.p99")
    if p50 is not None and p99 is not None:
        rows.append(f"| POST to visible balance at 200/s | p50 {number(p50)} ms, p99 {number(p99)} ms | | | |")
    for role in ROLES:
        now, growth = figures.median(f"memory.{role}"), figures.median(f"memory.{role}, growth")
        if now is not None and growth is not None:
            held = f"{now:.0f} MB, {growth:+.0f} MB in the last two thirds of the stream"
            rows.append(f"| memory of `{role}` | {held} | | < 200 MB | {_verdict(reached=now < MEGABYTES)} |")
    return "\n".join(rows)


def _proof(figures: Figures) -> Iterator[str]:
    for what, name, unit, aim in PROOF:
        found, a_rate = figures.median(name), unit.endswith("/s")
        if found is not None:
            reached = found >= aim if a_rate else found <= aim
            told = f"{'≥' if a_rate else '≤'} {number(aim)} {unit}"
            yield f"| {what} | {number(found)} {unit} | | {told} | {_verdict(reached=reached)} |"


def _costs(figures: Figures, prefix: str, base: str) -> Iterator[str]:
    """Processor time a notification with every follower: of all of Python, of each role, of PostgreSQL's sessions."""
    for kind, told in (("python", "Python"), ("postgresql", "PostgreSQL")):
        start = f"{prefix}.{kind}."
        found = {run.removeprefix(start): figures.median(run) or 0.0 for run in figures.runs if run.startswith(start)}
        if found:
            most = sorted(found.items(), key=lambda one: -one[1])
            parts = ", ".join(f"`{who}` {cost:.0f}" for who, cost in most if cost >= 1)
            what = f"processor time of {told} a notification, {base}"
            yield f"| {what} | {sum(found.values()):.0f} µs: {parts} | | | |"


def _verdict(*, reached: bool | None) -> str:
    return {None: "", True: "reached", False: "missed"}[reached]


def chart(figures: Figures) -> str:
    """The SVG."""
    panels = [*_compared(figures, "pipeline", "From Kafka to the view", "notifications/s")]
    panels += _compared(figures, "rebuild", "Rebuild of restant_du", "events/s")
    ours, bare = figures.median("http.ours"), figures.median("http.bare")
    if ours is not None and bare is not None:
        aimed = Bar("balance with its token", ours, "ours", Mark(OF_BARE * bare, "0.7 × bare"))
        panels.append(Panel("Reading over HTTP", "requests/s", [aimed, Bar("bare FastAPI row", bare, "ceiling")]))
    delays = [
        Bar(name, value, "other") for name in ("p50", "p99") if (value := figures.median(f"latency.{name}")) is not None
    ]
    if delays:
        panels.append(Panel("From the bank's POST to the visible balance, at 200/s", "ms", delays))
    held = [
        Bar(role, value, "other", Mark(MEGABYTES, "< 200"))
        for role in ROLES
        if (value := figures.median(f"memory.{role}")) is not None
    ]
    if held:
        panels.append(Panel("Memory of each role after the stream", "MB", held))
    described = "; ".join(f"{line.what}: ratio {line.ratio:.2g}, aim {line.aim}" for line in lines(figures))
    return draw("Performance of the service, measured side by side", described, panels)


def _compared(figures: Figures, kind: str, title: str, unit: str) -> Iterator[Panel]:
    for name in SCALE_NAMES:
        found = [figures.median(f"{kind}.{name}.{way}") for way in ("library", "ours", "ceiling")]
        library, ours, ceiling = found
        if library is None or ours is None or ceiling is None:
            continue
        aim = max(TIMES_LIBRARY * library if kind == "pipeline" else 0.0, OF_CEILING * ceiling)
        text = "10 × library" if aim > OF_CEILING * ceiling else "0.3 × ceiling"
        bars = [
            Bar("the library's idiom", library, "library"),
            Bar("this service", ours, "ours", Mark(aim, text)),
            Bar("by hand, no domain", ceiling, "ceiling"),
        ]
        yield Panel(f"{title}, {scale(figures, name)}", unit, bars)


def page(figures: Figures) -> str:
    """The whole of `docs/performance.md`."""
    facts = figures.facts
    machine = (
        f"{facts.get('cores')} cores, Python {facts.get('python')}, PostgreSQL {facts.get('postgresql')}; "
        f"load before the run: {facts.get('load_before')}"
    )
    return PAGE.format(
        costs=Path(__file__).with_name("notification.md").read_text("utf-8"),
        date=facts.get("date"),
        machine=machine,
        table=table(figures),
        library_part=_library_part(figures),
        client=f"{max(figures.runs.get('http.ours, client', [0.0])):.0%}",
        patience=PATIENCE_SECONDS,
        carried=carried(figures),
    )


def _library_part(figures: Figures) -> str:
    part = figures.median("rebuild.large.library, part measured")
    if part is None:
        return ""
    watched = f"The library's rebuild of the large base was watched over {part:.1%} of the log"
    return f"{watched}; its rate there stands for the whole."


PAGE: Final = """\
# Performance

{costs}
## Measured side by side

Written by `make bench` on {date}: do not edit. {machine}.

![The figures below as bars, with the aims as marks](performance.svg)

{table}

Medians of three rounds; in a round the ways run one after the other, on copies of one database and the same messages,
on the same PostgreSQL and broker. Where a run takes seconds only (ours and the ceiling of the pipeline, HTTP), a round
is several turns of each, one after the other. A ratio is the median of the rounds' ratios. {library_part}

## What is compared

- **Ours**: the service's own commands, a process a role, with their default settings: `consume kiosque` and
  `project restant_du` (and, on its own line, every follower). Seal, rules, versions, one fate a message, position and
  events in one transaction; the view follows in its own.
- **The library's idiom**: `eventsourcing` as its documentation teaches it: for each notification the aggregates are got
  from the repository, the event triggered, and both saved in one transaction with the library's tracking; its
  `ProjectionRunner` moves the balance, one transaction an event. Two processes too, the same domain rules, seal and
  stored bytes. It keeps no fates. A run is stopped after {patience:.0f} seconds; its rate is that of what was visible.
- **The ceiling**: by hand, no domain: decode JSON and form, one insert of the same bytes under the same order lock, one
  update of the view and the position, in one transaction for 500 messages. No seal, nothing loaded, no fates. It is one
  process: a second one gains nothing, since both wait for the same PostgreSQL and the order lock.
- **A notification** is an acceptance: two events, one row of the view. The clock starts when the first batch is in
  and counts the messages after it; it stops when the view has everything, and the balances are then added up.
- **HTTP**: `GET /api/v1/creances/{{reference}}` with its bearer token and its whole answer, beside a FastAPI endpoint
  that reads one row with the same pool and the same uvicorn settings; 16 connections. The client is ours, on
  sockets, and used at most {client} of a core: it is not what is measured, but it shares the machine.
- **Step 2's page**: `GET /payer?reference=…` with its session, of an assuré who owes one, fifty or 500 créances,
  beside a page of one row. One statement reads the session and the account; nobody's page is kept.
- **The doors**: the processor time of a balance read and of the bank's POST, beside the same role without its
  deadlines, security headers, bounds on a request and rates of each caller (`bench/unguarded.py`): many short turns,
  each way first in every other, of which the cheapest half counts.
- **Latency**: from the moment at which the bank's POST was due to the first look at the view that shows it, through the
  API, Kafka, the consumer and the followers.

{carried}
"""
