"""What each topic is created with: the promises of `docs/asyncapi.yaml`, which a test compares."""

from typing import Final

from engine import dead_letters as rebuts
from service.settings import Settings

MESSAGE_BYTES_MAX: Final = 1024 * 1024
"""Largest message of an incoming topic; a dead-letter topic takes larger ones."""

COMPACTED: Final = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.1",
    "segment.ms": "3600000",
    "max.compaction.lag.ms": "86400000",
}
"""A state topic: the former balances of a créance are gone a day later at the latest, so that reading it is short."""


BROKER_TIME: Final = {"message.timestamp.type": "LogAppendTime"}
"""Of a topic that others write to: by the time that a producer gives, a clock that is years behind has its messages
deleted before they are read, and one that is hours ahead has them refused."""


def topic_configs(settings: Settings, topic: str) -> dict[str, str]:
    """What a topic is created with: the size of its messages, and the retention that the contract promises."""
    if topic in {settings.topic_soldes, settings.topic_points}:
        return {"max.message.bytes": str(MESSAGE_BYTES_MAX), **COMPACTED}
    if topic.endswith(rebuts.SUFFIXE):
        size, kept = rebuts.OCTETS_MAX, settings.retention_rebuts
    elif topic == settings.topic_evenements:
        size, kept = MESSAGE_BYTES_MAX, settings.retention_evenements
    elif topic.startswith(settings.topic_renvois("")):
        size, kept = MESSAGE_BYTES_MAX, settings.retention_renvois
    else:
        size, kept = MESSAGE_BYTES_MAX, settings.retention_entrees
    milliseconds = round(kept.total_seconds() * 1000)
    # -1: no bound by size, or a busy day would cut the promise short.
    configs = {
        "max.message.bytes": str(size),
        "cleanup.policy": "delete",
        "retention.ms": str(milliseconds),
        "retention.bytes": "-1",
    }
    return configs | BROKER_TIME if topic in {come.topic for come in settings.incoming.values()} else configs
