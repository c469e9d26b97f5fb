"""How much memory each role holds while a long stream of notifications goes through."""

import threading
import time
from typing import Final, NamedTuple
from urllib.parse import urlencode

import psycopg

from bench.client import answers, closed_loop, post
from bench.data import notification, transaction
from bench.latency import FORM
from bench.pipeline import count_of_taken
from bench.processes import service_roles, wait_for
from bench.servers import Servers
from bench.sizes import bytes_each
from bench.stage import Stage, produce
from service.composition import VIEWS
from service.embedded.broker import free_port

START_SECONDS: Final = 60.0
STALL_SECONDS: Final = 60.0
POSTED_SHARE: Final = 20
CONNECTIONS: Final = 8
TABLES: Final = {
    "bytes_per_event": "journal.evenements",
    "bytes_per_fate": "journal.sorts",
    "bytes_per_view_row": "vues.restant_du",
}
SAMPLE_SECONDS: Final = 1.0


class Memory(NamedTuple):
    """Bytes resident: a role's samples over the run, and its peak."""

    samples: list[int]
    peak: int

    @property
    def growth(self) -> int:
        """From the third of the run, when everything is warm, to its end."""
        return self.samples[-1] - self.samples[len(self.samples) // 3]


def measure(servers: Servers, stage: Stage, messages: int) -> tuple[dict[str, Memory], dict[str, float]]:
    """Every role's memory, by its command, sampled while `messages` notifications go through; and bytes a row after.

    Most are put on the topic directly, faster than the consumer takes them; the last are posted to the API.
    """
    posted = messages // POSTED_SHARE
    with servers.copy(stage.template) as database:
        settings = servers.settings(database, f"memory-{database.name}", api_port=free_port())
        produce(servers, stage, messages - posted, settings.topic_prefix)
        commands = (("api",), ("consume", "kiosque"), *(("project", view) for view in VIEWS))
        with service_roles(settings, *commands) as roles, psycopg.connect(database.owner_url, autocommit=True) as conn:
            wait_for(lambda: answers(settings.api_port, "/readyz"), roles, START_SECONDS, "api")
            samples: dict[str, list[int]] = {role.name: [] for role in roles}

            def watch_until(taken: int) -> None:
                before, since = -1, time.monotonic()
                while (now := count_of_taken(conn)) < taken:
                    if now > before:
                        before, since = now, time.monotonic()
                    if time.monotonic() - since > STALL_SECONDS:
                        raise TimeoutError(f"{now} of {taken} notifications, and no more")
                    for role in roles:
                        role.ensure_running()
                        samples[role.name].append(role.rss_bytes())
                    time.sleep(SAMPLE_SECONDS)

            watch_until(messages - posted)
            poster = threading.Thread(target=_post, args=(settings.api_port, stage, messages, posted))
            poster.start()
            watch_until(messages)
            poster.join()
            held = {role.name: Memory([*samples[role.name], role.rss_bytes()], role.peak_rss_bytes()) for role in roles}
        with psycopg.connect(database.owner_url) as conn:
            return held, {name: bytes_each(conn, table) for name, table in TABLES.items()}


def _post(port: int, stage: Stage, messages: int, posted: int) -> None:
    payments = stage.scale.order[messages - posted : messages]

    def request(number: int) -> bytes:
        form = notification(transaction(payments[number]))
        return post("/kiosque/notification", urlencode(form).encode(), FORM)

    closed_loop(port, request, CONNECTIONS, count=posted)
