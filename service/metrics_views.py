"""What Prometheus reads of the views: their rebuilds, their comparison with the log, and the record of the month.

All is kept in small tables by whoever does the work: a scrape costs the same at ten thousand payments and at a million.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from psycopg import Connection

from projections.lectures.horloge import FENETRE, prevoir
from projections.lectures.reconstructions import Reconstruction, comptes, reconstructions
from projections.lectures.releves import PAS, DernierReleve, PointDHorloge, dernier_releve, horloge_depuis
from projections.parite_tenue import Mesure, mesures_de_parite
from service.composition import VIEWS

ENDS: Final = ("basculee", "refusee", "abandonnee")
"""What a rebuild can become."""


class ViewsReading(NamedTuple):
    """What the database keeps of the views."""

    running: dict[str, Reconstruction]
    ended: dict[tuple[str, str], tuple[int, float | None]]
    parity: dict[str, Mesure]
    last: DernierReleve | None
    recent: list[PointDHorloge]


def read_views(conn: Connection[Any]) -> ViewsReading:
    """Read the small tables."""
    last = dernier_releve(conn)
    return ViewsReading(
        {one.vue: one for one in reconstructions(conn) if one.etat == "en_cours"},
        comptes(conn),
        {one.vue: one for one in mesures_de_parite(conn)},
        last,
        list(horloge_depuis(conn, last.le - FENETRE - PAS)) if last else [],
    )


def view_metrics(told: ViewsReading, limit_s: float) -> Iterator[Metric]:
    """The gauges and counters; `limit_s`: the time allowed from acceptance to display (seconds)."""
    yield from _rebuilds(told)
    yield from _parity(told)
    yield from _clock(told, limit_s)


def _rebuilds(told: ViewsReading) -> Iterator[Metric]:
    running = GaugeMetricFamily("creances_reconstruction_en_cours", "1 si la vue est en reconstruction", labels=["vue"])
    read = GaugeMetricFamily(
        "creances_reconstruction_evenements", "Événements que la reconstruction a lus", labels=["vue"]
    )
    total = GaugeMetricFamily("creances_reconstruction_total_evenements", "Événements qu'elle a à lire", labels=["vue"])
    beat = GaugeMetricFamily(
        "creances_reconstruction_battement_secondes", "Âge de son dernier lot validé", labels=["vue"]
    )
    ended = CounterMetricFamily("creances_reconstructions", "Reconstructions finies", labels=["vue", "issue"])
    swapped = GaugeMetricFamily(
        "creances_reconstruction_basculee_timestamp_seconds", "Quand la dernière a pris sa place", labels=["vue"]
    )
    for name in VIEWS:
        one = told.running.get(name)
        running.add_metric([name], int(one is not None))
        read.add_metric([name], one.lus if one else 0)
        total.add_metric([name], max(one.total, one.lus) if one else 0)
        if one is not None:
            beat.add_metric([name], abs(one.battement_s))
        for end in ENDS:
            ended.add_metric([name, end], told.ended.get((name, end), (0, None))[0])
        at = told.ended.get((name, "basculee"), (0, None))[1]
        if at is not None:
            swapped.add_metric([name], at)
    yield from (running, read, total, beat, ended, swapped)


def _parity(told: ViewsReading) -> Iterator[Metric]:
    differences = GaugeMetricFamily(
        "creances_parite_differences", "Lignes qui ne disent pas ce que dit le journal", labels=["vue"]
    )
    rows = CounterMetricFamily("creances_parite_lignes", "Lignes comparées au journal", labels=["vue"])
    round_s = GaugeMetricFamily("creances_parite_tour_secondes", "Durée du dernier tour entier", labels=["vue"])
    age = GaugeMetricFamily(
        "creances_parite_age_secondes", "Depuis quand le dernier tour entier est fini", labels=["vue"]
    )
    for name in VIEWS:
        one = told.parity.get(name)
        differences.add_metric([name], one.differences if one else 0)
        rows.add_metric([name], one.lignes if one else 0)
        if one is not None:
            age.add_metric([name], one.age_s)
            if one.tour_s is not None:
                round_s.add_metric([name], one.tour_s)
    yield from (differences, rows, round_s, age)


def _clock(told: ViewsReading, limit_s: float) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "creances_affichage_caisse_en_attente", "Paiements acceptés, pas encore affichés", labels=["caisse"]
    )
    oldest = GaugeMetricFamily(
        "creances_affichage_caisse_attente_secondes", "Depuis combien de temps le plus ancien attend", labels=["caisse"]
    )
    late = GaugeMetricFamily("creances_affichage_depasses", "Paiements qui ont passé le délai", labels=["etat"])
    last = told.last
    late.add_metric(["en_attente"], last.depasses if last else 0)
    late.add_metric(["affiche"], last.depasses_affiches if last else 0)
    yield late
    if last is None:
        return
    for caisse, (count, age_s) in last.par_caisse.items():
        waiting.add_metric([caisse], count)
        oldest.add_metric([caisse], age_s)
    yield from (waiting, oldest)
    ahead = prevoir(limit_s, last.le, last.plus_ancien_s, told.recent)
    for name, said, value in (
        ("creances_affichage_affiches", "Paiements acceptés et affichés", last.affiches),
        ("creances_affichage_presumes", "Paiements en attente dont le départ est présumé", last.presumes),
        ("creances_affichage_marge_perdue", "Secondes de marge perdues par seconde", ahead.marge_perdue),
        (
            "creances_affichage_prochain_depassement_secondes",
            "Dans combien de temps le prochain paiement passera le délai, à ce rythme",
            float("inf") if ahead.dans_s is None else ahead.dans_s,
        ),
        ("creances_releve_age_secondes", "Âge du dernier relevé des retards et de l'horloge", last.age_s),
    ):
        yield GaugeMetricFamily(name, said, value=value)
