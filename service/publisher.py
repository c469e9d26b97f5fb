"""What the API and `relance` put on Kafka: one message at a time, acknowledged within a bound, or told at once."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError

from api.socle.kafka import GenreDeMessage, KafkaIndisponible
from engine import dead_letters as rebuts
from engine import kafka_clients as clients
from engine.outages import describe
from service.kafka import ensure_dead_letters, producer
from service.settings import Settings
from service.tracing import Tracing, sending

SUFFIXES: Final[dict[GenreDeMessage, str]] = {"notifications": "", "rebuts": rebuts.SUFFIXE}
"""What the name of the topic of each kind adds to that of the notifications."""

ACK_SECONDS: Final = 8.0
"""How long the bank's POST waits for Kafka before it is answered 503."""

LOOK_SECONDS: Final = 0.5
"""How often, meanwhile, the topic of dead letters is looked for: a producer waits for one that is gone, in silence."""

ASKED_SECONDS: Final = 2.0
"""How long the brokers are waited for when asked whether it is there; without an answer, what was known holds."""

REOPEN_SECONDS: Final = 1.0
"""After a failed opening, how long callers are refused without a new attempt."""


class Publisher:
    """What the API and `relance` put on Kafka; opened at the first message, and again after a fault of its own.

    While no broker answers, callers are told at once: their requests never pile up behind one another.
    """

    def __init__(self, settings: Settings, tracing: Tracing | None = None) -> None:
        self.settings = settings
        self.tracing = tracing
        self._trace = partial(sending, tracing)
        self._opening = threading.Lock()
        self._creating = threading.Lock()
        self._producer: KafkaProducer | None = None
        self._reopen_at = 0.0

    def send(self, topic: str, key: bytes | None, value: bytes, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        """Send and wait for the acknowledgement; raise KafkaIndisponible if none comes."""
        opened = self._ready()
        with self._trace(topic) as more, self._told(opened):
            opened.send(topic, value=value, key=key, headers=[*headers, *more]).get(timeout=ACK_SECONDS)

    async def publish(
        self,
        kind: GenreDeMessage,
        key: bytes | None,
        value: bytes,
        headers: Sequence[tuple[str, bytes]],
    ) -> None:
        """Send from the API: only the start holds a thread, and briefly; the wait for Kafka holds none."""
        topic = self.settings.topic_notifications + SUFFIXES[kind]
        with self._trace(topic) as more:
            await self._publish(topic, key, value, [*headers, *more])

    async def _publish(self, topic: str, key: bytes | None, value: bytes, headers: Sequence[tuple[str, bytes]]) -> None:
        def start() -> tuple[KafkaProducer, Any]:
            opened = self._ready_for(topic)
            with self._told(opened):
                return opened, opened.send(topic, value=value, key=key, headers=list(headers))

        try:
            async with asyncio.timeout(ACK_SECONDS):
                opened, sent = await asyncio.to_thread(start)
                while not await _settled(opened, sent, topic):
                    opened, sent = await asyncio.to_thread(start)
        except TimeoutError as cause:
            raise KafkaIndisponible(f"aucun accusé en {ACK_SECONDS:.0f} s") from cause
        with self._told(opened):
            sent.get(timeout=0)

    def _ready_for(self, topic: str) -> KafkaProducer:
        """The producer, with this topic there: one of dead letters that somebody deleted is created again.

        Raises KafkaIndisponible.
        """
        opened = self._ready()
        if not topic.endswith(rebuts.SUFFIXE) or not _lacks(opened, topic, ask=True):
            return opened
        with self._creating, self._told(opened):
            try:
                created = _lacks(opened, topic) and ensure_dead_letters(self.settings, topic)
            except rebuts.TopicRefused as cause:
                raise KafkaIndisponible(f"{topic} manque, et Kafka ne nous laisse pas le créer") from cause
        if not created:
            return opened
        self._drop(opened)  # It still believes in the former topic.
        return self._ready()

    def _ready(self) -> KafkaProducer:
        """The producer, opened if need be; raise KafkaIndisponible at once while no broker answers."""
        opened = self._open()
        try:
            clients.require_news(opened._metadata)  # noqa: SLF001  kafka-python offers it nowhere else
        except clients.KafkaUnreachable as cause:
            raise KafkaIndisponible(str(cause)) from cause
        return opened

    @contextmanager
    def _told(self, opened: KafkaProducer) -> Iterator[None]:
        """A fault of Kafka becomes KafkaIndisponible; one that would last costs this producer its place.

        One message refused as too large is such a fault: an idempotent producer sends nothing more after it.
        """
        try:
            yield
        except KafkaError as cause:
            if not isinstance(cause, KafkaTimeoutError):
                self._drop(opened)
            raise KafkaIndisponible(describe(cause)) from cause

    def _open(self) -> KafkaProducer:
        with self._opening:
            if self._producer is not None and clients.is_lost(self._producer):
                clients.drop_producer(self._producer)
                self._producer = None
            if self._producer is None:
                if time.monotonic() < self._reopen_at:
                    raise KafkaIndisponible("aucun courtier ne répondait il y a un instant")
                try:
                    self._producer = producer(self.settings)
                except KafkaError as cause:
                    self._reopen_at = time.monotonic() + REOPEN_SECONDS
                    raise KafkaIndisponible(describe(cause)) from cause
            return self._producer

    def _drop(self, opened: KafkaProducer) -> None:
        """Forget a producer that was refused once: kafka-python then has it refuse everything, for good."""
        with self._opening:
            current = self._producer is opened
            if current:
                self._producer = None
        if current:
            clients.drop_producer(opened)

    def forward(self, transaction: str, form: Mapping[str, str]) -> None:
        """Put a sealed form on the notifications' topic, as if the bank had sent it."""
        message = dict(form) | {"recue_le": datetime.now(UTC).isoformat()}
        self.send(self.settings.topic_notifications, transaction.encode(), json.dumps(message).encode())

    def close(self) -> None:
        """Flush and close."""
        if self._producer is not None:
            with suppress(KafkaError):
                self._producer.close(timeout=clients.PRODUCER_CLOSE_S)


def _lacks(opened: KafkaProducer, topic: str, *, ask: bool = False) -> bool:
    """Whether the producer does not know this topic, not yet or no more.

    `ask`: the brokers first. One of them (the embedded) acknowledges what it is sent for a topic that is gone.
    """
    known = opened._metadata  # noqa: SLF001  kafka-python offers it nowhere else
    if ask:
        answered = threading.Event()
        known.add_topic(topic)
        known.request_update().add_both(lambda _: answered.set())
        answered.wait(ASKED_SECONDS)
    return known.partitions_for_topic(topic) is None


async def _settled(opened: KafkaProducer, sent: Any, topic: str) -> bool:
    """Wait until Kafka has answered, in a loop's time; False if the topic has been seen to be gone meanwhile."""
    loop = asyncio.get_running_loop()
    settled = asyncio.Event()

    def wake(_: object) -> None:
        with suppress(RuntimeError):  # The loop may be gone: nobody waits any more.
            loop.call_soon_threadsafe(settled.set)

    sent.add_both(wake)
    while not sent.is_done:
        with suppress(TimeoutError):
            await asyncio.wait_for(settled.wait(), LOOK_SECONDS)
        if not sent.is_done and topic.endswith(rebuts.SUFFIXE) and _lacks(opened, topic):
            return False
    return True
