"""What Prometheus reads of what waits for somebody: messages held, money without a debt, leases lost."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from psycopg import Connection

from engine import waiting_room
from engine.instants import age_s
from engine.lease import LeadershipLost
from service.kept_collector import KeptCollector, Silence

AGES: Final = ("moins_d_un_jour", "moins_d_une_semaine", "plus")
"""How long money has waited for a debt."""

# Money that no debt has received, by age, and the age of the oldest (seconds).
_MONEY: Final = f"""
SELECT coalesce(sum(reste) FILTER (WHERE age < 86400), 0)::int8,
       coalesce(sum(reste) FILTER (WHERE age >= 86400 AND age < 604800), 0)::int8,
       coalesce(sum(reste) FILTER (WHERE age >= 604800), 0)::int8,
       coalesce(max(age), 0)::float8
FROM (SELECT reste, {age_s("depuis")} AS age FROM vues.argent WHERE reste > 0) AS ouvert
"""  # noqa: S608

# The leases whose loss is the last thing that happened to their role, and how long ago (seconds).
_LOST: Final = f"""
SELECT nom, {age_s("erreur_le")} FROM vues.suiveurs WHERE derniere_erreur LIKE %s AND erreur_le IS NOT NULL
"""  # noqa: S608

_HELD_SINCE: Final = "SELECT extract(epoch FROM clock_timestamp() - %s::timestamptz)::float8"


class _Read(NamedTuple):
    held: dict[str, tuple[int, float]]
    money: tuple[int, int, int]
    oldest_money_s: float
    lost: dict[str, float]


class HeldCollector(KeptCollector[_Read]):
    """The gauges of what waits."""

    kept_s = 30.0
    unreadable = "attentes_illisibles"

    def __init__(self, url: str, topics: tuple[str, ...], silence: Silence | None = None) -> None:
        """`topics`: those that messages may wait on; each is told, with 0 if none waits."""
        super().__init__(url, silence)
        self._topics = topics

    def collect(self) -> Iterator[Metric]:
        """The gauges, as of now or up to half a minute ago."""
        told = self.kept()
        if told is None:
            return
        count = GaugeMetricFamily(
            "creances_messages_en_souffrance", "Messages qui attendent de pouvoir être appliqués", labels=["topic"]
        )
        age = GaugeMetricFamily(
            "creances_messages_en_souffrance_secondes",
            "Depuis combien de temps le plus ancien attend",
            labels=["topic"],
        )
        for topic in self._topics:
            waiting, seconds = told.held.get(topic, (0, 0.0))
            count.add_metric([topic], waiting)
            age.add_metric([topic], seconds)
        yield from (count, age)
        money = GaugeMetricFamily(
            "creances_argent_sans_creance_centimes",
            "Argent pris par la banque et qu'aucune créance n'a reçu, par âge",
            labels=["age"],
        )
        for name, cents in zip(AGES, told.money, strict=True):
            money.add_metric([name], cents)
        yield money
        yield GaugeMetricFamily(
            "creances_argent_sans_creance_secondes",
            "Depuis combien de temps le plus ancien attend une créance",
            value=told.oldest_money_s,
        )
        lost = GaugeMetricFamily(
            "creances_bail_perdu_secondes", "Âge du dernier bail perdu, si c'est sa dernière panne", labels=["role"]
        )
        for role, seconds in told.lost.items():
            lost.add_metric([role], seconds)
        yield lost

    def read(self, conn: Connection[Any]) -> _Read:
        """Read what waits, and which leases were lost."""
        held = {topic: (count, _age(conn, since)) for topic, (count, since) in waiting_room.counts(conn).items()}
        recent, week, older, oldest = conn.execute(_MONEY).fetchone() or (0, 0, 0, 0.0)
        lost = dict(conn.execute(_LOST, (f"{LeadershipLost.__name__}%",)).fetchall())
        return _Read(held, (recent, week, older), oldest, lost)


def _age(conn: Connection[Any], since: Any) -> float:
    (seconds,) = conn.execute(_HELD_SINCE, (since,)).fetchone() or (0.0,)
    return float(seconds)
