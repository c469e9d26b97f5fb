"""Take reports in: named ones, or each that arrives in a folder, until SIGTERM."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import file_digest
from pathlib import Path
from types import FrameType
from typing import Final

import psycopg
from kafka.errors import KafkaError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from api.socle.kafka import KafkaIndisponible
from engine.outages import is_outage
from guichet.guichet import Guichet
from guichet.rapprochement.registre import rapport_connu
from guichet.rapprocher import Bilan, Reglages, demander_a_la_banque, demander_par, rapprocher
from kiosque.rapports import RapportRefuse
from service import bank, composition
from service.files import reason
from service.publisher import Publisher
from service.reports.merchants import merchants_of
from service.reports.telling import tell, tell_refused
from service.settings import Settings

DIFFERS: Final = 1
REFUSED: Final = 2
UNREADABLE: Final = 3
"""Our side of a transaction cannot be read: it alone was not judged."""

BAR_AFTER_SECONDS: Final = 2.0
"""A file that takes less time shows no bar."""

WATCH_SECONDS: Final = 5.0
"""Time between two looks at the folder; a file whose size stood still in between is whole enough to be read."""

UNFINISHED: Final = (".part", ".tmp", ".filepart")
"""Names that a transfer gives to a file before it is whole."""


class Reconciler:
    """Takes one report after the other; opens Kafka only for an answer of the bank."""

    def __init__(self, settings: Settings, errors: Console, *, ask: bool) -> None:
        """Raise ValueError if the settings name a report or a field that does not exist."""
        self._ask = ask
        self._errors = errors
        retired = [merchant.merchant_id for merchant in settings.kiosque_retired_merchants]
        self._rules = Reglages(bank.report_reader(settings), merchants_of(settings), retired)
        self._publisher = Publisher(settings)
        self._counter: Guichet = composition.guichet(settings, application="creances-rapprocher")

    def take(self, path: Path) -> Bilan:
        """Take a report in, then ask the bank. Raises RapportRefuse, OSError, and what PostgreSQL and Kafka raise."""
        size = path.stat().st_size
        with path.open("rb") as source, self._bar(path.name, size) as move:
            summary = rapprocher(self._counter, source, path.name, self._rules, move)
        if self._ask and summary.a_demander:
            demander_a_la_banque(summary, self._rules, demander_par(self._counter.kiosque, self._publisher.forward))
        return summary

    def is_known(self, path: Path) -> bool:
        """Tell whether the content of this file was taken in before."""
        with path.open("rb") as source, self._counter.base.transaction() as conn:
            return rapport_connu(conn, file_digest(source, "sha256").digest()) is not None

    def close(self) -> None:
        """Give the connections up."""
        self._publisher.close()
        self._counter.kiosque.close()
        self._counter.base.fermer()

    @contextmanager
    def _bar(self, name: str, size: int) -> Iterator[Callable[[int, int], None]]:
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        started = time.monotonic()
        with Progress(*columns, console=self._errors, disable=not self._errors.is_terminal, transient=True) as progress:
            task = progress.add_task(name, total=size, visible=False)

            def move(octets: int, _lines: int) -> None:
                progress.update(task, completed=octets, visible=time.monotonic() - started > BAR_AFTER_SECONDS)

            yield move


def reconcile_files(
    settings: Settings, files: Sequence[Path], console: Console, errors: Console, *, ask: bool, as_json: bool
) -> int:
    """Take these reports in, in their order; return the exit code. A refused one does not stop the others."""
    code = 0
    with ExitStack() as stack:
        reconciler = Reconciler(settings, errors, ask=ask)
        stack.callback(reconciler.close)
        for path in files:
            try:
                summary = reconciler.take(path)
            except (RapportRefuse, OSError) as cause:
                tell_refused(path, cause, console, errors, as_json=as_json)
                code = REFUSED
                continue
            tell(summary, console, as_json=as_json)
            if summary.ecarts:
                code = max(code, DIFFERS)
            if summary.illisibles:
                code = UNREADABLE
    return code


def watch_folder(
    settings: Settings, folder: Path, console: Console, errors: Console, *, ask: bool, as_json: bool
) -> None:
    """Take in each report that arrives, once by content, until SIGINT or SIGTERM; what is begun is finished.

    A refused file is told once, and tried again when it changes; an outage leaves the file for the next look, which
    takes it again even if it was recorded: the bank may not have been asked. A folder that is away is waited for.
    """
    stop = threading.Event()
    former = {number: signal.signal(number, _stopper(stop)) for number in (signal.SIGINT, signal.SIGTERM)}
    reconciler = Reconciler(settings, errors, ask=ask)
    seen: dict[Path, tuple[int, int]] = {}
    done: dict[Path, tuple[int, int]] = {}
    begun: set[Path] = set()
    away = False
    try:
        while not stop.is_set():
            now: dict[Path, tuple[int, int]] = {}
            try:
                now, away = dict(_arrived(folder)), False
            except OSError as cause:
                if not away:
                    errors.print(f"{folder} : attendu ({reason(cause)})", markup=False, soft_wrap=True)
                away = True
            for path, mark in sorted(now.items()):
                if stop.is_set():
                    break
                if seen.get(path) != mark or mark == done.get(path):
                    continue
                if _took(reconciler, path, console, errors, again=path in begun, as_json=as_json):
                    done[path] = mark
                    begun.discard(path)
                else:
                    begun.add(path)
            seen = now
            stop.wait(WATCH_SECONDS)
    finally:
        reconciler.close()
        for number, handler in former.items():
            signal.signal(number, handler)


def _took(reconciler: Reconciler, path: Path, console: Console, errors: Console, *, again: bool, as_json: bool) -> bool:
    """Take a report in unless its content is known; tell whether it is settled, taken in or refused.

    `again`: an outage interrupted it before.
    """
    try:
        if again or not reconciler.is_known(path):
            tell(reconciler.take(path), console, as_json=as_json)
    except RapportRefuse as cause:
        tell_refused(path, cause, console, errors, as_json=as_json)
    except (psycopg.Error, KafkaError, KafkaIndisponible, OSError) as cause:
        if isinstance(cause, psycopg.Error) and not is_outage(cause):
            raise
        why = reason(cause) if isinstance(cause, OSError) else str(cause)
        errors.print(f"{path.name} : repris plus tard ({why})", markup=False, soft_wrap=True)
        return False
    return True


def _arrived(folder: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
    """The files of the folder, each with its size and time of change."""
    for path in folder.iterdir():
        if path.name.startswith(".") or path.suffix.lower() in UNFINISHED:
            continue
        try:
            found = path.stat()
        except FileNotFoundError:
            continue
        if path.is_file():
            yield path, (found.st_size, found.st_mtime_ns)


def _stopper(stop: threading.Event) -> Callable[[int, FrameType | None], None]:
    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    return ask
