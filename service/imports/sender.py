"""Sends messages at full speed and keeps account of each: what Kafka has not acknowledged is bounded, and nameable."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol

from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import AuthorizationError, KafkaError, KafkaTimeoutError

from engine import kafka_clients as clients
from service.imports.messages import Checked, Refused, refused
from service.settings import Settings

IN_FLIGHT_MAX: Final = 10_000
IN_FLIGHT_BYTES_MAX: Final = 16 * 1024 * 1024
"""What may wait for its acknowledgement: this many messages, and this many bytes (kafka-python bounds neither)."""

SILENCE_SECONDS: Final = 5.0
"""Without an acknowledgement for so long, it is told; and again each time as much has passed."""

TICK_SECONDS: Final = 0.25
"""How often one who waits looks up."""

OPEN_SECONDS: Final = 15.0
"""How long the brokers may take to answer at the start."""

CLOSE_SECONDS: Final = 5.0
"""How long the producer's thread may take to end, once nothing is left to send."""

NEVER_MS: Final = 30 * 24 * 3600 * 1000
"""Kafka may be away for as long as it likes: whoever started the command decides when to give up (milliseconds)."""


class TopicMissing(Exception):
    """The topic does not exist."""


class Acknowledgement(Protocol):
    """What the producer hands out for each message."""

    is_done: bool
    exception: BaseException | None

    def get(self, timeout: float | None = None) -> Any:
        """Wait; raises KafkaTimeoutError when the time is over, or the failure itself."""


def open_producer(settings: Settings) -> KafkaProducer:
    """A producer for bulk: every replica acknowledges, a retry never writes twice, batches fill up.

    Raises:
        KafkaError: no broker answers.
        TopicMissing: the brokers do not know the topic of avis.
    """
    known = settings.kafka_connection() | {"bootstrap_timeout_ms": round(OPEN_SECONDS * 1000)}
    with clients.open_client(KafkaAdminClient, **known) as admin:
        if settings.topic_avis not in admin.list_topics():
            raise TopicMissing(settings.topic_avis)
    opened: KafkaProducer = clients.open_client(
        KafkaProducer,
        **known,
        acks="all",
        enable_idempotence=True,
        linger_ms=20,
        batch_size=256 * 1024,
        max_block_ms=round(OPEN_SECONDS * 1000),
        request_timeout_ms=10_000,
        delivery_timeout_ms=NEVER_MS,
        reconnect_backoff_max_ms=2_000,
    )
    return opened


class Sender:
    """Puts messages on a topic in the order of their lines."""

    def __init__(
        self,
        producer: KafkaProducer,
        topic: str,
        *,
        refuse: Callable[[Refused], None],
        tell: Callable[[float, int], None],
        give_up: Callable[[], bool],
    ) -> None:
        """`refuse` takes a message that Kafka did not; `give_up` ends any waiting.

        `tell` is called with the seconds without an acknowledgement, and how many messages wait for theirs.
        """
        self.acknowledged = 0
        self._producer = producer
        self._topic = topic
        self._refuse = refuse
        self._tell = tell
        self._give_up = give_up
        self._in_flight: deque[tuple[int, int, Acknowledgement]] = deque()
        self._bytes = 0
        self._progress_at = self._told_at = time.monotonic()

    @property
    def first_unacknowledged(self) -> int | None:
        """The line of the first message that Kafka has not acknowledged; None if there is none."""
        return self._in_flight[0][0] if self._in_flight else None

    @property
    def unacknowledged(self) -> int:
        """How many messages Kafka has not acknowledged."""
        return len(self._in_flight)

    def send(self, message: Checked) -> bool:
        """Send, waiting for room first; False if the waiting was given up, and nothing was sent.

        Raises:
            AuthorizationError: Kafka takes nothing from us.
        """
        self._settle()
        while len(self._in_flight) >= IN_FLIGHT_MAX or self._bytes >= IN_FLIGHT_BYTES_MAX:
            if self._give_up():
                return False
            self._wait()
        if not self._in_flight:
            self._progress_at = self._told_at = time.monotonic()
        while not self._give_up():
            try:
                acknowledgement = self._producer.send(self._topic, key=message.key, value=message.value)
            except KafkaTimeoutError:  # The topic is not known just now: as any absence, it is waited out.
                self._tell_silence()
                continue
            self._in_flight.append((message.line, len(message.value), acknowledgement))
            self._bytes += len(message.value)
            return True
        return False

    def drain(self, seconds: float | None = None) -> None:
        """Wait until all is settled, for so many seconds at most (None: until `give_up`).

        Raises:
            AuthorizationError: Kafka takes nothing from us.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        self._settle()
        while self._in_flight and not (self._give_up() if deadline is None else time.monotonic() > deadline):
            self._wait()

    def close(self) -> None:
        """End the producer, whatever it still holds."""
        if self._in_flight:
            # kafka-python's own `close` waits for what it holds, or fails and leaves its thread running.
            self._producer._sender.force_close()  # noqa: SLF001
        with suppress(KafkaError):
            self._producer.close(timeout=CLOSE_SECONDS)

    def _settle(self) -> None:
        """Take off, from the oldest on, what Kafka has answered."""
        in_flight = self._in_flight
        if not (in_flight and in_flight[0][2].is_done):
            return
        self._progress_at = self._told_at = time.monotonic()
        while in_flight and in_flight[0][2].is_done:
            line, length, acknowledgement = in_flight.popleft()
            self._bytes -= length
            match acknowledgement.exception:
                case None:
                    self.acknowledged += 1
                case AuthorizationError() as cause:
                    raise cause
                case cause:
                    self._refuse(refused(line, f"Kafka ne l'a pas pris : {cause}"))

    def _wait(self) -> None:
        with suppress(KafkaError):  # A failure is seen again when its message is taken off.
            self._in_flight[0][2].get(timeout=TICK_SECONDS)
        self._tell_silence()
        self._settle()

    def _tell_silence(self) -> None:
        now = time.monotonic()
        if now - self._told_at >= SILENCE_SECONDS and not (self._in_flight and self._in_flight[0][2].is_done):
            self._told_at = now
            self._tell(now - self._progress_at, len(self._in_flight))
