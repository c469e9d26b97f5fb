"""`creances audit` over a base with history: its seconds, its processor time and the most memory it ever had."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import psycopg

from bench.figures import Figures
from bench.plan import Plan
from bench.servers import Servers
from bench.stage import Stage

MEGABYTE: Final = 1_000_000


def auditing(servers: Servers, figures: Figures, plan: Plan, stage: Stage) -> None:
    """The whole log of the stage, once a round; what it finds is not judged here."""
    with servers.copy(stage.template) as database, psycopg.connect(database.owner_url) as conn:
        (events,) = conn.execute("SELECT count(*) FROM journal.evenements").fetchone() or (0,)
        figures.fact("audit.events", events)
        environment = os.environ | {"CREANCES_DATABASE_URL": database.url, "CREANCES_DATA_DIR": str(servers.folder)}
        command = [str(Path(sys.executable).with_name("creances")), "audit", "--json"]
        for _ in range(plan.rounds):
            since = time.monotonic()
            process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603  our own
            _, _, used = os.wait4(process.pid, 0)
            figures.add("audit.seconds", time.monotonic() - since, "s")
            figures.add("audit.processor", used.ru_utime + used.ru_stime, "s")
            figures.add("audit.memory", _bytes(used) / MEGABYTE, "MB at most")


def _bytes(used: resource.struct_rusage) -> int:
    return used.ru_maxrss * 1024
