"""How far a long command is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from service.cli.application import errors

Advance = Callable[[str, int, int], None]
"""Told what is being done, how much is, of how much."""


@contextmanager
def progress_bar(doing: str = "le journal", *, counted: bool = False) -> Iterator[Advance]:
    """A bar on a terminal, and nothing anywhere else; `counted`: it says how many of how many, not a share."""
    share = MofNCompleteColumn() if counted else TaskProgressColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), share, TimeRemainingColumn())
    with Progress(*columns, console=errors, disable=not errors.is_terminal, transient=True) as progress:
        task = progress.add_task(doing, total=None)

        def advance(what: str, done: int, of: int) -> None:
            progress.update(task, description=what, completed=done, total=of)

        yield advance
