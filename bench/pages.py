"""Step 2's page for assurés with one, fifty and five hundred créances, beside a bare page of one row.

Told as requests a second and as processor time of the server a page: the second survives a noisy machine.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import mean
from typing import Final

import jwt
import psycopg

from api.socle import canal
from api.socle import session as sessions
from api.socle.sessions_tenues import empreinte
from bench.client import get
from bench.data import DEBT, ISSUED, reference
from bench.figures import Figures
from bench.plan import Plan
from bench.reading import SESSION_SECRET, Endpoint, side_by_side
from bench.servers import Database, Servers
from bench.stage import Stage
from domain.avis import Canal

LINES: Final = (1, 50, 500)
TURNS: Final = 4

PAYER_FIRST: Final = 90_000_000
"""References from this number on belong to no other créance of the bench."""

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


def pages(servers: Servers, figures: Figures, plan: Plan, stage: Stage) -> None:
    """Step 2's page at every size, by turns with the bare one."""
    seconds = plan.http_seconds / TURNS
    with _served(servers, stage) as served:
        for page in served:
            page.load(seconds)  # Warm.
        for _ in range(plan.rounds):
            turns = [[page.load(seconds) for page in served] for _ in range(TURNS)]
            for page, loads in zip(served, zip(*turns, strict=True), strict=True):
                rate, cost = mean(load.requests_per_second for load in loads), mean(load.processor for load in loads)
                figures.add(f"pages.{page.name}", rate, "requests/s")
                figures.add(f"pages.{page.name}, processor", cost, "µs a request")


@contextmanager
def _served(servers: Servers, stage: Stage) -> Iterator[list[Endpoint]]:
    with servers.copy(stage.template) as database:
        asked = [(lines, *_payer(database, lines)) for lines in LINES]
        probe = f"/pages/{asked[0][1]}"
        with side_by_side(servers, stage, database, "bare", probe) as (ours, bare):
            port = ours.settings.api_port
            yield [
                *(
                    Endpoint(f"{lines} lines", ours.server, port, [get(f"/payer?reference={owed}", Cookie=cookie)])
                    for lines, owed, cookie in asked
                ),
                Endpoint("bare", bare.server, bare.settings.api_port, [get(probe)]),
            ]


def _payer(database: Database, lines: int) -> tuple[str, str]:
    """An assuré with so many créances, signed in: the reference to ask for, and the cookies."""
    payer = f"a-page-{lines}"
    owed = [reference(PAYER_FIRST + 1_000 * lines + rank) for rank in range(lines)]
    session = sessions.nouvelle_session(payer)
    with psycopg.connect(database.url) as conn:
        conn.execute(_OWE, {"references": owed, "payer": payer, "issued": ISSUED, "debt": DEBT})
        conn.execute(_SIGN_IN, {"digest": empreinte(session.numero), "payer": payer})
    now = int(datetime.now(UTC).timestamp())
    held = json.dumps([session.numero, session.assure, session.role, now, "", None, None])
    sealed = sessions.coffre("session", SESSION_SECRET).encrypt_at_time(held.encode(), now)
    # A browser brings back both cookies of its last page.
    came = jwt.encode({"aud": canal.COOKIE, "canal": Canal.WEB, "iat": now}, SESSION_SECRET, algorithm="HS256")
    return owed[0], f"{sessions.COOKIE}={sealed.decode()}; {canal.COOKIE}={came}"
