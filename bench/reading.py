"""The balance over HTTP, with its token and its whole answer, beside a bare FastAPI endpoint that reads one row."""

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, NamedTuple

from api.identite import Rôle, émettre_jeton
from bench.client import Load, answers, closed_loop, get
from bench.data import SEED, assuré, reference
from bench.processes import bench_script, service_roles, wait_for
from bench.servers import Servers
from bench.stage import Stage
from service.settings import development_jwt_secret

CONNECTIONS: Final = 16
START_SECONDS: Final = 60.0
REQUESTS: Final = 2_000
"""Different requests, over and over: other rows and other tokens, built before the clock starts."""


class Endpoint(NamedTuple):
    """A server under load, and what it is asked."""

    port: int
    requests: list[bytes]

    def load(self, seconds: float) -> Load:
        """Load it for so long."""
        return closed_loop(self.port, lambda number: self.requests[number % REQUESTS], CONNECTIONS, seconds=seconds)


@contextmanager
def endpoints(servers: Servers, stage: Stage) -> Iterator[tuple[Endpoint, Endpoint]]:
    """The service's API and the bare endpoint, both running on the same database; only one is loaded at a time."""
    ours, theirs = (servers.settings(stage.template, stage.topics, api_port=free_port()) for _ in range(2))
    with service_roles(ours, ("api",)) as roles, bench_script(theirs, "bare") as bare:
        wait_for(lambda: answers(ours.api_port, "/readyz"), roles, START_SECONDS, "api")
        wait_for(lambda: answers(theirs.api_port, f"/creances/{reference(0)}"), [bare], START_SECONDS, "bare")
        numbers = random.Random(SEED).choices(range(stage.scale.créances), k=REQUESTS)  # noqa: S311  no secret
        secret, now = development_jwt_secret(ours), datetime.now(UTC)
        tokens = [
            émettre_jeton(secret, Rôle.ASSURÉ, assuré(number), audience=ours.oidc_audience, maintenant=now)
            for number in numbers
        ]
        yield (
            Endpoint(
                ours.api_port,
                [
                    get(f"/api/v1/creances/{reference(number)}", Authorization=f"Bearer {token}")
                    for number, token in zip(numbers, tokens, strict=True)
                ],
            ),
            Endpoint(theirs.api_port, [get(f"/creances/{reference(number)}") for number in numbers]),
        )


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
