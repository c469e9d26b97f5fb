"""A simulated Kafka: topics, partitions, groups without a barrier, and a consumer with kafka-python's own names.

A group gives a partition to its new owner at once, while the old one still believes it has it: more than Kafka allows,
so that everything rests on what the product itself checks.
"""

import zlib
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, NamedTuple
from uuid import UUID

from kafka import TopicPartition
from kafka.errors import KafkaConnectionError
from kafka.future import Future

from tests.simulation.scheduler import Actor, Scheduler

SESSION_S = 10.0
"""Silence after which a member is put out of its group (simulated seconds)."""
PARTITIONS = 2
POLL_S = 60.0
"""How long a poll waits for a message: longer than in production, for nothing else happens meanwhile."""
TOLD_LATELY_MS = float("inf")


class Record(NamedTuple):
    """A message as kafka-python gives it."""

    offset: int
    key: bytes | None
    value: bytes
    timestamp: int
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Topic:
    """Messages, by partition."""

    def __init__(self, topic_id: UUID) -> None:
        """Empty."""
        self.topic_id = topic_id
        self.partitions: list[list[Record]] = [[] for _ in range(PARTITIONS)]


class Broker:
    """All topics and groups."""

    def __init__(self, scheduler: Scheduler, topics: Iterable[str]) -> None:
        """`topics`: those that exist."""
        self.scheduler = scheduler
        self.topics = {name: Topic(UUID(int=scheduler.rng.getrandbits(128))) for name in topics}
        self.members: dict[str, list[Consumer]] = {}
        self.generations: dict[str, int] = {}
        self.batch_max = scheduler.rng.choice([1, 3, 8, 20])
        self.strike: Callable[[], None] = lambda: None
        """Called before a poll: a fault may strike there."""
        self.twice: Callable[[], bool] = lambda: False
        """Whether a poll gives one of its messages twice."""

    def put(self, topic: str, key: bytes | None, value: bytes, timestamp_ms: int | None = None) -> None:
        """Append a message: messages of one key keep their order."""
        partition = self.topics[topic].partitions[zlib.crc32(key or b"") % PARTITIONS]
        stamp = round(self.scheduler.now.timestamp() * 1000) if timestamp_ms is None else timestamp_ms
        partition.append(Record(len(partition), key, value, stamp))
        for member in self.members.get(topic, ()):
            member.wake()

    def ends(self, topic: str) -> dict[int, int]:
        """How many messages each partition holds."""
        return {number: len(messages) for number, messages in enumerate(self.topics[topic].partitions)}

    def open(self, _kafka: Any, *, groupe: str, client: str, lot_max: int) -> "Consumer":
        """What the product's `kafka_reader.ouvrir` opens."""
        return Consumer(self, groupe, client, min(lot_max, self.batch_max), self.scheduler.current)

    # --- Groups ------------------------------------------------------------------------------------------------------

    def join(self, member: "Consumer") -> None:
        """A new member: everybody's partitions change."""
        self.members.setdefault(member.group, []).append(member)
        self._change(member.group)

    def leave(self, member: "Consumer") -> None:
        """A member goes, or is put out."""
        if member in self.members.get(member.group, []):
            self.members[member.group].remove(member)
            self._change(member.group)

    def expire(self, group: str) -> None:
        """Those that have been silent for too long are put out."""
        for member in list(self.members.get(group, [])):
            silent = not member.waiting or (
                member.actor is not None and member.actor.frozen_until > self.scheduler.now_s
            )
            if silent and self.scheduler.now_s - member.seen_s > SESSION_S:
                self.leave(member)

    def share(self, member: "Consumer") -> list[int]:
        """The partitions that are this member's."""
        members = self.members[member.group]
        place = members.index(member)
        return [number for number in range(PARTITIONS) if number % len(members) == place]

    def _change(self, group: str) -> None:
        self.generations[group] = self.generations.get(group, 0) + 1
        for member in self.members[group]:
            member.wake()


class Consumer:
    """A consumer of a group, with the names that the product uses of kafka-python's."""

    def __init__(self, broker: Broker, group: str, client: str, batch_max: int, actor: Actor | None) -> None:
        """Opens; joins its group at its first poll."""
        self.broker, self.group, self.client, self.batch_max, self.actor = broker, group, client, batch_max, actor
        self.topic = ""
        self.listener: Any = None
        self.generation = -1
        self.seen_s = 0.0
        self.waiting = False
        self.owned: list[int] = []
        self.at: dict[int, int] = {}
        self.paused: set[int] = set()
        self._cluster = SimpleNamespace(
            topic_id=lambda topic: broker.topics[topic].topic_id if topic in broker.topics else None,
            _last_successful_refresh_ms=TOLD_LATELY_MS,
            config={"metadata_max_age_ms": 10_000},
        )
        self._net = SimpleNamespace(call_soon_with_future=lambda _: Future().success(None))  # Answered at once.
        self._coordinator = SimpleNamespace(coordinator_id=0)

    # --- kafka-python's names ----------------------------------------------------------------------------------------

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        """Its partitions."""
        return set(range(PARTITIONS)) if topic in self.broker.topics else None

    def subscribe(self, topics: list[str], listener: Any) -> None:
        """One topic, whose partitions are shared with the group."""
        [self.topic] = topics
        self.listener = listener

    def assignment(self) -> list[TopicPartition]:
        """What it believes to own."""
        return [TopicPartition(self.topic, number) for number in self.owned]

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Record]]:  # noqa: ARG002 (nothing else happens meanwhile)
        """The next messages, by partition; nothing if none comes. Raises KafkaError."""
        broker = self.broker
        broker.scheduler.pause()
        broker.strike()
        self._take_part()
        self.waiting = True
        try:
            until_s = broker.scheduler.now_s + POLL_S
            while not self._has_something() and broker.scheduler.now_s < until_s:
                broker.scheduler.sleep(until_s - broker.scheduler.now_s)
        finally:
            self.waiting = False
            self.seen_s = broker.scheduler.now_s
        if self.generation != broker.generations[self.group]:
            self._take_part()
            return {}
        return self._fetch()

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from there."""
        self.at[partition.partition] = offset

    def pause(self, *partitions: TopicPartition) -> None:
        """Read these no more."""
        self.paused |= {tp.partition for tp in partitions}

    def resume(self, *partitions: TopicPartition) -> None:
        """Read these again."""
        self.paused -= {tp.partition for tp in partitions}

    def commit_async(self, positions: Any) -> None:
        """Shown to whoever looks at the group; nothing rests on it."""

    def close(self, *, autocommit: bool, timeout_ms: int) -> None:  # noqa: ARG002
        """Says farewell to the group, unless the process is gone."""
        if self.actor is None or not self.actor.killed:
            self.broker.leave(self)

    def wake(self) -> None:
        """Something may be there for it: the group of a topic bears its name."""
        if self.waiting:
            self.broker.scheduler.wake(self.actor)

    # --- What the broker does ----------------------------------------------------------------------------------------

    def _take_part(self) -> None:
        broker = self.broker
        self.seen_s = broker.scheduler.now_s
        broker.expire(self.group)
        if self not in broker.members.get(self.group, []):
            broker.join(self)
        while self.generation != (generation := broker.generations[self.group]):
            if self.owned:
                self.listener.on_partitions_revoked(self.assignment())
            self.owned, self.at = broker.share(self), {}
            if self.owned:
                broker.scheduler.tell(f"owns {self.topic} {self.owned}")
                self.listener.on_partitions_assigned(self.assignment())
            self.generation = generation
            if self not in broker.members[self.group]:
                broker.join(self)  # Put out while it took its place.

    def _has_something(self) -> bool:
        if self.generation != self.broker.generations[self.group]:
            return True
        partitions = self.broker.topics[self.topic].partitions
        return any(self._next(number) < len(partitions[number]) for number in self.owned if number not in self.paused)

    def _next(self, number: int) -> int:
        return self.at.get(number, 0)

    def _fetch(self) -> dict[TopicPartition, list[Record]]:
        fetched: dict[TopicPartition, list[Record]] = {}
        room = self.batch_max
        partitions = self.broker.topics[self.topic].partitions
        for number in self.owned:
            begin = self._next(number)
            records = partitions[number][begin : begin + room]
            if not records or number in self.paused:
                continue
            room -= len(records)
            self.at[number] = begin + len(records)
            if self.broker.twice():
                self.broker.scheduler.tell("a message is given twice")
                records = [records[0], *records]
            fetched[TopicPartition(self.topic, number)] = records
        return fetched


class Unreachable(KafkaConnectionError):  # type: ignore[misc]  # kafka-python is not typed
    """The broker does not answer."""
