"""Whether the topics that exist are as promised: one made earlier, or by hand, keeps what it was made with."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import structlog
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaConnectionError

from engine import kafka_clients as clients
from service.kafka import topics
from service.settings import Settings
from service.topic_configs import topic_configs

MISSING: Final = "topic"
"""What differs of a topic that does not exist."""

PARTITIONS: Final = "partitions"


class Broken(NamedTuple):
    """A promise that a topic does not keep."""

    topic: str
    name: str
    """Kafka's name of the setting; `partitions`; `topic` if it does not exist."""
    found: str | None
    promised: str
    command: str
    """What mends it."""

    @property
    def sentence(self) -> str:
        """What an operator reads."""
        if self.name == MISSING:
            return f"{self.topic} n'existe pas. Pour le créer : {self.command}"
        differs = f"{self.topic} : {self.name} vaut {self.found}, {self.promised} est promis"
        return f"{differs}. Pour y remédier : {self.command}"


def _configs(admin: KafkaAdminClient, names: Sequence[str]) -> dict[str, Any]:
    """The settings of these topics; none from a broker that hangs up when it is asked, as the demonstration's does."""
    try:
        asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        told: dict[str, Any] = admin.describe_configs(asked, config_filter="all")["topic"] if asked else {}
    except KafkaConnectionError:
        structlog.get_logger().info("reglages_des_topics_non_dits")
        return {}
    return told


def broken_promises(settings: Settings) -> list[Broken]:
    """Each setting of our topics that is not what they would be created with; raise KafkaError if it does not answer.

    More partitions than promised are somebody's choice, and no difference. What a broker does not tell is none either.
    """
    wanted = topics(settings)
    admin = clients.open_client(
        KafkaAdminClient, **settings.kafka_connection(), bootstrap_timeout_ms=clients.REQUEST_MS
    )
    try:
        described = admin.describe_topics(list(wanted))
        there = {topic["name"]: len(topic["partitions"]) for topic in described if not topic["error_code"]}
        told = _configs(admin, list(there))
    finally:
        admin.close()
    server = (settings.kafka_bootstrap or "").split(",")[0]
    broken = []
    for topic, partitions in wanted.items():
        if topic not in there:
            broken.append(Broken(topic, MISSING, None, str(partitions), "creances topics"))
            continue
        if there[topic] < partitions:
            command = f"kafka-topics.sh --bootstrap-server {server} --alter --topic {topic} --partitions {partitions}"
            broken.append(Broken(topic, PARTITIONS, str(there[topic]), str(partitions), command))
        for name, promised in topic_configs(settings, topic).items():
            found = told.get(topic, {}).get(name, {}).get("value")
            if found is not None and found != promised:
                command = (
                    f"kafka-configs.sh --bootstrap-server {server} --alter --entity-type topics --entity-name {topic}"
                    f" --add-config {name}={promised}"
                )
                broken.append(Broken(topic, name, found, promised, command))
    return broken
