"""The faults: each takes something away at a random moment, and gives it back as its keeper would."""

import os
import signal
import time
from contextlib import suppress
from typing import Final

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from tests.faults.fault import Fault, Scene
from tests.faults.stack import Process, Stack

UNREADABLE: Final = b"\x00not json"


def _forgetful(stack: Stack) -> str | None:
    return None if stack.durable else "a broker that keeps its log: Apache Kafka"


def _role(scene: Scene) -> Process:
    return scene.rng.choice([process for process in scene.stack.processes if process.name != "kiosque"])


def kill_role(scene: Scene) -> None:
    """SIGKILL; its supervisor starts it again."""
    _role(scene).signal(signal.SIGKILL)
    time.sleep(scene.rng.uniform(0, 0.5))
    scene.stack.supervise()


def kill_several(scene: Scene) -> None:
    """Both instances of everything at once."""
    for process in scene.stack.processes:
        if process.name != "kiosque":
            process.signal(signal.SIGKILL)
    time.sleep(scene.rng.uniform(0, 0.5))
    scene.stack.supervise()


def freeze_role(scene: Scene) -> None:
    """SIGSTOP for longer than the lease and the order lock are worth, then SIGCONT: it must find itself replaced."""
    process = _role(scene)
    process.signal(signal.SIGSTOP)
    time.sleep(scene.rng.uniform(1, 25))
    process.signal(signal.SIGCONT)


def stop_role(scene: Scene) -> None:
    """SIGTERM, a burst of it."""
    process = _role(scene)
    for _ in range(scene.rng.choice([1, 20])):
        process.signal(signal.SIGTERM)
    process.stop()
    scene.stack.supervise()


def kill_postgres(scene: Scene) -> None:
    """SIGKILL of the server; it recovers from its log."""
    scene.stack.kill_postgres()
    scene.stack.start_postgres()


def restart_postgres(scene: Scene) -> None:
    """A clean stop, a pause, a start."""
    scene.stack.stop_postgres()
    time.sleep(scene.rng.uniform(0, 4))
    scene.stack.start_postgres()


def freeze_postgres(scene: Scene) -> None:
    """The whole server stands still, and nobody hangs up."""
    processes = scene.stack.postgres_processes()
    for number in processes:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGSTOP)
    time.sleep(scene.rng.uniform(1, 12))
    for number in processes:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGCONT)


def cut_connections(scene: Scene) -> None:
    """Every connection of the service is cut, whatever it was doing."""
    scene.stack.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'creances'")


def kill_broker(scene: Scene) -> None:
    """SIGKILL of Kafka; it recovers from its log."""
    scene.stack.broker.tuer()
    scene.stack.start_broker()


def freeze_broker(scene: Scene) -> None:
    """Kafka stands still."""
    server = scene.stack.broker.serveur
    if server is not None:
        os.kill(server.process.pid, signal.SIGSTOP)
        time.sleep(scene.rng.uniform(1, 12))
        os.kill(server.process.pid, signal.SIGCONT)


def lose_dead_letters(scene: Scene) -> None:
    """Somebody deletes a dead-letter topic."""
    name = f"{scene.stack.prefix}.{scene.rng.choice(['avis', 'kiosque.notifications'])}.rebuts"
    with suppress(KafkaError), KafkaAdminClient(bootstrap_servers=scene.stack.broker.bootstrap) as admin:
        admin.delete_topics([name], timeout_ms=5000)


def unreadable_event(scene: Scene) -> None:
    """An event becomes unreadable as it lies in the log, and is mended later."""
    found = scene.stack.sql(
        "SELECT position, etat FROM journal.evenements WHERE flux LIKE 'creance-%%' ORDER BY position DESC LIMIT 200"
    )
    if not found:
        return
    position, state = scene.rng.choice(found)
    change = "ALTER TABLE journal.evenements DISABLE TRIGGER ajout_seul"
    back = "ALTER TABLE journal.evenements ENABLE TRIGGER ajout_seul"
    update = "UPDATE journal.evenements SET etat = %s WHERE position = %s"
    scene.stack.sql(change)
    try:
        scene.stack.sql(update, UNREADABLE, position)
        time.sleep(scene.rng.uniform(1, 4))
    finally:
        scene.stack.sql(update, state, position)
        scene.stack.sql(back)
    # A person releases what a follower had set aside meanwhile, as the runbook says.
    scene.stack.sql("UPDATE vues.ecartes SET libere_le = clock_timestamp() WHERE libere_le IS NULL")


PROCESSES_AND_SERVERS: Final = (
    Fault("role killed", kill_role),
    Fault("role killed", kill_role),
    Fault("role killed", kill_role),
    Fault("all roles killed at once", kill_several),
    Fault("role frozen", freeze_role, seconds=25),
    Fault("role frozen", freeze_role, seconds=25),
    Fault("role stopped, or 20 SIGTERM in a burst", stop_role),
    Fault("PostgreSQL killed", kill_postgres),
    Fault("PostgreSQL restarted", restart_postgres),
    Fault("PostgreSQL frozen", freeze_postgres),
    Fault("connections cut", cut_connections),
    Fault("Kafka killed", kill_broker, lacking=_forgetful),
    Fault("Kafka frozen", freeze_broker),
    Fault("dead-letter topic deleted", lose_dead_letters),
    Fault("event unreadable, then mended", unreadable_event),
)
