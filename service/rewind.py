"""Is the log what was published and read, or has an older backup been restored? At the start, and under way.

Kafka remembers what a restore forgets. An event published under the current epoch that the log does not hold, a later
epoch than the log's, or a group that had read further than the log: any of them is told, and no payment opens, and
nothing is published, until somebody says `creances epoch --open`.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any, Final, NamedTuple

import psycopg
import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from psycopg import Connection

from engine import kafka_clients as clients
from engine.backoff import Backoff
from engine.database import connect
from engine.incarnation import Incarnation, incarnation
from engine.outages import Outage, is_outage
from engine.positions import places
from engine.role_state import RoleState
from guichet.recul import JournalNonVerifie, constater_recul, exiger_sans_recul, recul
from publication.cloudevent import lire_identifiant, source_publiee
from publication.epoques import NOM, epoque_courante
from publication.marques import TYPES_DES_MARQUES
from publication.publication import Publication
from service import kafka
from service.roles import Role
from service.settings import Settings

NAME: Final = "recul"

LAST_READ: Final = 200
"""Published messages looked at, the last of each partition: what was published last is what a restore loses first."""

READ_SECONDS: Final = 5.0

WAIT_SECONDS: Final = 1.0
"""Between two looks at whether an epoch was opened."""

FIRST_CHECK_SECONDS: Final = 10.0
"""How long an instance that starts waits for the first check before it says that it is ready, Kafka being away."""

REMEDY: Final = (
    "Une sauvegarde plus ancienne a sans doute été restaurée : aucun paiement ne s'ouvre, et rien n'est publié, tant"
    " que `creances epoch --open RAISON` n'a pas été dit."
)

# The first published event (`stream:version`) that the log does not hold.
_MISSING: Final = """
SELECT d.flux || ':' || d.version FROM unnest(%b::text[], %b::int8[]) WITH ORDINALITY AS d (flux, version, rang)
WHERE NOT EXISTS (SELECT FROM journal.evenements e WHERE e.flux = d.flux AND e.version = d.version)
ORDER BY d.rang LIMIT 1
"""

# Partitions that a person took up again elsewhere: their group may rightly have been further.
_RESUMED: Final = "SELECT DISTINCT partition FROM journal.reprises WHERE topic_id = %b"

_KNOWN: Final = "SELECT true FROM journal.topics WHERE topic = %b AND topic_id = %b"


UNCHECKED: Final = "Le journal n'est pas encore vérifié."

# The head of the log.
_HEAD: Final = "SELECT coalesce(max(position), 0) FROM journal.evenements"


class Rewound(Exception):
    """The log is behind what was published or read, and no epoch was opened since."""


class NotChecked(Outage):
    """Nobody knows yet whether this log is whole."""


class _Seen(NamedTuple):
    """What the log showed when it was looked at last."""

    epoch: str
    head: int


class Gate:
    """What keeps payments and the publication shut until the log is known to be whole.

    What was checked is one incarnation of the database: another one, restored under running roles or merely started
    again, is checked anew before anything opens on it.
    """

    def __init__(self, settings: Settings, url: str) -> None:
        """`url`: the database."""
        self._settings = settings
        self._url = url
        self._checked: Incarnation | None = None
        self._wanted = threading.Event()
        self._seen: _Seen | None = None
        self._born = time.monotonic()
        self._log = structlog.get_logger()

    def settled(self) -> bool:
        """Whether the log was checked once, or Kafka has kept silent so long that who only reads waits no more."""
        return self._checked is not None or time.monotonic() - self._born > FIRST_CHECK_SECONDS

    def require_open(self, conn: Connection[Any]) -> None:
        """Raise JournalNonVerifie until Kafka has answered about this log, JournalEnRetard while it is behind."""
        if not self._knows(conn):
            raise JournalNonVerifie
        exiger_sans_recul(conn)

    def require_published(self, conn: Connection[Any]) -> None:
        """Raise NotChecked or Rewound while nothing may be published of this log."""
        if not self._knows(conn):
            raise NotChecked(UNCHECKED)
        if (why := recul(conn)) is not None:
            raise Rewound(f"{why} {REMEDY}")

    def role(self) -> Role:
        """Checks the log as soon as Kafka and PostgreSQL answer, and whenever it may be another one."""
        return Role(NAME, self._run)

    def held(self, role: Role) -> Role:
        """The same role, which starts only once the log is whole, or an epoch opened."""

        def run(stop: threading.Event) -> None:
            told = False
            while not stop.is_set() and (why := self._shut()) is not None:
                if not told and self._checked is not None:
                    RoleState(self._url, Publication.nom).interrupt(Rewound(f"{why} {REMEDY}"))
                    told = True
                stop.wait(WAIT_SECONDS)
            if not stop.is_set():
                role.run(stop)

        return role._replace(run=run)

    def _knows(self, conn: Connection[Any]) -> bool:
        """Whether the database that answers is the one that was checked; if not, ask for it to be."""
        if self._checked == incarnation(conn):
            return True
        self._wanted.set()
        return False

    def _shut(self) -> str | None:
        if self._checked is None:
            return UNCHECKED
        try:
            with closing(connect(self._url, application=f"creances-{NAME}")) as conn:
                return recul(conn)
        except psycopg.Error as cause:
            if not is_outage(cause):
                raise
            return "PostgreSQL ne répond pas."

    def _run(self, stop: threading.Event) -> None:
        retry = Backoff(self._log, "recul_non_verifie")
        while not stop.is_set():
            try:
                with closing(connect(self._url, application=f"creances-{NAME}")) as conn:
                    while not stop.is_set():
                        self._look(conn)
                        retry.progress()
                        self._wanted.wait(WAIT_SECONDS)
                        self._wanted.clear()
            except (KafkaError, Outage, psycopg.Error) as cause:
                if isinstance(cause, psycopg.Error) and not is_outage(cause):
                    raise
                stop.wait(retry.fail(cause))

    def _look(self, conn: Connection[Any]) -> None:
        """Notice a log that became shorter; check one that was never checked. Raises KafkaError or psycopg.Error."""
        which = incarnation(conn)
        now = _Seen(epoque_courante(conn), _head(conn))
        before, self._seen = self._seen, now
        reason = None
        if before is not None and now.epoch == before.epoch and now.head < before.head:
            reason = f"Le journal allait jusqu'à la position {before.head}, et s'arrête à {now.head}."
            constater_recul(conn, reason)
        if which != self._checked:
            reason = check(self._settings, conn)
            self._checked = which
        if reason is not None:
            self._log.error("journal_en_retard", raison=reason, remede=REMEDY)


def check(settings: Settings, conn: Connection[Any]) -> str | None:
    """Compare the log with Kafka, and record a rewind; its reason, or the one that was recorded and still holds.

    Raises KafkaError or psycopg.Error if one of them does not answer.
    """
    if (known := recul(conn)) is not None:
        return known
    reason = _read_further(settings, conn) or _published_further(settings, conn)
    if reason is not None:
        constater_recul(conn, reason)
    return reason


def _head(conn: Connection[Any]) -> int:
    (head,) = conn.execute(_HEAD).fetchone() or (0,)
    return int(head)


def _read_further(settings: Settings, conn: Connection[Any]) -> str | None:
    """Tell whether a consumer's group had read beyond where the log says that we are."""
    for topic, _ in settings.incoming.values():
        with closing(group_reader(settings, topic)) as reader:
            end = kafka.topic_end(reader, topic)
            # A topic that this log never met is a recreated one, or the log is new: nothing to compare.
            if end is None or conn.execute(_KNOWN, (topic, end.topic_id)).fetchone() is None:
                continue
            resumed = {partition for (partition,) in conn.execute(_RESUMED, (end.topic_id,))}
            looked = sorted(set(end.ends) - resumed)
            # Before the positions: a consumer at work records, then commits.
            read = {partition: reader.committed(TopicPartition(topic, partition)) or 0 for partition in looked}
            for partition, place in places(conn, topic, end.topic_id, looked).items():
                if place.position < read[partition]:
                    return (
                        f"Le topic {topic} avait été lu jusqu'à {read[partition]} (partition {partition}),"
                        f" et le journal n'en est qu'à {place.position}."
                    )
    return None


def _published_further(settings: Settings, conn: Connection[Any]) -> str | None:
    """Tell whether the topic of events holds what the log does not, of this epoch or of a later one."""
    records = _last_published(settings)  # Before the log: what is published is recorded already.
    current = epoque_courante(conn)
    base = source_publiee(settings.shard_digit, "")
    published: list[str] = []
    for record in records:
        headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
        if not (source := headers.get("ce_source", "")).startswith(base):
            continue
        epoch = source.removeprefix(base)
        if epoch > current and NOM.fullmatch(epoch):
            return f"Le topic {settings.topic_evenements} connaît l'époque {epoch}, que le journal ne connaît pas."
        if epoch == current and headers.get("ce_type") not in TYPES_DES_MARQUES:
            published.append(headers.get("ce_id", ""))
    missing = _missing(conn, published)
    if missing is None:
        return None
    return f"L'événement {missing} a été publié (topic {settings.topic_evenements}), et le journal ne le connaît pas."


def _missing(conn: Connection[Any], published: Iterable[str]) -> str | None:
    named = [named for identifier in published if (named := lire_identifiant(identifier)) is not None]
    found = conn.execute(_MISSING, ([stream for stream, _ in named], [version for _, version in named])).fetchone()
    return found and str(found[0])


def _last_published(settings: Settings) -> Sequence[Any]:
    """The last messages of each partition of the topic of events; none if the topic does not exist."""
    with closing(kafka.reader(settings)) as reader:
        end = kafka.topic_end(reader, settings.topic_evenements)
        if end is None:
            return []
        starts = {p: max(end.starts[p], last - LAST_READ) for p, last in end.ends.items() if last > end.starts[p]}
        return kafka.read_until(reader, settings.topic_evenements, starts, end.ends, READ_SECONDS)


def group_reader(settings: Settings, group: str) -> KafkaConsumer:
    """A consumer that never joins its group: it only asks how far the group had read."""
    bounds = {"bootstrap_timeout_ms": kafka.READ_MS, "request_timeout_ms": kafka.READ_MS}
    options: dict[str, Any] = {"group_id": group, "enable_auto_commit": False}
    return clients.open_client(KafkaConsumer, **settings.kafka_connection(), **options, **bounds)
