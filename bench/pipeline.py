"""From a notification on Kafka to the balance in the view, three ways, on copies of one database and one topic."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import Connection

from bench import costs
from bench.costs import Costs
from bench.data import DEBT, SHARE, Scale
from bench.processes import Process, bench_script, service_roles, wait_for
from bench.servers import Servers
from bench.stage import Stage
from service.settings import Settings

START_SECONDS: Final = 60.0
RUN_SECONDS: Final = 900.0
PATIENCE_SECONDS: Final = 40.0
"""A way that takes longer is stopped, and its rate is that of what the view shows by then."""

# How many messages have been taken, by the positions written with them.
_TAKEN: Final = "SELECT coalesce(sum(jusqu_a - depuis), 0)::int8 FROM journal.positions"
_TAKEN_BY_LIBRARY: Final = (
    "SELECT coalesce(sum(notification_id), 0)::int8 FROM banque_tracking WHERE application_name LIKE '%%/%%'"
)

# Whether the view has every acceptance of the log. It is looked for after what was loaded, where there is none: the
# planner expects none at all, and would read the whole log for the last one.
_VISIBLE: Final = """
SELECT (SELECT position FROM vues.suiveurs WHERE nom = 'restant_du') >=
       (SELECT max(position) FROM journal.evenements WHERE position > %s AND topic = 'creance.PaiementAccepte')
"""
_VISIBLE_BY_LIBRARY: Final = """
SELECT (SELECT notification_id FROM suivi_tracking WHERE application_name = 'banque') >=
       (SELECT max(notification_id) FROM banque_events
        WHERE notification_id > %s AND topic = 'creance.PaiementAccepte')
"""

_SHOWN_BY_LIBRARY: Final = """
SELECT count(*) FROM banque_events
WHERE notification_id > %s AND topic = 'creance.PaiementAccepte'
  AND notification_id <= (SELECT notification_id FROM suivi_tracking WHERE application_name = 'banque')
"""

_FOLLOWERS_READY: Final = "SELECT count(*) FROM vues.suiveurs WHERE nom = ANY (%s) AND etat = 'actif'"


@dataclass(frozen=True)
class Way:
    """One way of doing it: what runs, and how to see that it is done."""

    name: str
    run: Callable[[Settings, Connection[Any]], Any]
    taken: str
    visible: str | None
    balances: str
    shown: str | None = None
    """Counts the notifications that the view shows, for a way that is stopped after `PATIENCE_SECONDS`."""

    @property
    def by_library(self) -> bool:
        """Whether it runs on the library's tables."""
        return self.name == "library"


class Measured(NamedTuple):
    """A run: notifications per second, and processor time a notification by role (µs)."""

    rate: float
    spent: Costs


# Everything that was loaded is sealed.
_SEALED: Final = """
SELECT coalesce(max(s.position), 0) >= (SELECT max(position) FROM journal.evenements)
FROM journal.sceaux s JOIN journal.points p USING (epoque, taille)
"""


def ours(*views: str, sealed: bool = False) -> Way:
    """The service's own roles, each a process: the consumer, the followers of these views, and who seals."""

    @contextmanager
    def run(settings: Settings, conn: Connection[Any]) -> Iterator[list[Process]]:
        with ExitStack() as stack:
            followers = stack.enter_context(service_roles(settings, *(("project", view) for view in views)))
            wait_for(
                lambda: conn.execute(_FOLLOWERS_READY, (list(views),)).fetchone() == (len(views),),
                followers,
                START_SECONDS,
                "followers",
            )
            if sealed:
                followers += stack.enter_context(service_roles(settings, ("sceller",)))
                wait_until_sealed(conn, followers)
            yield followers + stack.enter_context(service_roles(settings, ("consume", "kiosque")))

    name = "ours" if len(views) == 1 else "ours, all followers"
    return Way(f"{name}, sealed" if sealed else name, run, _TAKEN, _VISIBLE, "vues.restant_du")


def wait_until_sealed(conn: Connection[Any], processes: Sequence[Process]) -> None:
    """Until a signed state holds every event."""
    wait_for(lambda: conn.execute(_SEALED).fetchone() == (True,), processes, RUN_SECONDS, "all sealed")


def library() -> Way:
    """The library's idiom: two processes, one that takes and one that projects."""

    @contextmanager
    def run(settings: Settings, _conn: Connection[Any]) -> Iterator[list[Process]]:
        with bench_script(settings, "library", "project") as runner:
            time.sleep(2)  # Its runner tells nobody that it listens.
            with bench_script(settings, "library", "consume") as consumer:
                yield [runner, consumer]

    return Way("library", run, _TAKEN_BY_LIBRARY, _VISIBLE_BY_LIBRARY, "soldes", _SHOWN_BY_LIBRARY)


def ceiling(scale: Scale, processes: int) -> Way:
    """By hand, without domain."""

    @contextmanager
    def run(settings: Settings, _conn: Connection[Any]) -> Iterator[list[Process]]:
        step = str(scale.creances // scale.payments)
        with ExitStack() as stack:
            yield [
                stack.enter_context(bench_script(settings, "ceiling", step, str(share), str(processes)))
                for share in range(processes)
            ]

    return Way("ceiling", run, _TAKEN, None, "vues.restant_du")


def measure(
    servers: Servers,
    stage: Stage,
    way: Way,
    look: Callable[[Connection[Any], Sequence[Process]], None] = lambda _conn, _processes: None,
) -> Measured:
    """Notifications per second, and what each cost; `look`: called once all of it is there, while the roles run.

    The messages are on the topic and the other roles run before. The clock starts when the first batch is in, and
    counts the messages after it; it stops when the view has everything. The balances are then added up: a fast wrong
    answer is none.
    """
    scale, messages = stage.scale, stage.messages
    template = stage.library if way.by_library else stage.template
    with servers.copy(template) as database, psycopg.connect(database.owner_url, autocommit=True) as conn:
        servers.checkpoint()
        settings = servers.settings(database, stage.topics)
        with way.run(settings, conn) as processes:
            first = wait_for(lambda: _count(conn, way.taken), processes, START_SECONDS, f"{way.name}: first batch")
            used, start = costs.read(conn, processes), time.perf_counter()
            complete = _await_all(conn, way, processes, stage)
            seconds = time.perf_counter() - start
            done = messages if complete else _count(conn, str(way.shown), scale.events)
            spent = costs.read(conn, processes).since(used, max(1, done - first))
            look(conn, processes)
        if complete:
            _check(conn, way, scale, messages)
    return Measured((done - first) / seconds, spent)


def _await_all(conn: Connection[Any], way: Way, processes: Sequence[Process], stage: Stage) -> bool:
    """Wait until the view shows every message, or as long as this way is given; whether it shows them all."""
    patience = RUN_SECONDS if way.shown is None else PATIENCE_SECONDS
    try:
        wait_for(lambda: _count(conn, way.taken) >= stage.messages, processes, patience, f"{way.name}: all taken")
        if (query := way.visible) is not None:
            wait_for(lambda: _is(conn, query, stage.scale.events), processes, patience, f"{way.name}: all visible")
    except TimeoutError:
        if way.shown is None:
            raise
        return False
    return True


def count_of_taken(conn: Connection[Any]) -> int:
    """How many messages the service has taken."""
    return _count(conn, _TAKEN)


def _count(conn: Connection[Any], query: str, *parameters: int) -> int:
    (count,) = conn.execute(query, parameters).fetchone() or (0,)
    return int(count)


def _is(conn: Connection[Any], query: str, *parameters: int) -> bool:
    return conn.execute(query, parameters).fetchone() == (True,)


def _check(conn: Connection[Any], way: Way, scale: Scale, messages: int) -> None:
    found = conn.execute(f"SELECT sum(solde)::int8, sum(en_cours)::int8 FROM {way.balances}").fetchone()  # noqa: S608
    expected = (scale.creances * DEBT - messages * SHARE, (scale.payments - messages) * SHARE)
    if found != expected:
        raise RuntimeError(f"{way.name}: balances {found}, expected {expected}")
