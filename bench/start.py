"""How long a command takes to start: the list, one that reads a row, and a role until it says that it is there.

Told as processor time of the process, which survives a noisy machine, and as the clock's.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg

from bench.data import reference
from bench.figures import Figures
from bench.plan import Plan
from bench.processes import service_roles, wait_for
from bench.servers import Servers
from bench.stage import Stage

START_SECONDS = 60.0
TURNS = 3

_LED = "SELECT etat = 'actif' FROM vues.suiveurs WHERE nom = 'restant_du'"
_AGAIN = "UPDATE vues.suiveurs SET etat = 'inactif' WHERE nom = 'restant_du'"


def start(servers: Servers, figures: Figures, plan: Plan, stage: Stage) -> None:
    """By turns, several times a round."""
    with servers.copy(stage.template) as database, psycopg.connect(database.owner_url, autocommit=True) as conn:
        settings = servers.settings(database, stage.topics)
        environment = os.environ | {"CREANCES_DATABASE_URL": database.url, "CREANCES_DATA_DIR": str(servers.folder)}
        for _ in range(plan.rounds * TURNS):
            for name, arguments in (("help", ("--help",)), ("balance", ("balance", reference(0)))):
                seconds, processor = _run(environment, *arguments)
                figures.add(f"start.{name}", seconds * 1e3, "ms")
                figures.add(f"start.{name}, processor", processor * 1e3, "ms")
            conn.execute(_AGAIN)
            since = time.monotonic()
            with service_roles(settings, ("project", "restant_du")) as (role,):
                wait_for(lambda: conn.execute(_LED).fetchone() == (True,), [role], START_SECONDS, "project")
                figures.add("start.project", (time.monotonic() - since) * 1e3, "ms")
                figures.add("start.project, processor", role.cpu_seconds() * 1e3, "ms")


def _run(environment: dict[str, str], *arguments: str) -> tuple[float, float]:
    """One command to its end: seconds on the clock, and of processor."""
    creances = str(Path(sys.executable).with_name("creances"))
    before, since = os.times(), time.monotonic()
    subprocess.run([creances, *arguments], env=environment, stdout=subprocess.DEVNULL, check=True)  # noqa: S603
    after = os.times()
    used = after.children_user - before.children_user + after.children_system - before.children_system
    return time.monotonic() - since, used
