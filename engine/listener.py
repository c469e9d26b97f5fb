"""What a consumer does when the group shares the partitions out, and how long it has waited for its share."""

import time
from collections.abc import Sequence

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener

from engine.kafka_clients import GroupStuck
from engine.placement import Placement


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python is not typed
    """Takes place on the partitions that come; lets go of everything of those that leave."""

    def __init__(self, placement: Placement, consommateur: KafkaConsumer) -> None:
        """Nothing is shared out yet."""
        self.placement = placement
        self.consommateur = consommateur
        self.waiting_since: float | None = time.monotonic()
        """Since when we wait to be told our share, by the monotonic clock; None: we were told, be it an empty one."""

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:  # noqa: ARG002
        """These are no longer ours."""
        if self.waiting_since is None:
            self.waiting_since = time.monotonic()
        self.placement.oublier()

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """These are ours."""
        self.placement.placer(self.consommateur, [tp.partition for tp in assigned])
        self.waiting_since = None

    def require_answer(self, group: str, within_s: float) -> None:
        """Raise GroupStuck if the group has left us without an answer for longer (seconds)."""
        waited_s = 0.0 if self.waiting_since is None else time.monotonic() - self.waiting_since
        if waited_s > within_s:
            raise GroupStuck(f"le groupe {group} n'attribue rien depuis {waited_s:.0f} s : il est rejoint de nouveau")
