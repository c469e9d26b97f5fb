"""What is read over HTTP, beside a bare FastAPI endpoint or page that reads one row.

The balance with its token and its whole answer; step 2's page with its session, for an assuré who owes fifty créances.
"""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, NamedTuple

import psycopg

from api.socle import session as sessions
from api.socle.identite import RoleUtilisateur, emettre_jeton
from api.socle.sessions_tenues import empreinte
from bench.client import Load, answers, closed_loop, get
from bench.data import DEBT, ISSUED, SEED, assure, reference
from bench.processes import bench_script, service_roles, wait_for
from bench.servers import Database, Servers
from bench.stage import Stage
from service.embedded.broker import free_port
from service.settings import Settings, development_jwt_secret

CONNECTIONS: Final = 16
START_SECONDS: Final = 60.0
REQUESTS: Final = 2_000
"""Different requests, over and over: other rows and other tokens, built before the clock starts."""


PAYER: Final = "a-page"
PAYER_DEBTS: Final = 50
PAYER_FIRST: Final = 90_000_000
"""Whose page it is; references from this number on belong to no other créance of the bench."""

SESSION_SECRET: Final = "a secret of the bench, long enough for a session"  # noqa: S105  guards nothing

NO_LIMIT: Final = "1000000000"
"""One person asks here for what a thousand would."""

# Gives the payer their créances, in the view alone: the page reads nothing else.
_OWE: Final = """
INSERT INTO vues.restant_du (reference, assure, caisse, nature, date_emission, payable_en_ligne, annulee,
                             montant_initial, solde, en_cours, version, position)
SELECT unnest(%(references)s::text[]), %(payer)s, '381', 'PF/FR', %(issued)s, true, false, %(debt)s, %(debt)s, 0, 1, 0
"""


# The session that the payer's cookie names: the database holds it.
_SIGN_IN: Final = """
INSERT INTO acces.sessions (empreinte, role, assure, canal, ouverte_le, vue_le)
VALUES (%(digest)s, 'assure', %(payer)s, 'web', now(), now())
"""


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
    numbers = random.Random(SEED).choices(range(stage.scale.creances), k=REQUESTS)  # noqa: S311  no secret
    with _both(servers, stage, stage.template, f"/creances/{reference(0)}") as (ours, theirs):
        secret, now = development_jwt_secret(ours), datetime.now(UTC)
        tokens = [
            emettre_jeton(secret, RoleUtilisateur.ASSURE, assure(number), audience=ours.oidc_audience, maintenant=now)
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


@contextmanager
def pages(servers: Servers, stage: Stage) -> Iterator[tuple[Endpoint, Endpoint]]:
    """Step 2's page of an assuré with fifty créances, and the bare page of one row, on a copy of the same database."""
    with servers.copy(stage.template) as database:
        owed = [reference(PAYER_FIRST + rank) for rank in range(PAYER_DEBTS)]
        with psycopg.connect(database.url) as conn:
            conn.execute(_OWE, {"references": owed, "payer": PAYER, "issued": ISSUED, "debt": DEBT})
            session = sessions.nouvelle_session(PAYER)
            conn.execute(_SIGN_IN, {"digest": empreinte(session.numero), "payer": PAYER})
        with _both(servers, stage, database, f"/pages/{owed[0]}") as (ours, theirs):
            asked = [owed[number % PAYER_DEBTS] for number in range(REQUESTS)]
            cookie = f"{sessions.COOKIE}={_cookie(session)}"
            yield (
                Endpoint(ours.api_port, [get(f"/payer?reference={one}", Cookie=cookie) for one in asked]),
                Endpoint(theirs.api_port, [get(f"/pages/{one}") for one in asked]),
            )


@contextmanager
def _both(servers: Servers, stage: Stage, database: Database, probe: str) -> Iterator[tuple[Settings, Settings]]:
    """The service's API and the bare application, started on a database; yields the settings of each."""
    ours, theirs = (servers.settings(database, stage.topics, api_port=free_port()) for _ in range(2))
    with (
        service_roles(ours, ("api",), SESSION_SECRET=SESSION_SECRET, RATE_READS=NO_LIMIT) as roles,
        bench_script(theirs, "bare") as bare,
    ):
        wait_for(lambda: answers(ours.api_port, "/readyz"), roles, START_SECONDS, "api")
        wait_for(lambda: answers(theirs.api_port, probe), [bare], START_SECONDS, "bare")
        yield ours, theirs


def _cookie(session: sessions.Session) -> str:
    """The cookie of this session, opened now."""
    now = int(datetime.now(UTC).timestamp())
    held = json.dumps([session.numero, session.assure, session.role, now, "", None, None])
    return sessions.coffre("session", SESSION_SECRET).encrypt_at_time(held.encode(), now).decode()
