"""What sealing costs the pipeline with every follower, and how long an event waits for its seal.

By turns with and without the role that seals, on copies of one database; the rate says what a notification loses, the
processor time what sealing itself uses, which another load on the machine does not change.
"""

from collections.abc import Sequence
from typing import Any, Final

from psycopg import Connection

from bench import pipeline
from bench.costs import Costs
from bench.figures import Figures
from bench.pipeline import measure, wait_until_sealed
from bench.plan import Plan
from bench.processes import Process
from bench.servers import Servers
from bench.stage import Stage
from preuve.role import NAME
from service.composition import VIEWS

# From an event's record to the signed state that holds it, of the events of this run.
_DELAYS: Final = """
SELECT percentile_cont(ARRAY[0.5, 0.99, 1]) WITHIN GROUP (ORDER BY extract(epoch FROM sealed.at - e.enregistre_le))
FROM journal.evenements e CROSS JOIN LATERAL (
    SELECT p.enregistre_le AS at FROM journal.sceaux s JOIN journal.points p USING (epoque, taille)
    WHERE s.epoque = (SELECT max(nom) FROM journal.epoques) AND s.jusqu_a >= e.ecrit_par ORDER BY s.jusqu_a, s.taille
    LIMIT 1) AS sealed
WHERE e.ecrit_par IS NOT NULL
"""


def sealing(servers: Servers, figures: Figures, plan: Plan, stage: Stage) -> None:
    """Rates, the share of the processor, and delays."""

    def delays(conn: Connection[Any], processes: Sequence[Process]) -> None:
        wait_until_sealed(conn, processes)
        ((p50, p99, worst),) = conn.execute(_DELAYS).fetchone() or ((0.0, 0.0, 0.0),)
        for name, seconds in (("p50", p50), ("p99", p99), ("worst", worst)):
            figures.add(f"sealing.delay {name}", seconds, "s")

    for _ in range(plan.rounds):
        without = measure(servers, stage, pipeline.ours(*VIEWS))
        with_it = measure(servers, stage, pipeline.ours(*VIEWS, sealed=True), delays)
        figures.add("sealing.without", without.rate, "notifications/s")
        figures.add("sealing.with", with_it.rate, "notifications/s")
        own, all_of_it = _shares(with_it.spent)
        figures.add("sealing.processor", own, "µs a notification")
        figures.add("sealing.share", 100 * own / (all_of_it - own), "% of the others' processor time")


def _shares(spent: Costs) -> tuple[float, float]:
    """What sealing used, and what everything did: Python's processes and PostgreSQL's sessions."""
    own = spent.python.get(NAME, 0.0) + spent.postgresql.get(f"creances-{NAME}", 0.0)
    return own, sum(spent.python.values()) + sum(spent.postgresql.values())
