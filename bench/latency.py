"""From the bank's POST to the visible balance, through every real process, at a steady rate.

Each notification has its moment, and its latency counts from that moment, also when the generator or the API is late:
a queue is not hidden. The end is when a reader of the view first sees the row moved.
"""

import asyncio
import time
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import psycopg

from bench.client import answers, connect, post
from bench.data import notification, reference, transaction
from bench.processes import service_roles, wait_for
from bench.servers import Servers
from bench.stage import Stage
from service import kafka
from service.composition import VIEWS
from service.embedded.broker import free_port

RATE: Final = 200
CONNECTIONS: Final = 32
START_SECONDS: Final = 60.0
WARM_UP: Final = 200
"""First notifications, sent and awaited but not counted: connections, prepared statements, imports."""

DRAIN_SECONDS: Final = 30.0
FORM: Final = "application/x-www-form-urlencoded"

_ACTIVE: Final = "SELECT count(*) FROM vues.suiveurs WHERE nom = ANY (%s) AND etat = 'actif'"

# Which of these créances have moved.
_MOVED: Final = "SELECT reference FROM vues.restant_du WHERE reference = ANY (%s) AND version >= 3"


class Latency(NamedTuple):
    """Milliseconds."""

    p50: float
    p99: float
    worst: float
    measured: int


def measure(servers: Servers, stage: Stage, seconds: float) -> Latency:
    """Run the roles on a copy of the base and topics of their own, and post at the rate for so long."""
    with servers.copy(stage.template) as database:
        settings = servers.settings(database, f"latency-{database.name}", api_port=free_port())
        kafka.create_topics(settings)
        servers.checkpoint()
        commands = (("api",), ("consume", "kiosque"), *(("project", view) for view in VIEWS))
        awaited = ["consommateur_kiosque", *VIEWS]
        with service_roles(settings, *commands) as roles, psycopg.connect(database.owner_url, autocommit=True) as conn:
            wait_for(lambda: answers(settings.api_port, "/readyz"), roles, START_SECONDS, "api")
            wait_for(
                lambda: conn.execute(_ACTIVE, (awaited,)).fetchone() == (len(awaited),),
                roles,
                START_SECONDS,
                "roles",
            )
            count = min(round(RATE * seconds), stage.scale.payments - WARM_UP)
            taken = asyncio.run(_run(settings.api_port, database.owner_url, stage, count))
    ordered = sorted(taken)
    p50, p99, worst = (1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99, 1))
    return Latency(p50, p99, worst, len(ordered))


async def _run(port: int, url: str, stage: Stage, count: int) -> list[float]:
    """The seconds that each counted notification took."""
    payments = stage.scale.order[: WARM_UP + count]
    requests = [
        post("/kiosque/notification", urlencode(notification(transaction(payment))).encode(), FORM)
        for payment in payments
    ]
    conn = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with conn:
        await conn.execute("LISTEN suiveur_restant_du")
        free: asyncio.Queue[Any] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            free.put_nowait(await connect(port))
        pending: dict[str, float] = {}
        taken: dict[str, float] = {}
        watcher = asyncio.create_task(_watch(conn, pending, taken))
        for first, last in ((0, WARM_UP), (WARM_UP, WARM_UP + count)):
            taken.clear()
            start = time.perf_counter() + 0.1
            sending = []
            for number in range(first, last):
                moment = start + (number - first) / RATE
                await asyncio.sleep(max(0.0, moment - time.perf_counter()))
                pending[reference(stage.scale.creance_of(payments[number]))] = moment
                sending.append(asyncio.create_task(_post(free, requests[number])))
            await asyncio.gather(*sending)
            async with asyncio.timeout(DRAIN_SECONDS):
                while pending:
                    await asyncio.sleep(0.05)
                    if watcher.done():
                        await watcher
        watcher.cancel()
        return list(taken.values())


async def _post(free: "asyncio.Queue[Any]", request: bytes) -> None:
    connection = await free.get()
    status = await connection.request(request)
    free.put_nowait(connection)
    if status != 200:  # noqa: PLR2004  OK
        raise RuntimeError(f"the API answered {status}")


async def _watch(conn: psycopg.AsyncConnection[Any], pending: dict[str, float], taken: dict[str, float]) -> None:
    """Look at the view whenever it says that it moved, and a few times a second anyway."""
    while True:
        async for _ in conn.notifies(timeout=0.2, stop_after=1):
            pass
        rows = await (await conn.execute(_MOVED, (list(pending),))).fetchall()
        now = time.perf_counter()
        for (moved,) in rows:
            taken[moved] = now - pending.pop(moved)
