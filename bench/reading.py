"""What is read over HTTP, beside a bare FastAPI endpoint that reads one row; how such a pair is served and loaded.

The balance with its token and its whole answer.
"""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, NamedTuple

from api.socle.identite import RoleUtilisateur, emettre_jeton
from bench.client import answers, closed_loop, get
from bench.data import SEED, assure, reference
from bench.processes import Process, bench_script, service_roles, wait_for
from bench.servers import Database, Servers
from bench.stage import Stage
from service.embedded.broker import free_port
from service.settings import Settings, development_jwt_secret

CONNECTIONS: Final = 16
START_SECONDS: Final = 60.0
REQUESTS: Final = 2_000
"""Different requests, over and over: other rows and other tokens, built before the clock starts."""

SESSION_SECRET: Final = "a secret of the bench, long enough for a session"  # noqa: S105  guards nothing

NO_LIMIT: Final = "1000000000"
"""One person asks here for what a thousand would."""


class Loaded(NamedTuple):
    """What one load of an endpoint got."""

    requests_per_second: float
    processor: float
    """Of the server, user and system, from the kernel: µs a request."""
    client: float
    """Of one core, that the client itself used."""


class Endpoint(NamedTuple):
    """What is asked of a server, over and over, and the process that answers."""

    name: str
    server: Process
    port: int
    requests: Sequence[bytes]

    def load(self, seconds: float) -> Loaded:
        """Load it for so long."""
        before, since = self.server.cpu_seconds(), time.perf_counter()
        load = closed_loop(
            self.port, lambda number: self.requests[number % len(self.requests)], CONNECTIONS, seconds=seconds
        )
        answered = load.requests_per_second * (time.perf_counter() - since)
        return Loaded(load.requests_per_second, (self.server.cpu_seconds() - before) / answered * 1e6, load.cpu_share)


class Served(NamedTuple):
    """A server of two that run side by side."""

    server: Process
    settings: Settings


@contextmanager
def endpoints(servers: Servers, stage: Stage) -> Iterator[tuple[Endpoint, Endpoint]]:
    """The service's API and the bare endpoint, both running on the same database; only one is loaded at a time."""
    with side_by_side(servers, stage, stage.template, "bare", f"/creances/{reference(0)}") as (ours, bare):
        numbers, asked = balances(stage, ours.settings)
        yield (
            Endpoint("ours", ours.server, ours.settings.api_port, asked),
            Endpoint(
                "bare",
                bare.server,
                bare.settings.api_port,
                [get(f"/creances/{reference(number)}") for number in numbers],
            ),
        )


def balances(stage: Stage, settings: Settings) -> tuple[list[int], list[bytes]]:
    """Créances drawn at random, and the requests for their balance, each with the token of whoever owes it."""
    numbers = random.Random(SEED).choices(range(stage.scale.creances), k=REQUESTS)  # noqa: S311  no secret
    secret, now = development_jwt_secret(settings), datetime.now(UTC)
    tokens = [
        emettre_jeton(secret, RoleUtilisateur.ASSURE, assure(number), audience=settings.oidc_audience, maintenant=now)
        for number in numbers
    ]
    return numbers, [
        get(f"/api/v1/creances/{reference(number)}", Authorization=f"Bearer {token}")
        for number, token in zip(numbers, tokens, strict=True)
    ]


@contextmanager
def side_by_side(
    servers: Servers, stage: Stage, database: Database, script: str, probe: str
) -> Iterator[tuple[Served, Served]]:
    """The service's API, and a script of the bench that answers this probe, both started on a database."""
    ours, theirs = (servers.settings(database, stage.topics, api_port=free_port()) for _ in range(2))
    with (
        service_roles(ours, ("api",), SESSION_SECRET=SESSION_SECRET, RATE_READS=NO_LIMIT) as (api,),
        bench_script(theirs, script) as other,
    ):
        wait_for(lambda: answers(ours.api_port, "/readyz"), [api], START_SECONDS, "api")
        wait_for(lambda: answers(theirs.api_port, probe), [other], START_SECONDS, script)
        yield Served(api, ours), Served(other, theirs)
