"""What the watch uses to compare every view with the log: a first round, which replays all, and the one that follows.

On a base with a history, one connection, slice after slice as the watch does it. The hours are those of a round over a
million such créances within the share of a core that the settings give it.
"""

import time
from typing import Final

import psycopg

from bench import life_loading
from bench.batches import session_ns
from bench.figures import Figures
from bench.plan import Plan
from bench.servers import Servers
from bench.stage import Stage
from projections.parite import Comparateur
from projections.parite_accords import lire_le_bloc
from projections.parite_tenue import noter, ou_en_est
from projections.vues import VUES
from service import composition

MILLION: Final = 1_000_000


def parity(servers: Servers, figures: Figures, plan: Plan, stage: Stage) -> None:  # noqa: ARG001  as every part
    """Processor time a créance, this thread's and the session's, of the rounds `all` and `again`."""
    database = servers.create("parity")
    life_loading.load(database, plan.small)
    settings = servers.settings(database, f"parity-{database.name}")
    counter = composition.guichet(settings, application="parity")
    with counter.base, psycopg.connect(database.owner_url, autocommit=True) as conn:
        comparers = [Comparateur(conn, view, counter.recorder, edition="bench") for view in VUES.values()]
        for _ in range(plan.rounds):
            conn.execute("TRUNCATE vues.accords")
            for kind in ("all", "again"):
                before, since = session_ns(conn.info.backend_pid), time.thread_time_ns()
                for comparer in comparers:
                    _round(conn, comparer)
                used = time.thread_time_ns() - since + session_ns(conn.info.backend_pid) - before
                each = used / 1e3 / plan.small.creances
                figures.add(f"parity.{kind}", each, "µs a créance")
                figures.add(f"parity.{kind}, hours", each / settings.parity_share * MILLION / 3.6e9, "h")
    servers.drop(database)


def _round(conn: psycopg.Connection[tuple[object, ...]], comparer: Comparateur) -> None:
    while True:
        table, after = ou_en_est(conn, comparer.vue)
        slice_ = comparer.comparer(table, after, bloc=lire_le_bloc(conn, comparer.nom, table, after))
        if slice_.combien:
            raise RuntimeError(f"the base is not what its log says: {slice_.constats[0].phrase}")
        if noter(conn, comparer.vue, table, slice_):
            return
