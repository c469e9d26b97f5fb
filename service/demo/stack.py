"""The embedded servers and all roles in one process; the scenario, then serving until it is stopped."""

import json
import os
import socket
import threading
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import psycopg
from rich.console import Console
from rich.text import Text

from service import kafka, run
from service.demo.scenario import await_ready, play
from service.demo.stage import DemoFailed, Stage
from service.demo.witness import witness_of_demo
from service.embedded import EmbeddedError, EmbeddedStack, embedded_stack
from service.files import reason
from service.logs import configure_logs
from service.role_names import ALL, SIMULATOR
from service.schema import migrate
from service.settings import Settings
from service.stopping import stop_on_signals
from service.terminal import styled

DESCRIPTION: Final = "stack.json"
"""Where the running demonstration says how to reach it, under its folder."""


def run_demo(console: Console, *, port: int, data_dir: Path, avis: int, seed: int, once: bool) -> int:
    """Run the demonstration; return the exit code."""
    configure_logs(os.environ.get("CREANCES_LOG_LEVEL", "WARNING"), "auto")
    console.print(Text("Créances", "bold"), ": démarrage de PostgreSQL et d'un courtier Kafka embarqués…")
    try:
        with stop_on_signals() as stop, embedded_stack(data_dir) as stack:
            return _serve(console, stack, stop, port=port, data_dir=data_dir, avis=avis, seed=seed, once=once)
    except EmbeddedError as cause:
        console.print(styled(str(cause), "red"))
        return 1


def _serve(
    console: Console,
    stack: EmbeddedStack,
    stop: threading.Event,
    *,
    port: int,
    data_dir: Path,
    avis: int,
    seed: int,
    once: bool,
) -> int:
    settings = _settings(stack, _port(port), _port(port + 1 if port else 0), data_dir)
    with witness_of_demo(settings, _port(0)) as temoin:
        witnessed = settings.model_copy(update={"preuve_temoins": (temoin,)})
        return _serve_roles(console, stack, stop, witnessed, avis=avis, seed=seed, once=once)


def _serve_roles(
    console: Console,
    stack: EmbeddedStack,
    stop: threading.Event,
    settings: Settings,
    *,
    avis: int,
    seed: int,
    once: bool,
) -> int:
    data_dir = settings.data_dir
    migrate(stack.owner_database_url, "creances")
    kafka.create_topics(settings)
    outcome: list[int] = []
    names = [str(role) for role in (*ALL, SIMULATOR)]
    service = threading.Thread(
        target=lambda: outcome.append(run.run_until(settings, names, stop, demo=True)), name="service", daemon=True
    )
    service.start()
    code = 0
    try:
        stage = Stage(console, settings, stop)
        await_ready(stage)
        _write_stack(data_dir, settings)
        example = play(stage, avis=avis, seed=seed)
        if not once:
            _invite(console, settings, example)
            while not stop.wait(1.0):
                stack.ensure_running()
    except (DemoFailed, EmbeddedError, httpx.HTTPError, psycopg.Error) as failure:
        if not stop.is_set():
            console.print(styled("La démonstration a échoué :", "red"), str(failure))
            code = 1
    finally:
        stop.set()
        service.join(settings.shutdown_timeout.total_seconds() + 5)
        (data_dir / DESCRIPTION).unlink(missing_ok=True)
    return code or (outcome[0] if outcome else 1)


def _settings(stack: EmbeddedStack, port: int, kiosk_port: int, data_dir: Path) -> Settings:
    return Settings(
        mode="demonstration",
        database_url=stack.database_url,
        owner_database_url=stack.owner_database_url,
        kafka_bootstrap=stack.kafka_bootstrap,
        public_url=f"http://127.0.0.1:{port}",
        api_port=port,
        kiosque_url=f"http://127.0.0.1:{kiosk_port}",
        simulator_port=kiosk_port,
        data_dir=data_dir,
        janitor_interval=timedelta(seconds=10),
    )


def _write_stack(data_dir: Path, settings: Settings) -> None:
    merchant = settings.merchant("")
    described = {
        "api_url": settings.public_url,
        "kiosque_url": settings.kiosque_url,
        "database_url": settings.database_url,
        "owner_database_url": settings.owner_database_url,
        "kafka_bootstrap": settings.kafka_bootstrap,
        "merchant_id": merchant.merchant_id,
        "secret_key": merchant.secret_key.get_secret_value(),
        "key_version": merchant.key_version,
        "preuve_temoins": [temoin.model_dump() for temoin in settings.preuve_temoins],
    }
    fresh = data_dir / f"{DESCRIPTION}.new"
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(described, indent=2), "utf-8")
    fresh.replace(data_dir / DESCRIPTION)


def _port(wanted: int) -> int:
    """The wanted port; 0 takes one that the system gives. Raises EmbeddedError if it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as cause:
            sentence = f"Le port {wanted} ne peut être pris ({reason(cause)}) : --port en dit un autre."
            raise EmbeddedError(sentence) from cause
        return int(probe.getsockname()[1])


def _invite(console: Console, settings: Settings, reference: str) -> None:
    kiosk = urlsplit(settings.kiosque_url)
    served = styled(f"La démonstration est servie sur {settings.public_url}", "bold green")
    told = (
        f"  - la page : choisissez un assuré, cherchez une de ses références, payez ;\n"
        f"    au kiosque ({kiosk.netloc}), une carte finissant par 00 est acceptée, par 05 refusée ;\n"
        f"  - l'API : {settings.public_url}/docs\n"
        f"  - dans un autre terminal : .venv/bin/creances history {reference} --motif essai\n"
        f"    et aussi balance, lag, audit, notifications (données : {settings.data_dir})\n"
        "Ctrl-C pour arrêter ; les données sont gardées."
    )
    console.print(Text.assemble("\n", served, "\n", told))
