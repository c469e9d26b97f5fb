"""Step 2's page for assurés with one, fifty and five hundred créances, beside a bare page of one row.

Told as requests a second and as processor time of the server a page: the second survives a noisy machine.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import mean
from typing import Final, NamedTuple

import psycopg

from api.socle import session as sessions
from api.socle.sessions_tenues import empreinte
from bench.client import answers, closed_loop, get
from bench.data import DEBT, ISSUED, reference
from bench.figures import Figures
from bench.plan import Plan
from bench.processes import Process, bench_script, service_roles, wait_for
from bench.reading import CONNECTIONS, NO_LIMIT, PAYER_FIRST, SESSION_SECRET, START_SECONDS
from bench.servers import Database, Servers
from bench.stage import Stage
from service.embedded.broker import free_port

LINES: Final = (1, 50, 500)
TURNS: Final = 4

_OWE: Final = """
INSERT INTO vues.restant_du (reference, assure, caisse, nature, date_emission, payable_en_ligne, annulee,
                             montant_initial, solde, en_cours, version, position)
SELECT unnest(%(references)s::text[]), %(payer)s, '381', 'PF/FR', %(issued)s, true, false, %(debt)s, %(debt)s, 0, 1, 0
"""

_SIGN_IN: Final = """
INSERT INTO acces.sessions (empreinte, role, assure, canal, ouverte_le, vue_le)
VALUES (%(digest)s, 'assure', %(payer)s, 'web', now(), now())
"""


class Page(NamedTuple):
    """A page, the process that serves it, and what asks for it."""

    name: str
    server: Process
    port: int
    request: bytes

    def load(self, seconds: float) -> tuple[float, float]:
        """Load it for so long: requests a second, and the server's processor time a request, in µs."""
        before, since = self.server.cpu_seconds(), time.perf_counter()
        load = closed_loop(self.port, lambda _: self.request, CONNECTIONS, seconds=seconds)
        pages = load.requests_per_second * (time.perf_counter() - since)
        return load.requests_per_second, (self.server.cpu_seconds() - before) / pages * 1e6


def pages(servers: Servers, figures: Figures, plan: Plan, stage: Stage) -> None:
    """Step 2's page at every size, by turns with the bare one."""
    seconds = plan.http_seconds / TURNS
    with _served(servers, stage) as served:
        for page in served:
            page.load(seconds)  # Warm.
        for _ in range(plan.rounds):
            turns = [[page.load(seconds) for page in served] for _ in range(TURNS)]
            for page, loads in zip(served, zip(*turns, strict=True), strict=True):
                figures.add(f"pages.{page.name}", mean(rate for rate, _ in loads), "requests/s")
                figures.add(f"pages.{page.name}, processor", mean(cost for _, cost in loads), "µs a request")


@contextmanager
def _served(servers: Servers, stage: Stage) -> Iterator[list[Page]]:
    with servers.copy(stage.template) as database:
        asked = [(lines, *_payer(database, lines)) for lines in LINES]
        ours, theirs = (servers.settings(database, stage.topics, api_port=free_port()) for _ in range(2))
        with (
            service_roles(ours, ("api",), SESSION_SECRET=SESSION_SECRET, RATE_READS=NO_LIMIT) as (api,),
            bench_script(theirs, "bare") as bare,
        ):
            probe = f"/pages/{asked[0][1]}"
            wait_for(lambda: answers(ours.api_port, "/readyz"), [api], START_SECONDS, "api")
            wait_for(lambda: answers(theirs.api_port, probe), [bare], START_SECONDS, "bare")
            yield [
                *(
                    Page(f"{lines} lines", api, ours.api_port, get(f"/payer?reference={owed}", Cookie=cookie))
                    for lines, owed, cookie in asked
                ),
                Page("bare", bare, theirs.api_port, get(probe)),
            ]


def _payer(database: Database, lines: int) -> tuple[str, str]:
    """An assuré with so many créances, signed in: the reference to ask for, and the cookie."""
    payer = f"a-page-{lines}"
    owed = [reference(PAYER_FIRST + 1_000 * lines + rank) for rank in range(lines)]
    session = sessions.nouvelle_session(payer)
    with psycopg.connect(database.url) as conn:
        conn.execute(_OWE, {"references": owed, "payer": payer, "issued": ISSUED, "debt": DEBT})
        conn.execute(_SIGN_IN, {"digest": empreinte(session.numero), "payer": payer})
    now = int(datetime.now(UTC).timestamp())
    held = json.dumps([session.numero, session.assure, session.role, now, "", None, None])
    sealed = sessions.coffre("session", SESSION_SECRET).encrypt_at_time(held.encode(), now)
    return owed[0], f"{sessions.COOKIE}={sealed.decode()}"
