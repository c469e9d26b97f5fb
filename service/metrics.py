"""What Prometheus reads of all roles: the lag, the states, the fates, the mishaps; told by the database and Kafka.

Any API can tell it, whatever process leads each role. Servers that do not answer are told by `creances_roles_lisibles`
with a 0, never by an error, and never by more than a few seconds' wait: the rest of `/metrics` does not depend on them.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import psycopg
import structlog
from kafka.errors import KafkaError
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from domain.sort import Sort
from engine import clocks
from engine.database import Database
from engine.fates import fates_by_topic
from engine.outages import describe
from preuve.witnessing import without_agreement_s
from service.lag import WAIT_SECONDS, KeptReader, lag, unreadable
from service.metrics_views import ViewsReading, read_views, view_metrics
from service.settings import Settings

KEPT_SECONDS: Final = 5.0
"""Two scrapes within this time read the servers once."""

SCRAPE_SECONDS: Final = 4.0
"""How long a scrape waits for the servers; what comes later serves the next one."""

CLUSTER: Final = "creances"
"""The label `cluster_name`: there is one cluster."""

STALE_SECONDS: Final = 60.0
"""What was read longer ago than this is told no more: better nothing than an old figure."""


class Reading(NamedTuple):
    """What was read of the servers, and what could be."""

    at: float
    rows: list[dict[str, Any]]
    fates: dict[tuple[str, str], int]
    postgresql: bool
    kafka: bool
    views: ViewsReading | None = None
    clock_gap_s: float | None = None
    """How far PostgreSQL's clock is ahead of ours (seconds)."""


NOTHING: Final = Reading(float("-inf"), [], {}, postgresql=False, kafka=False)


class RolesCollector(Collector):
    """Reads the servers at scrape time, in a thread of its own: one that hangs holds up no other scrape."""

    def __init__(self, settings: Settings, base: Database) -> None:
        self.settings = settings
        self.base = base
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="metrics")
        self._pending: Future[Reading] | None = None
        self._last = NOTHING
        self._reader = KeptReader(settings)

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering must not read the servers."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The gauges, as of now or a few seconds ago."""
        told = self._reading()
        readable = GaugeMetricFamily(
            "creances_roles_lisibles", "1 si ce serveur a dit ce qu'il sait des rôles", labels=["serveur"]
        )
        readable.add_metric(["postgresql"], int(told.postgresql))
        readable.add_metric(["kafka"], int(told.kafka))
        yield readable
        yield from _roles([row for row in told.rows if row["genre"] != "temoin"])
        yield from _witnesses(told.rows, self.settings.preuve_temoins_accord)
        yield from _unanswered(told.rows)
        yield from _topics(told.rows)
        yield from _groups(told.rows)
        if told.clock_gap_s is not None:
            yield GaugeMetricFamily(
                "creances_horloge_ecart_secondes",
                "Avance de l'horloge de PostgreSQL sur la nôtre ; négatif si elle retarde",
                value=told.clock_gap_s,
            )
        if told.postgresql:
            yield _fates(told.fates, self.settings)
        if told.views is not None:
            yield from view_metrics(told.views, self.settings.politique.delai_affichage.total_seconds())

    def forget(self) -> None:
        """Keep nothing of the last reading."""
        self._last = NOTHING

    def close(self) -> None:
        """Close what stays open from one reading to the next, once the one under way has ended; wait for neither."""
        self._thread.submit(self._reader.close)
        self._thread.shutdown(wait=False)

    def _reading(self) -> Reading:
        """The last reading if it is fresh, else a new one; one that takes too long counts as unreadable meanwhile."""
        if time.monotonic() - self._last.at <= KEPT_SECONDS:
            return self._last
        if self._pending is None:
            self._pending = self._thread.submit(self._read)
        try:
            self._last = self._pending.result(SCRAPE_SECONDS)
        except TimeoutError:
            old = time.monotonic() - self._last.at > STALE_SECONDS
            return NOTHING if old else self._last._replace(postgresql=False, kafka=False)
        self._pending = None
        return self._last

    def _read(self) -> Reading:
        try:
            rows = lag(self.settings, self.base, self._reader)
            with self.base.transaction(delai_s=WAIT_SECONDS) as conn:
                fates = fates_by_topic(conn)
                gap = clocks.measure(conn)
                views = read_views(conn)
        except (psycopg.Error, KafkaError) as cause:
            structlog.get_logger().warning("roles_illisibles", cause=describe(cause))
            return NOTHING._replace(at=time.monotonic())
        silent = unreadable(rows)
        if silent:
            structlog.get_logger().warning("consommateurs_illisibles", cause=silent)
        return Reading(
            time.monotonic(),
            rows,
            fates,
            postgresql=True,
            kafka=silent is None,
            views=views,
            clock_gap_s=gap.total_seconds(),
        )


def _fates(counts: dict[tuple[str, str], int], settings: Settings) -> Metric:
    """How many messages had each fate: each is there from the start, so that a first one is seen to come."""
    fates = GaugeMetricFamily("creances_sorts", "Messages lus, par sort", labels=["topic", "sort"])
    known = {(topic, sort.value): 0 for topic in (settings.topic_avis, settings.topic_notifications) for sort in Sort}
    for (topic, sort), count in (known | counts).items():
        fates.add_metric([topic, sort], count)
    return fates


def _roles(rows: list[dict[str, Any]]) -> Iterator[Metric]:
    """One figure a role; the lag of one that could not be read is left out, never told as zero."""
    events = GaugeMetricFamily("creances_retard_evenements", "Événements en attente", labels=["role"])
    seconds = GaugeMetricFamily("creances_retard_secondes", "Âge du plus ancien en attente", labels=["role"])
    active = GaugeMetricFamily("creances_role_actif", "1 si le rôle est mené", labels=["role"])
    stopped = GaugeMetricFamily("creances_role_en_panne", "1 si le rôle est arrêté par une panne", labels=["role"])
    beat = GaugeMetricFamily("creances_role_battement_secondes", "Âge du dernier signe de vie", labels=["role"])
    stops = CounterMetricFamily("creances_role_interruptions", "Pannes qui ont interrompu le rôle", labels=["role"])
    parked = GaugeMetricFamily("creances_evenements_ecartes", "Événements qu'une vue n'a pu appliquer", labels=["role"])
    for row in rows:
        role = [row["nom"]]
        if row["evenements"] is not None and row["genre"] != "tournee":
            events.add_metric(role, row["evenements"])
            seconds.add_metric(role, row["secondes"])
        active.add_metric(role, int(row["etat"] == "actif"))
        stopped.add_metric(role, int(row["etat"] == "arrete"))
        if row["battement_secondes"] is not None:  # By PostgreSQL's own clock: ours may differ from it.
            beat.add_metric(role, abs(row["battement_secondes"]))
        stops.add_metric(role, row["interruptions"])
        parked.add_metric(role, row.get("ecartes", 0))
    yield from (events, seconds, active, stopped, beat, stops, parked)


def _witnesses(rows: list[dict[str, Any]], agree: int) -> Iterator[Metric]:
    """How far each witness is behind the signed states, whether it refuses them, and how long too few have seen one."""
    asked = [row for row in rows if row["genre"] == "temoin"]
    if not asked:
        return
    seconds = GaugeMetricFamily(
        "creances_temoin_retard_secondes", "Âge du plus ancien état que ce témoin n'a pas cosigné", labels=["temoin"]
    )
    refuses = GaugeMetricFamily(
        "creances_temoin_refus", "1 si ce témoin refuse l'état du journal : récrit, ou restauré", labels=["temoin"]
    )
    for row in asked:
        seconds.add_metric([row["nom"]], row["secondes"])
        refuses.add_metric([row["nom"]], int(row["refuse"]))
    yield from (seconds, refuses)
    yield GaugeMetricFamily(
        "creances_points_sans_accord_secondes",
        "Âge du plus ancien état que trop peu de témoins ont cosigné",
        value=without_agreement_s([row["secondes"] for row in asked], agree),
    )


def _unanswered(rows: list[dict[str, Any]]) -> Iterator[Metric]:
    """What the rounds wait for at the kiosk: it is no lag of theirs; and whether the log is known to be behind."""
    for row in rows:
        if "journal_en_retard" in row:
            yield GaugeMetricFamily(
                "creances_journal_en_retard",
                "1 si le journal est en retard sur ce qui a été publié ou lu : aucun paiement ne s'ouvre",
                value=int(row["journal_en_retard"] is not None),
            )
        if row["genre"] == "tournee":
            yield GaugeMetricFamily(
                "creances_paiements_sans_reponse",
                "Paiements dont la réponse aurait dû venir : le kiosque est interrogé",
                value=row["evenements"],
            )
            yield GaugeMetricFamily(
                "creances_paiements_sans_reponse_secondes",
                "De combien le plus ancien a passé l'âge où l'on interroge le kiosque",
                value=row["secondes"],
            )


def _topics(rows: list[dict[str, Any]]) -> Iterator[Metric]:
    """What Kafka did to each topic that is consumed."""
    lost = CounterMetricFamily(
        "creances_messages_perdus", "Messages effacés par la rétention avant d'être lus", labels=["topic"]
    )
    again = CounterMetricFamily("creances_topic_recree", "Fois où le topic a été recréé", labels=["topic"])
    stopped = GaugeMetricFamily(
        "creances_partitions_arretees",
        "Partitions arrêtées : raccourcies, ou illisibles",
        labels=["topic"],
    )
    for row in rows:
        if topic := row.get("topic"):
            lost.add_metric([topic], row["messages_perdus"])
            again.add_metric([topic], row["topic_recree"])
            if row["evenements"] is not None:
                stopped.add_metric([topic], row["partitions_arretees"])
    yield from (lost, again, stopped)


def _groups(rows: list[dict[str, Any]]) -> Iterator[Metric]:
    """The lag of our consumer groups, under the names that dashboards of Kafka know."""
    labels = ["cluster_name", "group", "topic", "partition"]
    events = GaugeMetricFamily("kafka_consumergroup_group_lag", "Messages pas encore pris", labels=labels)
    seconds = GaugeMetricFamily(
        "kafka_consumergroup_group_lag_seconds", "Âge du plus ancien d'entre eux", labels=labels
    )
    for row in rows:
        for one in row.get("partitions", ()):
            # Each consumer's group has the name of its topic.
            said = [CLUSTER, row["topic"], row["topic"], str(one["partition"])]
            events.add_metric(said, one["evenements"])
            seconds.add_metric(said, one["secondes"])
    yield from (events, seconds)
