"""The fault driver: `make faults MINUTES=30 SEED=…` (`python -m tests.faults --help`).

Real processes under random traffic and random faults, history after history; after each, an independent ledger must
agree with every balance. Exit 1 if anything was lost, counted twice, wrong or stuck.
"""

import argparse
import logging
import random
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final
from unittest.mock import patch

import psycopg
from kafka.errors import KafkaError

from api.socle.identite import RoleUtilisateur, emettre_jeton
from service.embedded import child
from service.settings import Settings
from tests.courtiers import ce_qui_manque_pour_apache
from tests.faults import checks
from tests.faults.catalogue import FAULTS
from tests.faults.clock import own_clock
from tests.faults.disk import small_disk
from tests.faults.fault import Deck, Fault, Scene
from tests.faults.ledger import Ledger
from tests.faults.producer import PATIENCE_S, Producer
from tests.faults.stack import START_S, Stack
from tests.faults.traffic import Actor

AUDIENCE: Final = Settings(_env_file=None).oidc_audience
ACTORS = 5
TRAFFIC_S = 40.0
SHORT_S = 10.0
"""The shortest time of traffic in a history (seconds)."""
CALM_S = 600.0
"""How long everything may take to be read, shown and published once the faults are over, at most (seconds).

A bound of 'stuck', not of 'slow', which the report tells: a machine that does other things too may need minutes.
"""
RECOVERY_S = 300.0
"""The same for the API, after one fault (seconds)."""
START_COUNTED_S = 90.0
"""How much of the start is counted into the run's time, at most (seconds)."""
AGREED_S = 300.0
"""How long the last events may take to be shown and published once all is read (seconds)."""


class Run:
    """Histories, one after the other, and what they showed."""

    def __init__(self, stack: Stack, seed: str, faults: Sequence[Fault], until: float) -> None:
        """`seed`: decides traffic and faults, the timing is the machine's; `until`: no history begins later."""
        self.stack, self.seed, self.until = stack, seed, until
        self.rng = random.Random(seed)  # noqa: S311 (a replayable history, no secret)
        self.ledger = Ledger()
        self.possible = [fault for fault in faults if fault.lacking(stack) is None]
        self.lacking = {fault.name: fault.lacking(stack) for fault in faults if fault.lacking(stack) is not None}
        self.deck = Deck(self.possible, self.rng)
        self.faults: Counter[str] = Counter()
        self.recoveries: dict[str, list[float]] = defaultdict(list)
        self.wrong: list[str] = []
        self.ended: Counter[str] = Counter()
        self.histories = self.settle_worst = 0
        self.settled: list[float] = []

    def token(self, assure: str) -> str:
        """A development token, as `creances token` gives it."""
        now = datetime.now(UTC)
        return emettre_jeton(self.stack.secret, RoleUtilisateur.ASSURE, assure, audience=AUDIENCE, maintenant=now)

    def history(self, seconds: float) -> None:
        """One history: traffic and faults, then calm, then the checks."""
        self.histories += 1
        producer = Producer(self.stack.broker.bootstrap)
        until = time.monotonic() + seconds
        actors = [
            Actor(
                number,
                f"{self.seed}/{self.histories}/{number}",
                urls=self.stack.urls,
                producer=producer,
                prefix=self.stack.prefix,
                token=self.token,
                ledger=self.ledger,
                until=until,
            )
            for number in range(ACTORS)
        ]
        for actor in actors:
            actor.start()
        with self._kept():
            self._strike(Scene(self.stack, self.rng, self.ledger, producer, actors), until)
            for actor in actors:
                actor.join(max(0.0, until + PATIENCE_S + 60 - time.monotonic()))
                if actor.is_alive():
                    self._found(f"an actor is stuck ({actor.assure})")
                else:
                    actor.end()
                for problem in actor.problems:
                    self._found(problem)
        producer.close()
        self._calm()

    def _strike(self, scene: Scene, until: float) -> None:
        """Faults, until the time is over."""
        while time.monotonic() < until:
            time.sleep(self.rng.uniform(0.5, 3))
            fault = self.deck.draw(self.until - time.monotonic())
            if fault is None:
                return
            say(f"  {fault.name}")
            self.faults[fault.name] += 1
            try:
                fault.strike(scene)
            except (TimeoutError, RuntimeError, psycopg.Error, KafkaError) as what:
                self._found(f"{fault.name}, and its keeper could not give back what it took: {what!r}")
                return
            self._recover(fault.name)
        for problem in scene.wrong:
            self._found(problem)

    def _calm(self) -> None:
        """No more faults: all comes to rest, and agrees with the ledger."""
        try:
            self.settled.append(
                self.stack.until(lambda: checks.all_read(self.stack), CALM_S, "all read and shown", 1.0)
            )
        except TimeoutError as late:
            self._found(f"{late}: {self.stack.command('lag', '--json').stdout[:3000]}")
        # Displaying appends events, which are then published: both must come to rest.
        with suppress(TimeoutError):
            self.stack.until(lambda: not checks.everything(self.stack, self.ledger), AGREED_S, "nothing wrong", 3.0)
            return
        for what in checks.everything(self.stack, self.ledger):
            self._found(what)

    def _found(self, what: str) -> None:
        self.wrong.append(f"history {self.histories}: {what}")
        say(f"  WRONG {what}")

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Meanwhile, what ends is started again."""
        stopped = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(stopped,), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            stopped.set()
            keeper.join()

    def _keep(self, stopped: threading.Event) -> None:
        """Starts again what ended by itself, as a supervisor would, and counts it."""
        while not stopped.wait(1.0):
            for ended in self.stack.supervise():
                self.ended[ended.rpartition(" ")[2]] += 1

    def _recover(self, fault: str) -> None:
        """How long until both instances of the API are ready again."""
        with suppress(TimeoutError):
            taken = self.stack.until(
                lambda: all(self.stack.ready(url) for url in self.stack.urls), RECOVERY_S, "ready again"
            )
            self.recoveries[fault].append(taken)
            return
        self._found(f"not ready {RECOVERY_S:.0f} s after: {fault}")

    def report(self, minutes: float, broker: str) -> str:
        """What was done and seen, in Markdown."""
        lines = [
            (
                f"Written on {datetime.now(UTC):%Y-%m-%d} by `make faults MINUTES={minutes:g} SEED={self.seed}`,"
                f" on {broker}."
            ),
            "",
            (
                f"{self.histories} histories, {self.faults.total()} faults, {self.ledger.sent.total()} messages and"
                f" answers sent, {len(self.ledger.debts)} debts, {len(self.ledger.payments)} payments opened."
                f" Wrong, lost, twice or stuck: **{len(self.wrong)}**."
            ),
            "",
            "| fault | times | API ready again, median | worst |",
            "|---|---|---|---|",
        ]
        for name, times in sorted(self.faults.items()):
            seen = self.recoveries.get(name) or [float("nan")]
            lines.append(f"| {name} | {times} | {median(seen):.1f} s | {max(seen):.1f} s |")
        lines += [f"\nNot tried: {name}; this machine lacks {what}." for name, what in sorted(self.lacking.items())]
        if self.ledger.restores:
            lines += [
                "",
                (
                    f"{len(self.ledger.restores)} restores took {len(self.ledger.lost)} payments away, each opened"
                    " after its backup was begun; `creances lost` named no other, and their money waits as not"
                    " attached."
                ),
            ]
        if self.settled:
            lines += [
                "",
                (
                    f"From the last fault to everything read, shown and published: median {median(self.settled):.1f} s,"
                    f" worst {max(self.settled):.1f} s."
                ),
            ]
        lines += [
            "",
            "| sent | times |",
            "|---|---|",
            *(f"| {kind} | {n} |" for kind, n in sorted(self.ledger.sent.items())),
        ]
        if self.wrong:
            lines += ["", "What was wrong:", "", *(f"- {what}" for what in self.wrong[:50])]
        return "\n".join(lines) + "\n"


def say(line: str) -> None:
    """One line, at once."""
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", flush=True)


def main() -> int:
    """Runs for the time given; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", default="")
    parser.add_argument("--broker", choices=("apache", "tansu"), default="")
    parser.add_argument("--fault", action="append", help="only faults whose name holds this")
    parser.add_argument("--report", type=Path, help="write the part between the markers of this page")
    asked = parser.parse_args()
    seed = asked.seed or secrets.token_hex(4)
    broker = asked.broker or ("tansu" if ce_qui_manque_pour_apache() else "apache")
    faults = [fault for fault in FAULTS if not asked.fault or any(part in fault.name for part in asked.fault)]
    logging.disable(logging.ERROR)  # Kafka's clients here have as much to tell of each fault as the service's.
    say(f"seed {seed}, {broker}, {asked.minutes:g} minutes")
    begun = time.monotonic()
    # A server may take longer to start than people would wait for it: this machine does other things too.
    patient = patch.object(child, "START_SECONDS_MAX", START_S)
    with tempfile.TemporaryDirectory(prefix="faults-") as name, ExitStack() as ground, patient:
        folder = Path(name)
        folder.chmod(0o755)
        stack = Stack(folder, broker)
        stack.own_disk = ground.enter_context(small_disk(folder / "pg"))
        stack.own_clock = ground.enter_context(own_clock(stack.clock_file))
        with stack:
            say("all serve")
            end = max(begun, time.monotonic() - START_COUNTED_S) + asked.minutes * 60
            run = Run(stack, seed, faults, end)
            while not run.histories or (time.monotonic() < end - SHORT_S and not run.wrong):
                run.history(min(TRAFFIC_S, max(SHORT_S, end - time.monotonic())))
                say(f"history {run.histories}: {run.ledger.sent.total()} sent, {len(run.wrong)} wrong")
            text = run.report(asked.minutes, broker)
        if run.wrong:
            for log in sorted(folder.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}", file=sys.stderr)
    print(text)
    if asked.report:
        write(asked.report, text)
    print(f"{run.histories} passed, {len(run.wrong)} failed")
    return 1 if run.wrong else 0


def write(page: Path, text: str) -> None:
    """Puts the report between the page's markers."""
    begin, end = "<!-- faults -->", "<!-- faults end -->"
    before, _, rest = page.read_text("utf-8").partition(begin)
    page.write_text(f"{before}{begin}\n\n{text}\n{end}{rest.partition(end)[2]}", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
