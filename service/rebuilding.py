"""Rebuilding a view of this service, and comparing one with the log: the engine's rebuild, handed our views."""

import gc
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import version
from typing import Final

from engine.database import Database, connect
from engine.rebuild import Outcome, Rebuild
from engine.rebuild_filling import BATCH, Progress
from projections.parite import Comparateur
from projections.vues import VUES, VueSuivie
from service.composition import recorder_on, required
from service.settings import Settings

COLLECTED_AFTER_OBJECTS: Final = 200_000
"""A batch's worth: Python's own 700 walks the batches read ahead again and again, in vain."""


def rebuild(
    settings: Settings,
    name: str,
    *,
    batch: int = BATCH,
    progress: Progress = lambda _what, _done, _total: None,
    step: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Rebuild this view beside the live one, and put it in its place.

    Raises KeyError (unknown view), RebuildRefused, LeadershipLost, psycopg.Error.
    """
    view = VUES[name]
    thresholds = gc.get_threshold()
    gc.set_threshold(COLLECTED_AFTER_OBJECTS, *thresholds[1:])
    try:
        return _rebuild(settings, view, batch, progress, step)
    finally:
        gc.set_threshold(*thresholds)


def _rebuild(
    settings: Settings, view: VueSuivie, batch: int, progress: Progress, step: Callable[[str], None]
) -> Outcome:
    url = required(settings.database_url, "DATABASE_URL")
    with (
        Database(url, application="creances-rebuild", connexions_max=2) as base,
        closing(connect(url, application="creances-rebuild")) as beside,
    ):
        recorder = recorder_on(base)
        return Rebuild(
            url,
            view.rejouer(recorder),
            view.lignes,
            mapper=recorder.mapper,
            version=version("creances"),
            derriere=view.derriere,
            lot_max=batch,
            verify=lambda position, found: Comparateur(beside, view, recorder).verifier(position, found),
            progress=progress,
            etape=step,
        ).rebuild()
