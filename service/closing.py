"""Closing the days that are over: compute, compute again by SQL alone, and write only what both agree on."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

from psycopg import Connection, IsolationLevel

from engine.clocks import latest
from engine.database import Database, connect
from engine.recorder import Recorder
from guichet.arreter import inscrire
from preuve.covering import Counted, Cover, covers
from projections.arretes.banque import dits_de_la_banque, rapports_lus
from projections.arretes.calcul import calculer
from projections.arretes.contenu import (
    SANS_PRECEDENT,
    Arrete,
    Axe,
    Periode,
    PointDeControle,
    Tableau,
    cumuler,
    empreinte_de,
    fautes_d_addition,
)
from projections.arretes.journal import Tranche, empreinte_du_jour, premier_jour, tranches
from projections.arretes.lecture import Cloture, cloture_du, dernieres
from projections.arretes.recalcul import differences, recalculer

DAYS_AT_ONCE: Final = 31
"""Days that one reading of the whole log recomputes: after a long absence, closings appear month by month."""

Progress = Callable[[str, int, int], None]
"""Told what is done, how many days, of how many."""

# PostgreSQL's day, and not after ours: a day is over when both clocks say so.
_TODAY: Final = "SELECT (least(clock_timestamp(), %b::timestamptz) AT TIME ZONE 'Europe/Paris')::date"

_EPOCH: Final = "SELECT coalesce(max(nom), '') FROM journal.epoques"

_DURATIONS: Final = """
SELECT set_config('statement_timeout', '0', false), set_config('cursor_tuple_fraction', '1', false),
       set_config('work_mem', '64MB', false)
"""


class ClosingDiffers(Exception):
    """Two ways to compute a day disagree: nothing is written, somebody must look."""

    def __init__(self, day: date, gaps: list[str]) -> None:
        """`gaps`: a sentence each."""
        super().__init__(f"Le {day:%d/%m/%Y} ne s'arrête pas : {'; '.join(gaps[:5])}")
        self.day = day
        self.gaps = gaps


class DayRefused(Exception):
    """This day cannot be closed, nor shown; the sentence says why."""


def close_days(
    base: Database, recorder: Recorder, until: date | None = None, advance: Progress = lambda _what, _done, _of: None
) -> list[Cloture]:
    """Close every day that is over and not closed yet, in order, up to `until`; return those closed here.

    Raises DayRefused, ClosingDiffers or JournalIllisible: what was closed before stays closed.
    """
    done: list[Cloture] = []
    with closing(connect(base.url, application="creances-arrete", silence_s=3600)) as conn:
        conn.execute(_DURATIONS)
        while True:
            # Whoever was writing is done: what was recorded yesterday is there, and what comes now is of today.
            with base.transaction() as writer:
                recorder.take_order(writer)
            step = _step(conn, recorder, until, advance, len(done))
            done += step.closed
            if step.over:
                return done


class _Step(NamedTuple):
    closed: list[Cloture]
    over: bool


def _step(conn: Connection[Any], recorder: Recorder, until: date | None, advance: Progress, before: int) -> _Step:
    """Close a month at most."""
    (today,) = conn.execute(_TODAY, (latest(),)).fetchone() or (date.min,)
    if until is not None and until >= today:
        raise DayRefused(f"Le {until:%d/%m/%Y} n'est pas fini : il s'arrête à partir de minuit, heure de Paris.")
    last = next(iter(dernieres(conn)), None)
    first = premier_jour(conn) if last is None else last.arrete.jour + timedelta(days=1)
    if first is None and until is None:
        return _Step([], over=True)
    if first is None:
        raise DayRefused("Rien n'est encore enregistré : il n'y a pas de journée à arrêter.")
    if until is not None and last is None and until < first:
        raise DayRefused(f"Le premier événement est du {first:%d/%m/%Y} : rien n'est à arrêter avant.")
    end = min(until or date.max, today - timedelta(days=1))
    if first > end:
        return _Step([], over=True)
    through = min(end, first + timedelta(days=DAYS_AT_ONCE - 1))
    total = before + (end - first).days + 1
    advance("le journal", before, total)
    closed: list[Cloture] = []
    with _snapshot(conn):
        days = tranches(conn, first, through, last.arrete.jusqu_a if last else 0)
        again = recalculer(conn, [days[0].depuis, *(day.jusqu_a for day in days)])
        reports = rapports_lus(conn)
        under = covers(conn, [Counted(day.jusqu_a, reports) for day in days])
        computed: list[tuple[Arrete, str]] = []
        previous, digest = (last.arrete, last.empreinte) if last else (None, SANS_PRECEDENT)
        for day, expected, cover in zip(days, again, under, strict=True):
            advance(f"{day.jour:%d/%m/%Y}", before + len(computed), total)
            arrete = _compute(conn, recorder, (previous, digest), day, expected)
            arrete = arrete.model_copy(update={"point_de_controle": None if cover is None else _point(cover)})
            previous, digest = arrete, _digest(arrete)
            computed.append((arrete, digest))
    for arrete, sealed in computed:
        if not _write(conn, arrete, sealed):
            return _Step(closed, over=False)  # Somebody else closed it meanwhile: go on from theirs.
        found = cloture_du(conn, arrete.jour)
        assert found is not None  # noqa: S101  written just now, and never deleted
        closed.append(found)
    return _Step(closed, over=through == end)


def _digest(arrete: Arrete) -> str:
    return empreinte_de(arrete.octets())


def _write(conn: Connection[Any], arrete: Arrete, digest: str) -> bool:
    return inscrire(
        conn,
        numero=arrete.numero,
        jour=arrete.jour,
        bornes=(arrete.depuis, arrete.jusqu_a),
        contenu=arrete.octets(),
        empreinte=digest,
        precedent=arrete.precedent,
    )


def _compute(
    conn: Connection[Any],
    recorder: Recorder,
    behind: tuple[Arrete | None, str],
    day: Tranche,
    expected: Tableau,
) -> Arrete:
    """The closing of a day, behind the previous one and its digest. Raises ClosingDiffers or JournalIllisible."""
    previous, digest = behind
    of_the_day = calculer(conn, recorder.mapper, previous, day)
    gaps = differences(of_the_day, expected)
    for axis, by_key in of_the_day.items():
        for key, totals in by_key.items():
            gaps += [f"{axis} {key} : {fault}" for fault in fautes_d_addition(totals, axis)]
    totals_by_period = cumuler(previous, day.jour, of_the_day)
    always = totals_by_period[Periode.PERPETUEL][Axe.ENSEMBLE][""]
    if always.preleve_par_la_banque != always.explique:
        gaps.append(f"la banque a pris {always.preleve_par_la_banque} centimes, {always.explique} s'expliquent")
    if gaps:
        raise ClosingDiffers(day.jour, gaps)
    count, log_digest = empreinte_du_jour(conn, day.depuis, day.jusqu_a)
    reports = rapports_lus(conn)
    (epoch,) = conn.execute(_EPOCH).fetchone() or ("",)
    return Arrete(
        numero=1 if previous is None else previous.numero + 1,
        jour=day.jour,
        epoque=epoch,
        depuis=day.depuis,
        jusqu_a=day.jusqu_a,
        evenements=count,
        journal=log_digest,
        precedent=digest,
        totaux=totals_by_period,
        banque=dits_de_la_banque(conn, day, reports),
        rapports=reports,
    )


def _point(cover: Cover) -> PointDeControle:
    state = cover.checkpoint
    return PointDeControle(
        origine=state.origin, taille=state.size, racine=state.root.hex(), hors_du_point=cover.outside
    )


@contextmanager
def _snapshot(conn: Connection[Any]) -> Iterator[None]:
    before = conn.isolation_level
    conn.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with conn.transaction():
            yield
    finally:
        conn.isolation_level = before
