"""The seal's other side: a balance's proof given, verified offline, and the whole log hashed again.

The log is written in transactions of a batch's size, as consumers write it, and sealed as the role would.
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.data import EPOCH, SEED, Scale, events, reference, settle
from bench.figures import Figures
from bench.plan import Plan
from bench.processes import cpu_seconds
from bench.servers import Servers
from bench.stage import Stage
from preuve import verificateur
from preuve.balance import prove
from preuve.helpers import Helpers
from preuve.rehash import rehash
from preuve.seal import Sealer, Sealing
from preuve.trust import Trusted

ROWS_MAX: Final = 500_000
A_TRANSACTION: Final = 500
"""Rows that one transaction writes: a consumer's batch."""
RUNS: Final = 15
"""Of a command."""
PROVED: Final = 200
"""Balances proved in a round."""
SEALING: Final = Sealing("bench.invalid/creances", Ed25519PrivateKey.from_private_bytes(b"b" * 32), b"salt" * 8)
TRUSTED: Final = Trusted(SEALING.origin, (SEALING.private.public_key().public_bytes_raw(),))


def proof(servers: Servers, figures: Figures, plan: Plan, stage: Stage) -> None:
    """Raises RuntimeError: the hashing found a difference; PreuveFausse: a proof is none."""
    database = servers.create("proof")
    with psycopg.connect(database.owner_url, autocommit=True) as conn:
        _write(conn, stage.scale)
    settle(database)
    with psycopg.connect(database.url, autocommit=True) as conn:
        sealer, since = Sealer(SEALING), time.monotonic()
        while sealer.advance(conn):
            pass
        (rows,) = conn.execute("SELECT max(taille) FROM journal.points").fetchone() or (0,)
        figures.fact("proof.rows", rows)
        figures.fact("proof.seal, caught up", f"{rows / (time.monotonic() - since):,.0f} rows/s")
        helpers = Helpers(database.url, os.cpu_count() or 1)
        figures.fact("proof.rehash, processes", helpers.processes)
        for _ in range(plan.rounds):
            for name, beside in (("proof.rehash, one process", None), ("proof.rehash", helpers)):
                since, used, theirs = time.monotonic(), time.process_time(), cpu_seconds(conn.info.backend_pid)
                found = rehash(conn, SEALING.origin, SEALING.secret, TRUSTED.publics, helpers=beside)
                if found.count:
                    raise RuntimeError(f"{found.count} differences in an honest log: {found.differences[:3]}")
                figures.add(name, found.leaves / (time.monotonic() - since), "rows/s")
                if beside is None:
                    microseconds = 1_000_000 * (time.process_time() - used) / found.leaves
                    figures.add("proof.rehash, Python's processor", microseconds, "µs a row")
                    spent = time.process_time() - used + cpu_seconds(conn.info.backend_pid) - theirs
                    figures.add("proof.rehash, a processor", found.leaves / spent, "rows/s")
            _prove(conn, figures, stage.scale)
    servers.drop(database)


def _write(conn: psycopg.Connection[Any], scale: Scale) -> None:
    rows = islice(events(scale), ROWS_MAX)
    while some := list(islice(rows, A_TRANSACTION)):
        with (
            conn.transaction(),
            conn.cursor() as cursor,
            cursor.copy(
                "COPY journal.evenements (flux, version, topic, etat, cause, enregistre_le) FROM STDIN (FORMAT BINARY)"
            ) as copy,
        ):
            copy.set_types(["text", "int8", "text", "bytea", "text", "timestamptz"])
            for row in some:
                copy.write_row((*row, "bench", EPOCH))


def _prove(conn: psycopg.Connection[Any], figures: Figures, scale: Scale) -> None:
    draw = random.Random(SEED)  # noqa: S311  no secret, only a choice
    wanted = [reference(draw.randrange(min(scale.creances, ROWS_MAX))) for _ in range(PROVED)]
    proofs = [prove(conn, SEALING.secret, wanted[0])]
    figures.add("proof.given", _milliseconds(lambda one: proofs.append(prove(conn, SEALING.secret, one)), wanted), "ms")
    figures.add(
        "proof.verified", _milliseconds(lambda one: verificateur.verifier(one, TRUSTED.vkeys(one)), proofs), "ms"
    )
    figures.add("proof.bytes", median(map(len, proofs)), "bytes")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "proof.json"
        file.write_bytes(proofs[0])
        command = [sys.executable, verificateur.__file__, str(file), *TRUSTED.vkeys(proofs[0])]
        creances = [str(Path(sys.executable).with_name("creances")), "verify", str(file)]
        creances += [word for vkey in TRUSTED.vkeys(proofs[0]) for word in ("--key", vkey)]
        for name, wanted_command in (("a process", command), ("creances verify", creances)):
            _run(figures, f"proof.verified, {name}", wanted_command)


def _run(figures: Figures, name: str, command: Sequence[str]) -> None:
    """The median of some runs, and of the processor time that each used: another load does not change that."""
    spent = []

    def run(_: int) -> None:
        before = os.times()
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603  our own
        after = os.times()
        spent.append(after.children_user + after.children_system - before.children_user - before.children_system)

    figures.add(name, _milliseconds(run, range(RUNS)), "ms")
    figures.add(f"{name}, processor", 1_000 * sum(spent) / RUNS, "ms")


def _milliseconds(do: Callable[[Any], object], times: Sequence[Any]) -> float:
    """The median of what each takes, in milliseconds."""
    taken = []
    for one in times:
        since = time.perf_counter()
        do(one)
        taken.append(time.perf_counter() - since)
    return 1_000 * median(taken)
