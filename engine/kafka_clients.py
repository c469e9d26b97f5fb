"""kafka-python's clients, opened and dropped without a leak; and whether they still have news of the broker.

kafka-python says nothing when the broker goes away: it tries again in the background, and its caller knows nothing of
it. So this module reads what it keeps for itself.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient
from kafka.producer.transaction_manager import TransactionState

import engine.kafka_records
import engine.kafka_sockets  # noqa: F401 (and leaves no socket of a refused connection)
from engine import kafka_waits
from engine.kafka_security import refused_certificate
from engine.outages import Outage

OPENING_MS: Final = 5_000
"""How long to wait for a broker when opening (ms): a stop asked for during an outage waits no longer."""

PRODUCER_CLOSE_S: Final = 5.0
"""How long to wait for a producer to close (seconds); all that matters is acknowledged."""

RECONNECT_MAX_MS: Final = 2_000
"""The longest wait between two connections (ms): a broker's return is seen within it."""

REQUEST_MS: Final = 10_000
"""How long to wait for an answer (ms)."""

PRODUCTEUR: Final[Mapping[str, int]] = {
    "bootstrap_timeout_ms": OPENING_MS,
    "reconnect_backoff_max_ms": RECONNECT_MAX_MS,
    "request_timeout_ms": 5_000,
    "delivery_timeout_ms": REQUEST_MS,
    "max_block_ms": OPENING_MS,
}
"""A producer's bounds (ms): a message is acknowledged within ten seconds, or will not be."""

SILENCES_ALLOWED: Final = 3
"""News of the broker missed in a row, one for each maximal age of the metadata, before it is said to be away."""


class KafkaUnreachable(Outage):
    """No Kafka broker answers."""


class TopicUnknown(Outage):
    """The topic does not exist, or the broker does not tell its id (Kafka 2.8 at least)."""


class GroupStuck(Outage):
    """The group gives no place to anybody: its broker waits for a member that is gone."""


def open_client(classe: Callable[..., Any], **options: Any) -> Any:
    """Open a client of kafka-python (consumer, producer, admin). Raises KafkaError.

    When no broker answers, its constructor raises and leaves a thread and four descriptors behind: at one attempt every
    ten seconds, an hour of outage would exhaust the process. So what it opened is closed.

    None of its waits is without a bound (`engine.kafka_waits`). No client creates a topic by asking whether it exists:
    kafka-python does not pass that setting on (seen in 3.0.12).
    """
    ouverts: list[KafkaNetClient] = []

    def ouvrir_le_reseau(**reglages: Any) -> KafkaNetClient:
        reseau = KafkaNetClient(**reglages)
        reseau.cluster.config["allow_auto_create_topics"] = False
        kafka_waits.bound(reseau._net, reseau._manager.config["request_timeout_ms"])  # noqa: SLF001 (see the head)
        ouverts.append(reseau)
        return reseau

    try:
        return classe(**options, kafka_client=ouvrir_le_reseau)
    except KafkaError as erreur:
        for reseau in ouverts:
            with suppress(KafkaError):
                reseau.close()
        if (refus := refused_certificate(options)) is not None:
            raise refus from erreur
        raise


def require_news(cluster: Any) -> None:
    """Raise KafkaUnreachable if no broker has given news for too long.

    `cluster`: a client's metadata (`_cluster` of a consumer, `_metadata` of a producer).
    """
    silence_s = time.monotonic() - cluster._last_successful_refresh_ms / 1000  # noqa: SLF001
    if silence_s > SILENCES_ALLOWED * cluster.config["metadata_max_age_ms"] / 1000:
        raise KafkaUnreachable(f"aucun courtier ne répond depuis {silence_s:.0f} s")


def is_lost(producteur: KafkaProducer) -> bool:
    """Whether an idempotent producer will never produce anything again: kafka-python does not recover (seen in 3.0.12).

    After a refused message it refuses all others; after one that left and expired without acknowledgement (the broker
    was killed) it gives its producer number back and asks for no other: all expire in silence.
    """
    suivi = producteur._transaction_manager  # noqa: SLF001 (see the head)
    if suivi is None:
        return False
    en_attente = suivi._current_state in {TransactionState.UNINITIALIZED, TransactionState.INITIALIZING}  # noqa: SLF001
    return bool(suivi.has_fatal_error() or not (suivi.has_producer_id() or en_attente))


def drop_producer(producteur: KafkaProducer, *, attente_s: float = 0.0) -> None:
    """Close a producer without waiting for what it has not sent; `close` would raise, and leave its thread alive.

    `attente_s`: wait for the end of that thread, after which nothing of it can leave any more.
    """
    producteur._sender.force_close()  # noqa: SLF001 (see the head)
    if attente_s:
        producteur._sender.join(attente_s)  # noqa: SLF001
    with suppress(KafkaError):
        producteur.close(timeout=0)
