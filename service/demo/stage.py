"""Where the scenario plays: what is printed, what is waited for, what one looks at meanwhile."""

import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import httpx
import psycopg
from rich.console import Console
from rich.table import Table
from rich.text import Text

from domain.monnaie import euros
from engine.database import Database, connect
from engine.fates import fates_of
from projections.lectures.historique import historique
from projections.vues.restant_du import lire_creance
from service.composition import recorder_on
from service.settings import Settings

WAIT_SECONDS: Final = 40.0
"""How long a step of the scenario may take before the demonstration says that it failed."""

POLL_SECONDS: Final = 0.05

_T = TypeVar("_T")


class DemoFailed(Exception):
    """A step of the scenario did not come true in time."""


class Stage:
    """Tells each step with a number, and waits for what it tells."""

    def __init__(self, console: Console, settings: Settings, stop: threading.Event) -> None:
        """Waiting ends with `stop`."""
        self.console = console
        self.settings = settings
        self.stop = stop
        self.http = httpx.Client(timeout=10, trust_env=False)
        self._step = 0

    # --- Telling -----------------------------------------------------------------------------------------------------

    def say(self, sentence: str) -> None:
        """Tell the next step."""
        self._step += 1
        self.console.print(Text.assemble("\n", (f"{self._step}.", "bold"), " ", sentence))

    def add(self, sentence: str) -> None:
        """Tell something more about this step."""
        self.console.print(f"   {sentence}", markup=False)

    def balances(self, *references: str) -> None:
        """Print what is due on these debts."""
        table = Table("Créance", "Initial", "Restant dû", "En cours")
        for reference in references:
            row = self.balance(reference)
            table.add_row(reference, *(euros(row[name]) for name in ("initial", "restant", "en_cours")))
        self.console.print(table)

    def print_history(self, reference: str) -> None:
        """Print each event of a debt with what is due after it."""
        table = Table("v", "Événement", "Restant dû", "En cours", title=f"Histoire de {reference}")
        table.add_column("Cause", overflow="fold")
        for step in self.history(reference):
            table.add_row(str(step.version), step.type, euros(step.restant_du), euros(step.en_cours), step.cause)
        self.console.print(table)

    # --- Looking -----------------------------------------------------------------------------------------------------

    def connect(self) -> psycopg.Connection[Any]:
        """Open a connection, to be closed by the caller."""
        return connect(str(self.settings.database_url), application="creances-demo")

    def balance(self, reference: str) -> dict[str, int]:
        """What the view shows of a debt, in cents; nothing if it does not know it yet."""
        with self.connect() as conn:
            row = lire_creance(conn, reference)
        return {"initial": row.montant_initial, "restant": row.restant_du, "en_cours": row.en_cours} if row else {}

    def fates(self) -> dict[str, int]:
        """How many of the bank's messages had each fate."""
        with self.connect() as conn:
            return fates_of(conn, self.settings.topic_notifications)

    def history(self, reference: str) -> list[Any]:
        """The events of a debt."""
        with self.connect() as conn:
            return historique(conn, recorder_on(Database(str(self.settings.database_url))), reference).etapes

    # --- Waiting -----------------------------------------------------------------------------------------------------

    def answers(self, url: str) -> bool:
        """Tell whether somebody serves this address."""
        try:
            return self.http.get(url).is_success
        except httpx.HTTPError:
            return False

    def until(self, condition: Callable[[], _T], failure: str) -> _T:
        """Wait until it holds, and return what it gave. Raises DemoFailed, with `failure`, after WAIT_SECONDS."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not self.stop.is_set():
            if value := condition():
                return value
            if time.monotonic() > deadline:
                raise DemoFailed(f"{failure} après {WAIT_SECONDS:g} s")
            self.stop.wait(POLL_SECONDS)
        raise DemoFailed("arrêt demandé")
