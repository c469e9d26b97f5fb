"""One import, from the open file to the last acknowledgement."""

import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from kafka.errors import KafkaError
from rich.console import Console

from domain.politique import Politique
from service.imports.interruption import Interruption
from service.imports.lines import Lines, Source
from service.imports.messages import Checked, Refused, jsonl
from service.imports.report import Bar, Report, Summary, progress_bar
from service.imports.sender import Sender, open_producer
from service.imports.table import table
from service.settings import Settings

BAR_LINES: Final = 500
"""The bar moves once for so many messages."""

INTERRUPTED_DRAIN_SECONDS: Final = 5.0
"""How long, once interrupted, the acknowledgements on their way are waited for."""

OK: Final = 0
BAD_LINES: Final = 1
INTERRUPTED: Final = 130

READERS: Final[dict[str, Callable[[Lines, Politique], Iterator[Checked | Refused]]]] = {"jsonl": jsonl, "csv": table}
"""The formats, and how each is read."""


class Job(NamedTuple):
    """What to import."""

    name: str
    """As the person gave it."""
    source: Source
    size: int | None
    """In bytes, if known."""
    form: str
    """One of READERS."""
    from_line: int
    dry_run: bool


def run_import(settings: Settings, job: Job, errors: Console, *, as_json: bool) -> int:
    """Import; return the exit code.

    Raises:
        KafkaError: Kafka does not answer at the start.
        TopicMissing: the topic of avis does not exist.
    """
    producer = None if job.dry_run else open_producer(settings)
    report = Report(errors, as_json=as_json)
    with Interruption() as interruption, progress_bar(errors, job.size) as bar:
        course = Course(job, settings.politique, report, interruption, bar)
        if producer is not None:
            course.sender = Sender(
                producer,
                settings.topic_avis,
                refuse=report.refuse,
                tell=lambda seconds, waiting: report.tell(silence(seconds, waiting)),
                give_up=lambda: interruption.asked,
            )
        summary = course.run()
    report.end(summary, sentences(summary, settings.topic_avis, job.from_line))
    if summary.interrompu:
        return INTERRUPTED
    return BAD_LINES if summary.refusees_total or summary.arret else OK


class Course:
    """The course of one import."""

    def __init__(self, job: Job, policy: Politique, report: Report, interruption: Interruption, bar: Bar) -> None:
        self.sender: Sender | None = None
        self._job = job
        self._policy = policy
        self._report = report
        self._interruption = interruption
        self._bar = bar
        self._lines = Lines(interruption.watch(job.source))
        self._read = 0
        self._next_line: int | None = None

    def run(self) -> Summary:
        """Read to the end, or to an interruption; wait for the acknowledgements."""
        started = time.monotonic()
        stopped = None
        try:
            self._send_all()
            if self.sender is not None:
                self.sender.drain()
                if self._interruption.asked:
                    self.sender.drain(INTERRUPTED_DRAIN_SECONDS)
        except (KafkaError, OSError) as cause:
            stopped = f"{type(cause).__name__} : {cause}"
        finally:
            if self.sender is not None:
                self.sender.close()
        return self._summary(time.monotonic() - started, stopped)

    def _send_all(self) -> None:
        for outcome in READERS[self._job.form](self._lines, self._policy):
            if self._interruption.asked:
                # What was being read may lack its end.
                self._next_line = outcome.line
                return
            self._next_line = outcome.line + 1
            if outcome.line >= self._job.from_line or (isinstance(outcome, Refused) and outcome.whole_file):
                self._take(outcome)
        if self._interruption.asked:
            self._next_line = self._lines.number + 1

    def _take(self, outcome: Checked | Refused) -> None:
        if isinstance(outcome, Refused):
            self._report.refuse(outcome)
        elif self.sender is not None and not self.sender.send(outcome):
            self._next_line = outcome.line
            return
        self._read += 1
        if self._read % BAR_LINES == 0:
            self._bar.move(self._lines.bytes_read, self._read)

    def _summary(self, seconds: float, stopped: str | None) -> Summary:
        sender = self.sender
        waiting = sender.first_unacknowledged if sender else None
        ended = not (self._interruption.asked or stopped)
        return Summary(
            fichier=self._job.name,
            lues=self._read,
            envoyees=sender.acknowledged if sender else 0,
            refusees_total=self._report.refused,
            sans_accuse=sender.unacknowledged if sender else 0,
            interrompu=self._interruption.asked,
            arret=stopped,
            reprendre_a_la_ligne=None if ended else waiting or self._next_line or 1,
            a_blanc=self._job.dry_run,
            secondes=round(seconds, 3),
            lignes_par_seconde=round(self._read / seconds) if seconds else 0,
        )


def silence(seconds: float, waiting: int) -> str:
    """What is told while Kafka does not answer."""
    return (
        f"Kafka n'accuse plus rien depuis {seconds:.0f} s ; {waiting} lignes attendent, rien n'est perdu :"
        " l'envoi reprendra de lui-même (Ctrl-C pour renoncer)."
    )


def sentences(summary: Summary, topic: str, from_line: int = 1) -> list[str]:
    """The sums, for a person."""
    if summary.lues == 0 and summary.reprendre_a_la_ligne is None:
        part = f"rien à partir de la ligne {from_line}" if from_line > 1 else "rien après l'en-tête"
        return [f"Aucun message dans ce fichier : {part}."]
    told = [f"{_lines(summary.lues)} en {summary.secondes:.1f} s ({summary.lignes_par_seconde}/s)."]
    good = summary.lues - summary.refusees_total
    told.append(
        f"Vérification seule : {_lines(good)} à envoyer, rien n'est envoyé."
        if summary.a_blanc
        else f"Mis sur {topic} et accusé par Kafka : {_lines(summary.envoyees)}."
    )
    if summary.refusees_total:
        told.append(f"Refusé, et nommé sur la sortie d'erreur : {_lines(summary.refusees_total)}.")
    if summary.arret:
        told.append(f"Arrêté : {summary.arret}.")
    if summary.reprendre_a_la_ligne is not None:
        told.append(
            f"Tout ce qui précède la ligne {summary.reprendre_a_la_ligne} est traité"
            + (f" ; au-delà, sans accusé : {_lines(summary.sans_accuse)}" if summary.sans_accuse else "")
            + f". Pour reprendre : --from-line {summary.reprendre_a_la_ligne}"
            " (sans danger : un message déjà pris est un doublon)."
        )
    return told


def _lines(count: int) -> str:
    return f"{count} ligne{'s' if count > 1 else ''}"
