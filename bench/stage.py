"""What the measurements of one scale share: the loaded databases and the topic with the bank's notifications."""

from typing import NamedTuple

from bench import data, library
from bench.data import Scale
from bench.figures import Figures
from bench.servers import Database, Servers
from service import kafka


class Stage(NamedTuple):
    """A scale, loaded: `template` has the service's schema, `library` the library's tables, with the same journal."""

    name: str
    scale: Scale
    template: Database
    library: Database
    topics: str
    """The prefix of its topics; the notifications of `messages` payments are on them."""
    messages: int


def prepare(servers: Servers, figures: Figures, name: str, scale: Scale, messages: int) -> Stage:
    """Load a scale; dropped with the servers' folder, or by `strike`."""
    figures.say(f"{name}: loading {scale.creances:,} créances, {scale.payments:,} open payments")
    template = servers.create(f"ours_{name}")
    data.load(template, scale)
    other = servers.create(f"library_{name}", migrated=False)
    library.load(other, scale)
    stage = Stage(name, scale, template, other, f"bench-{template.name}", messages)
    produce(servers, stage, messages)
    figures.say(f"{name}: loaded")
    return stage


def strike(servers: Servers, stage: Stage) -> None:
    """Drop the databases of a scale."""
    servers.drop(stage.template)
    servers.drop(stage.library)


def produce(servers: Servers, stage: Stage, messages: int, topics: str | None = None) -> None:
    """Create the topics of a prefix and put the first `messages` notifications on them."""
    settings = servers.settings(stage.template, topics or stage.topics)
    kafka.create_topics(settings)
    producer = kafka.producer(settings)
    for key, value in data.notifications(stage.scale, messages):
        producer.send(settings.topic_notifications, key=key, value=value)
    producer.flush()
    producer.close()
