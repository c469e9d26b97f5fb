"""The fault driver: `make faults MINUTES=30 SEED=…` (`python -m tests.faults --help`).

Real processes under random traffic and random faults, history after history; after each, an independent ledger must
agree with every balance. Exit 1 if anything was lost, counted twice, wrong or stuck.
"""

import argparse
import random
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from tests.courtiers import ce_qui_manque_pour_apache
from tests.faults import checks
from tests.faults.faults import FAULTS, Fault
from tests.faults.ledger import Ledger
from tests.faults.stack import Stack
from tests.faults.traffic import Actor, Producer

ACTORS = 5
TRAFFIC_S = 40.0
CALM_S = 120.0
"""How long everything may take to be read, shown and published once the faults are over (seconds)."""
RECOVERY_S = 90.0


class Run:
    """Histories, one after the other, and what they showed."""

    def __init__(self, stack: Stack, seed: str) -> None:
        """`seed`: decides traffic and faults; the timing is the machine's."""
        self.stack, self.seed = stack, seed
        self.rng = random.Random(seed)  # noqa: S311 (a replayable history, no secret)
        self.ledger = Ledger()
        self.faults: Counter[str] = Counter()
        self.recoveries: dict[str, list[float]] = defaultdict(list)
        self.wrong: list[str] = []
        self.ended: Counter[str] = Counter()
        self.histories = self.settle_worst = 0
        self.settled: list[float] = []
        self._tokens: dict[str, str] = {}

    def token(self, assure: str) -> str:
        """A development token, from the command that gives them."""
        done = self.stack.command("token", "--role", "assure", "--assure", assure)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()

    def history(self, seconds: float, faults: list[Fault]) -> None:
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
        stopped = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(stopped,), daemon=True)
        keeper.start()
        while time.monotonic() < until:
            time.sleep(self.rng.uniform(0.5, 3))
            fault = self.rng.choice(faults)
            say(f"  {fault.name}")
            fault.strike(self.stack, self.rng)
            self.faults[fault.name] += 1
            self._recover(fault.name)
        for actor in actors:
            actor.join(until + 240 - time.monotonic())
            if actor.is_alive():
                self.wrong.append(f"history {self.histories}: an actor is stuck ({actor.assure})")
            self.wrong += actor.problems
        stopped.set()
        keeper.join()
        producer.close()
        try:
            self.settled.append(
                self.stack.until(lambda: checks.all_read(self.stack), CALM_S, "all read and shown", 1.0)
            )
        except TimeoutError as late:
            self.wrong.append(f"history {self.histories}: {late}: {self.stack.command('lag', '--json').stdout[:3000]}")
        # Displaying appends events, which are then published: both must come to rest.
        with suppress(TimeoutError):
            self.stack.until(lambda: not checks.everything(self.stack, self.ledger), 20, "nothing wrong", 3.0)
        self.wrong += [f"history {self.histories}: {what}" for what in checks.everything(self.stack, self.ledger)]

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
        self.wrong.append(f"history {self.histories}: not ready {RECOVERY_S:.0f} s after: {fault}")

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
    faults = [
        fault
        for fault in FAULTS
        if (broker == "apache" or not fault.needs_durable_broker)
        and (not asked.fault or any(part in fault.name for part in asked.fault))
    ]
    say(f"seed {seed}, {broker}, {asked.minutes:g} minutes")
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Stack(folder, broker) as stack:
            end = time.monotonic() + asked.minutes * 60
            run = Run(stack, seed)
            while time.monotonic() < end and not run.wrong:
                run.history(min(TRAFFIC_S, max(10.0, end - time.monotonic())), faults)
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
