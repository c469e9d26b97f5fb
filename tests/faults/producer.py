"""A caisse's own producer, as the driver plays it: what it sends it sends until it is taken, and knows what it sent."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable

from kafka import KafkaProducer
from kafka.errors import InvalidTimestampError, KafkaError

PATIENCE_S = 900.0
"""How long an actor insists, beyond the end of its history, that a message be taken (seconds): the bound of 'stuck'."""


class Producer:
    """Puts messages on topics; each is sent again until Kafka has acknowledged it, as a caisse's own would."""

    def __init__(self, bootstrap: str) -> None:
        """Opens nothing yet."""
        self.bootstrap = bootstrap
        self._producer: KafkaProducer | None = None
        self._lock = threading.Lock()
        self._sent: dict[str, list[tuple[bytes, bytes, int | None]]] = defaultdict(list)

    def send(self, topic: str, key: bytes, value: bytes, *, until: float, timestamp_ms: int | None = None) -> bool:
        """Sends one message; False if time ran out before it was acknowledged."""
        with self._lock:
            taken = self._send(topic, key, value, until, timestamp_ms)
            if taken:
                self._sent[topic].append((key, value, timestamp_ms))
        return taken

    def recreating(self, topic: str, recreate: Callable[[], None]) -> int:
        """Has a topic recreated while nobody sends, then sends again, in order, all that was on it; how many."""
        with self._lock:
            recreate()
            self.close()  # It believes in the former topic.
            until = time.monotonic() + PATIENCE_S
            for key, value, timestamp_ms in self._sent[topic]:
                if not self._send(topic, key, value, until, timestamp_ms):
                    raise TimeoutError(f"{topic}, created again, takes nothing")
            return len(self._sent[topic])

    def _send(self, topic: str, key: bytes, value: bytes, until: float, timestamp_ms: int | None) -> bool:
        while time.monotonic() < until:
            try:
                if self._producer is None:
                    self._producer = KafkaProducer(
                        bootstrap_servers=self.bootstrap,
                        acks="all",
                        enable_idempotence=False,  # Refused once, kafka-python's refuses all for ever.
                        request_timeout_ms=4000,
                        delivery_timeout_ms=6000,
                        max_block_ms=4000,
                        bootstrap_timeout_ms=4000,
                    )
                self._producer.send(topic, value=value, key=key, timestamp_ms=timestamp_ms).get(timeout=8)
            except InvalidTimestampError:
                timestamp_ms = None  # This broker refuses the times that another would take.
                self.close()
            except KafkaError:
                self.close()
                time.sleep(0.3)
            else:
                return True
        return False

    def close(self) -> None:
        """Drops the producer."""
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                producer.close(timeout=0)
            except KafkaError:
                return
