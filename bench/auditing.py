"""`creances audit` over a log of accepted payments: its seconds, its processor time and the most memory it ever had.

The log is the one that the tests of the audit are given, where every message, key and row is as the service leaves it:
on a base that lacks some, the audit would mostly name what is missing.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import psycopg

from bench.data import settle
from bench.figures import Figures
from bench.plan import Plan
from bench.servers import Servers
from bench.stage import Stage
from tests.audit.grand import remplir

MEGABYTE: Final = 1_000_000


def auditing(servers: Servers, figures: Figures, plan: Plan, stage: Stage) -> None:
    """As many payments as the stage has open ones, six events each, read once a round.

    Raises RuntimeError: the audit found something, or could not read everything.
    """
    database = servers.create("audit")
    with psycopg.connect(database.owner_url, autocommit=True) as conn:
        figures.fact("audit.events", remplir(conn, stage.scale.payments))
    settle(database)
    environment = os.environ | {"CREANCES_DATABASE_URL": database.url, "CREANCES_DATA_DIR": str(servers.folder)}
    command = [str(Path(sys.executable).with_name("creances")), "audit", "--json"]
    for _ in range(plan.rounds):
        since = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603  our own
        _, status, used = os.wait4(process.pid, 0)
        if os.waitstatus_to_exitcode(status):
            raise RuntimeError(f"the audit ended with {os.waitstatus_to_exitcode(status)}")
        figures.add("audit.seconds", time.monotonic() - since, "s")
        figures.add("audit.processor", used.ru_utime + used.ru_stime, "s")
        figures.add("audit.memory", used.ru_maxrss * 1024 / MEGABYTE, "MB at most")
    servers.drop(database)
