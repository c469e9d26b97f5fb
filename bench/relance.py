"""Five thousand payments without an answer, and a bank that answers: how long until each has its end."""

import time
from typing import Final

import psycopg

from bench import data
from bench.data import Scale
from bench.figures import Figures
from bench.plan import Plan
from bench.processes import service_roles, wait_for
from bench.servers import Servers
from bench.stage import Stage
from domain.paiement import Paiement
from service import kafka
from service.embedded.broker import free_port

UNANSWERED: Final = 5_000
SECONDS_MAX: Final = 900.0
START_SECONDS: Final = 5.0

_ENDED: Final = "SELECT count(*) FROM journal.evenements WHERE topic = %s"


def relance(servers: Servers, figures: Figures, plan: Plan, stage: Stage) -> None:  # noqa: ARG001  as every part
    """The bank knows none of them and they are old: each is asked about, and expires."""
    loaded = servers.create("relance")
    data.load(loaded, Scale(UNANSWERED, UNANSWERED))
    for _ in range(plan.rounds):
        with servers.copy(loaded) as database:
            port = free_port()
            settings = servers.settings(database, f"relance-{database.name}", simulator_port=port)
            kafka.create_topics(settings)
            url = f"http://127.0.0.1:{port}"
            with (
                psycopg.connect(database.owner_url, autocommit=True) as conn,
                service_roles(settings, ("kiosque",), SIMULATOR_PORT=str(port), KIOSQUE_URL=url) as (bank,),
            ):
                time.sleep(START_SECONDS)
                since = time.monotonic()
                with service_roles(settings, ("relance",), KIOSQUE_URL=url) as (role,):

                    def all_ended() -> bool:
                        row = conn.execute(_ENDED, (Paiement.PaiementConclu.TOPIC,)).fetchone()
                        return row == (UNANSWERED,)

                    wait_for(all_ended, [role, bank], SECONDS_MAX, "relance")
                    figures.add("relance.seconds", time.monotonic() - since, "s for 5,000")
                    figures.add("relance.processor", role.cpu_seconds() / UNANSWERED * 1e6, "µs a payment")
    servers.drop(loaded)
