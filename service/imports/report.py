"""What an import tells: each bad line as it comes, a progress bar on a terminal, and the sums at the end.

Nothing is kept: with `--json` too, a refused line is written when it is met.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from service.controls import escaped_json, json_text, shown
from service.imports.messages import Refused


class Summary(NamedTuple):
    """The sums of an import: lues = envoyees + refusees_total + sans_accuse, in a dry run 0 are sent."""

    fichier: str
    lues: int
    envoyees: int
    refusees_total: int
    sans_accuse: int
    interrompu: bool
    arret: str | None
    reprendre_a_la_ligne: int | None
    a_blanc: bool
    secondes: float
    lignes_par_seconde: int


class Report:
    """Writes; `as_json` makes standard output one JSON object."""

    def __init__(self, errors: Console, output: TextIO | None = None, *, as_json: bool) -> None:
        self.refused = 0
        self._errors = errors
        self._output = output or sys.stdout
        self._as_json = as_json
        if as_json:
            self._output.write('{\n  "refusees": [')

    def refuse(self, line: Refused) -> None:
        """Name a line that does not go through."""
        self.tell(f"ligne {line.line} : {line.cause}")
        if self._as_json:
            entry = escaped_json(json.dumps({"ligne": line.line, "cause": line.cause}, ensure_ascii=False))
            self._output.write(f"{',' if self.refused else ''}\n    {entry}")
        self.refused += 1

    def tell(self, sentence: str) -> None:
        """A sentence on standard error, above the progress bar if there is one."""
        if self._errors.is_terminal:
            self._errors.print(sentence, markup=False, highlight=False, soft_wrap=True)
        else:
            sys.stderr.write(shown(sentence) + "\n")

    def end(self, summary: Summary, sentences: list[str]) -> None:
        """The sums: as JSON, or in these sentences."""
        if self._as_json:
            rest = json_text(summary._asdict())
            self._output.write(f"{chr(10) + '  ' if self.refused else ''}],{rest[1:]}\n")
        else:
            self._output.write("".join(f"{sentence}\n" for sentence in sentences))


@contextmanager
def progress_bar(errors: Console, total_bytes: int | None) -> Iterator["Bar"]:
    """A progress bar on standard error; nothing is drawn where that is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[messages]:,} lignes"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, disable=not errors.is_terminal, transient=True) as progress:
        yield Bar(progress, total_bytes)


class Bar:
    """How far the file is read."""

    def __init__(self, progress: Progress, total_bytes: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task("Avis", total=total_bytes, messages=0)

    def move(self, bytes_read: int, messages: int) -> None:
        """So far."""
        self._progress.update(self._task, completed=bytes_read, messages=messages)
