"""The library's idiom, as its documentation teaches it: one aggregate got, triggered and saved at a time.

`python -m bench.library consume` takes the notifications one by one: seal checked by the service's own kiosk, payment
and créance got from the repository, decided by the service's own domain, both saved in one transaction with the Kafka
position as the library's tracking, so that a message counts once. `python -m bench.library project` follows with a
`ProjectionRunner`: one transaction an event, the balance moved together with its tracking.

To be fair to it: the same domain, the same mapper (cheaper than the library's transcoders), the same stored bytes, its
recorder as it comes. It does less than the service: no fate of each message, no dead letter, no cause, no time of
recording.
"""

import sys
from typing import Any, Final

import psycopg
from eventsourcing.application import ProcessingEvent
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.persistence import Mapper, Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import EventSourcedProjection, Projection, ProjectionRunner
from kafka import KafkaConsumer, TopicPartition
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL
from pydantic_core import from_json

from bench.data import DEBT, SHARE, Scale, assure, events, reference, settle
from bench.servers import Database
from domain.agregats import AGREGATS
from domain.creance import Créance
from domain.notification import appliquer_reponse
from domain.paiement import Paiement
from domain.politique import Politique
from domain.references import ReferenceCreance
from domain.reponse import ReponseBancaire
from engine.mapper import EventMapper
from guichet.prendre_notification import _instant
from kiosque.sips.paypage import Sips
from projections import RestantDu
from service.bank import kiosk as bank_kiosk
from service.settings import Settings

POLL_MS: Final = 200
POLITIQUE: Final = Politique()


class Notified:
    """What the policy is given: a sealed answer of the bank, and when it came."""

    def __init__(self, kiosk: Sips, value: bytes) -> None:
        """Read the message; raise FormulaireIrrecevable if its seal is wrong."""
        form = from_json(value)
        received = _instant(form.pop("recue_le"))
        if received is None:
            raise ValueError("recue_le")
        self.received = received
        self.answer: ReponseBancaire = kiosk.reponse(form)


class Banque(EventSourcedProjection[str]):
    """Payments and créances, moved by the bank's notifications."""

    name = "banque"

    def construct_mapper(self) -> Mapper[str]:
        """The service's mapper: pydantic, no transcoder."""
        return EventMapper(AGREGATS)

    def policy(self, domain_event: Any, processing_event: ProcessingEvent[str]) -> None:
        """Get, trigger, collect: the two aggregates of one payment."""
        notified: Notified = domain_event
        payment: Paiement = self.repository.get(Paiement.flux(notified.answer.transaction))
        debts: dict[ReferenceCreance, Créance] = {
            part.reference: self.repository.get(Créance.flux(part.reference)) for part in payment.imputations
        }
        now = notified.received
        appliquer_reponse(payment, debts, notified.answer, recue_le=now, maintenant=now)
        processing_event.collect_events(payment, *debts.values())


class Soldes(PostgresTrackingRecorder):
    """The balances on PostgreSQL, moved in the transaction of their tracking."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Add the table of balances to what the library creates."""
        super().__init__(*args, **kwargs)
        self.sql_create_statements.append(
            SQL(
                'CREATE TABLE IF NOT EXISTS soldes (reference text COLLATE "C" PRIMARY KEY, assure text NOT NULL,'
                " solde bigint NOT NULL, en_cours bigint NOT NULL, version bigint NOT NULL) WITH (fillfactor = 80)"
            ).format()
        )

    def open(self, event: Créance.AvisEmis, tracking: Tracking) -> None:
        """Add a row."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                "INSERT INTO soldes VALUES (%s, %s, %s, 0, %s)",
                (event.reference, event.assure, event.montant_initial, event.originator_version),
                prepare=True,
            )

    def move(self, event: Créance.Event, tracking: Tracking, *, paid: int, reserved: int) -> None:
        """Move a row."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                "UPDATE soldes SET solde = solde - %s, en_cours = en_cours + %s, version = %s WHERE reference = %s",
                (paid, reserved, event.originator_version, event.originator_id.removeprefix("creance-")),
                prepare=True,
            )


class Suivi(Projection[Soldes]):
    """How each event moves a balance."""

    name = "suivi"
    topics = tuple(sorted(RestantDu.topics))

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:  # noqa: ARG002  the library's signature
        """Refuse what the bench never writes."""
        raise TypeError(type(domain_event).__name__)

    @process_event.register
    def _(self, domain_event: Créance.AvisEmis, tracking: Tracking) -> None:
        self.view.open(domain_event, tracking)

    @process_event.register
    def _(self, domain_event: Créance.PaiementInitié, tracking: Tracking) -> None:
        self.view.move(domain_event, tracking, paid=0, reserved=domain_event.part)

    @process_event.register
    def _(self, domain_event: Créance.PaiementAccepté, tracking: Tracking) -> None:
        self.view.move(domain_event, tracking, paid=domain_event.part, reserved=-domain_event.part_liberee)


def environment(owner_url: str) -> dict[str, str]:
    """The library's variables for a database."""
    parts = conninfo_to_dict(owner_url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "ORIGINATOR_ID_TYPE": "text",
        "POSTGRES_DBNAME": str(parts["dbname"]),
        "POSTGRES_HOST": str(parts.get("host") or ""),
        "POSTGRES_PORT": str(parts.get("port") or "5432"),
        "POSTGRES_USER": str(parts["user"]),
        "POSTGRES_PASSWORD": str(parts.get("password") or ""),
    }


def load(database: Database, scale: Scale) -> None:
    """Give the library's tables the same journal, and its balances as its own projection would leave them."""
    with Banque(env=environment(database.owner_url)):
        pass  # Its tables are created on the way.
    with runner(database.owner_url):
        pass  # So are the projection's.
    with psycopg.connect(database.owner_url) as conn:
        with (
            conn.cursor() as cursor,
            cursor.copy(
                "COPY banque_events (originator_id, originator_version, topic, state) FROM STDIN (FORMAT BINARY)"
            ) as copy,
        ):
            copy.set_types(["text", "int8", "text", "bytea"])
            for row in events(scale):
                copy.write_row(row)
        step = scale.creances // scale.payments
        with conn.cursor() as cursor, cursor.copy("COPY soldes FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["text", "text", "int8", "int8", "int8"])
            for number in range(scale.creances):
                reserved = number % step == 0 and number // step < scale.payments
                share = SHARE if reserved else 0
                copy.write_row((reference(number), assure(number), DEBT, share, 2 if reserved else 1))
        conn.execute(
            "INSERT INTO suivi_tracking VALUES (%s, %s) ON CONFLICT (application_name)"
            " DO UPDATE SET notification_id = excluded.notification_id",
            (Banque.name, scale.events),
        )
    settle(database)


def runner(owner_url: str) -> ProjectionRunner[Banque, Soldes]:
    """The library's runner over its application's log."""
    return ProjectionRunner(
        application_class=Banque, projection_class=Suivi, view_class=Soldes, env=environment(owner_url)
    )


def consume(settings: Settings) -> None:
    """Take the notifications one at a time, for ever."""
    consumer = KafkaConsumer(
        **settings.kafka_connection(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_bytes=64 * 1024 * 1024,
    )
    topic = settings.topic_notifications
    consumer.assign([TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))])
    kiosk = bank_kiosk(settings)
    with Banque(env=environment(str(settings.owner_database_url))) as bank:
        while True:
            for records in consumer.poll(timeout_ms=POLL_MS).values():
                for record in records:
                    tracking = Tracking(f"{topic}/{record.partition}", record.offset + 1)
                    bank.process_event(Notified(kiosk, record.value), tracking)  # type: ignore[arg-type]


if __name__ == "__main__":
    if sys.argv[1] == "consume":
        consume(Settings(_env_file=None))
    else:
        with runner(str(Settings(_env_file=None).owner_database_url)) as running:
            running.run_forever()
