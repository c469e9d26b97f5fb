"""A topic is deleted and created again; whoever had put something on it puts it there again, as its page says."""

import time
from typing import Final

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from tests.faults.fault import Scene

INPUTS: Final = ("avis", "kiosque.notifications")
OUTPUT: Final = "evenements"
DONE_S: Final = 900.0


def recreate(scene: Scene) -> None:
    """What nobody had read is gone with the topic: caisses and bank say again all that they said in this history."""
    stack = scene.stack
    which = scene.rng.choice([*INPUTS, *INPUTS, OUTPUT])
    name = f"{stack.prefix}.{which}"
    pause = scene.rng.choice([0.0, 0.0, 1.5, 5.0])

    def again() -> None:
        stack.until(lambda: _deleted(stack.broker.bootstrap, name), DONE_S, f"{name} deleted")
        time.sleep(pause)
        stack.until(lambda: stack.command("topics").returncode == 0, DONE_S, "topics created", 1.0)

    # Nobody sends while it is gone: whether such a message is on the old topic or the new one, nobody could tell.
    scene.producer.recreating(name, again)
    if which == "kiosque.notifications":
        for actor in scene.actors:
            actor.tell_again()


def _deleted(bootstrap: str, name: str) -> bool:
    try:
        with KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=5000) as admin:
            if name in admin.list_topics():
                admin.delete_topics([name], timeout_ms=10_000)
            return name not in admin.list_topics()
    except KafkaError:
        return False
