"""The faults: each takes something away at a random moment, and gives it back as its keeper would."""

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from tests.faults.stack import Process, Stack

UNREADABLE: Final = b"\x00not json"


class Fault(NamedTuple):
    """One kind of fault."""

    name: str
    strike: Callable[[Stack, random.Random], None]
    """Takes something away and gives it back; returns once it is given back."""
    needs_durable_broker: bool = False


def _role(stack: Stack, rng: random.Random) -> Process:
    return rng.choice([process for process in stack.processes if process.name != "kiosque"])


def kill_role(stack: Stack, rng: random.Random) -> None:
    """SIGKILL; its supervisor starts it again."""
    _role(stack, rng).signal(signal.SIGKILL)
    time.sleep(rng.uniform(0, 0.5))
    stack.supervise()


def kill_several(stack: Stack, rng: random.Random) -> None:
    """Both instances of everything at once."""
    for process in stack.processes:
        if process.name != "kiosque":
            process.signal(signal.SIGKILL)
    time.sleep(rng.uniform(0, 0.5))
    stack.supervise()


def freeze_role(stack: Stack, rng: random.Random) -> None:
    """SIGSTOP for longer than the lease and the order lock are worth, then SIGCONT: it must find itself replaced."""
    process = _role(stack, rng)
    process.signal(signal.SIGSTOP)
    time.sleep(rng.uniform(1, 25))
    process.signal(signal.SIGCONT)


def stop_role(stack: Stack, rng: random.Random) -> None:
    """SIGTERM, a burst of it."""
    process = _role(stack, rng)
    for _ in range(rng.choice([1, 20])):
        process.signal(signal.SIGTERM)
    process.stop()
    stack.supervise()


def kill_postgres(stack: Stack, _rng: random.Random) -> None:
    """SIGKILL of the server; it recovers from its log."""
    stack.kill_postgres()
    stack.start_postgres()


def restart_postgres(stack: Stack, rng: random.Random) -> None:
    """A clean stop, a pause, a start."""
    stack.stop_postgres()
    time.sleep(rng.uniform(0, 4))
    stack.start_postgres()


def freeze_postgres(stack: Stack, rng: random.Random) -> None:
    """The whole server stands still, and nobody hangs up."""
    processes = stack.postgres_processes()
    for number in processes:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGSTOP)
    time.sleep(rng.uniform(1, 12))
    for number in processes:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGCONT)


def cut_connections(stack: Stack, _rng: random.Random) -> None:
    """Every connection of the service is cut, whatever it was doing."""
    stack.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'creances'")


def kill_broker(stack: Stack, _rng: random.Random) -> None:
    """SIGKILL of Kafka; it recovers from its log."""
    stack.broker.tuer()
    stack.broker.demarrer()


def freeze_broker(stack: Stack, rng: random.Random) -> None:
    """Kafka stands still."""
    server = stack.broker.serveur
    if server is not None:
        os.kill(server.process.pid, signal.SIGSTOP)
        time.sleep(rng.uniform(1, 12))
        os.kill(server.process.pid, signal.SIGCONT)


def lose_dead_letters(stack: Stack, rng: random.Random) -> None:
    """Somebody deletes a dead-letter topic."""
    name = f"{stack.prefix}.{rng.choice(['avis', 'kiosque.notifications'])}.rebuts"
    with suppress(KafkaError), KafkaAdminClient(bootstrap_servers=stack.broker.bootstrap) as admin:
        admin.delete_topics([name], timeout_ms=5000)


def unreadable_event(stack: Stack, rng: random.Random) -> None:
    """An event becomes unreadable as it lies in the log, and is mended later."""
    found = stack.sql(
        "SELECT position, etat FROM journal.evenements WHERE flux LIKE 'creance-%%' ORDER BY position DESC LIMIT 200"
    )
    if not found:
        return
    position, state = rng.choice(found)
    change = "ALTER TABLE journal.evenements DISABLE TRIGGER ajout_seul"
    back = "ALTER TABLE journal.evenements ENABLE TRIGGER ajout_seul"
    update = "UPDATE journal.evenements SET etat = %s WHERE position = %s"
    stack.sql(change)
    try:
        stack.sql(update, UNREADABLE, position)
        time.sleep(rng.uniform(1, 4))
    finally:
        stack.sql(update, state, position)
        stack.sql(back)
    # A person releases what a follower had set aside meanwhile, as the runbook says.
    stack.sql("UPDATE vues.ecartes SET libere_le = clock_timestamp() WHERE libere_le IS NULL")


FAULTS: Final = (
    Fault("role killed", kill_role),
    Fault("role killed", kill_role),
    Fault("role killed", kill_role),
    Fault("all roles killed at once", kill_several),
    Fault("role frozen", freeze_role),
    Fault("role frozen", freeze_role),
    Fault("role stopped, or 20 SIGTERM in a burst", stop_role),
    Fault("PostgreSQL killed", kill_postgres),
    Fault("PostgreSQL restarted", restart_postgres),
    Fault("PostgreSQL frozen", freeze_postgres),
    Fault("connections cut", cut_connections),
    Fault("Kafka killed", kill_broker, needs_durable_broker=True),
    Fault("Kafka frozen", freeze_broker),
    Fault("dead-letter topic deleted", lose_dead_letters),
    Fault("event unreadable, then mended", unreadable_event),
)
