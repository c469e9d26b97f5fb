"""How an ASGI application is served: every connection has deadlines, and there are never more than the files allow.

A half-sent request costs a file of the process. Each step of a connection has its deadline, and above the ceiling the
connection that has waited longest for its client makes room: whoever sends whole requests is served. If every one waits
for us, who holds the most of them gives one back.
"""

import asyncio
import os
import resource
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from math import inf
from typing import Any, Final

import h11
import uvicorn
from uvicorn._types import HTTPScope
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from api.socle.debits import compte_de
from api.socle.en_tetes import de_surete
from api.socle.problemes import indisponible
from service.http_reading import BODY_BYTES, BoundedConnection

ACCEPTED_AT_ONCE: Final = 128
"""Connections that one turn of the event loop takes, at most: the ceiling is checked between two turns."""

WAITING_IN_THE_KERNEL: Final = 2048
"""Connections not yet taken; one more is only delayed, the client's system tries again."""


def _unanswered(*, https: bool) -> bytes:
    """Return the whole 503 of a request that nothing answered in time: what it waits for may be frozen for hours."""
    detail = "Le service n'a pas répondu à temps : merci de recommencer dans quelques instants."
    answer = indisponible("sans_reponse", detail).reponse()
    return _by_hand(HTTPStatus.SERVICE_UNAVAILABLE, bytes(answer.body), answer.raw_headers, https=https)


def _by_hand(status: HTTPStatus, body: bytes, headers: Iterable[tuple[bytes, bytes]], *, https: bool) -> bytes:
    """A whole answer of the server itself: no application is there to put the security headers on it."""
    given = dict(headers)
    given |= {name: value for name, value in de_surete(https=https) if name not in given}
    given |= {b"content-length": str(len(body)).encode()}
    lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode(), b"connection: close"]
    lines += [name + b": " + value for name, value in given.items()]
    return b"\r\n".join([*lines, b"", body])


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The deadlines of a connection (seconds), and how many there may be."""

    header_s: float = 10.0
    """From the opening, or the last answer, to a whole request header."""
    body_s: float = 20.0
    """From the header to the end of the body."""
    wait_s: float = 9.5
    """From the end of the request to the start of the answer: a 503 then, whatever the request still waits for."""
    answer_s: float = 60.0
    """From the end of the request to the end of the answer, client slow to read included."""
    keep_alive_s: float = 5.0
    """Between two requests."""
    connections: int = 2_000
    body_bytes: int = BODY_BYTES
    """What is read of a body, refused or not: the application's own limit is lower, and answers in its own words."""
    https: bool = False
    """The public address is HTTPS: what the server answers by itself says it too."""
    trusted_proxies: str | None = None
    """Addresses or networks, comma-separated, whose `X-Forwarded-For` is believed; absent: nobody's."""

    def ceiling(self) -> int:
        """The connections held at most: half of the files of the process stay for everything else."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return self.connections if files == resource.RLIM_INFINITY else min(self.connections, files // 2)

    def accepted_at_once(self) -> int:
        """What one turn of the loop may open above the ceiling."""
        return max(8, min(ACCEPTED_AT_ONCE, self.ceiling() // 8))


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 with a deadline for each step, and a ceiling of connections."""

    limits = ConnectionLimits()
    ceiling = limits.connections

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """As uvicorn calls it."""
        super().__init__(config, server_state, app_state, _loop)
        self.conn = BoundedConnection(self.limits.body_bytes)
        self._step: object = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = inf
        self._overdue: Callable[[], None] = self._too_late
        self.waiting_since = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection; above the ceiling, another one makes room, or this one goes."""
        super().connection_made(transport)
        if len(self.connections) > self.ceiling:
            going = self._least_due()
            self.connections.discard(going)  # Its end is only told on the loop's next turn.
            going.transport.abort()
        self._watch()

    def _least_due(self) -> "BoundedProtocol":
        """The one that has waited longest for its client; if all wait for us, the last come of who holds the most."""
        held = [one for one in self.connections if isinstance(one, BoundedProtocol)]
        if waiting := [one for one in held if one.is_waiting() and one is not self]:
            return min(waiting, key=lambda one: one.waiting_since)
        most = Counter(one.caller for one in held)
        if most[self.caller] == max(most.values()):
            return self
        return max(held, key=lambda one: (most[one.caller], one.waiting_since))

    @property
    def caller(self) -> str:
        """Who asked what we are answering; before that, the address at the other end. Of IPv6 the network."""
        # A trusted proxy's word is put in the request itself: without it, all of its clients would be one.
        asked: HTTPScope | None = self.scope  # uvicorn's own annotation forgets the None.
        client = self.client if asked is None or self.is_waiting() else asked["client"]
        return compte_de(client[0] if client else "")

    def data_received(self, data: bytes) -> None:
        """Read what came; the deadline only moves when a step is over, never with a byte."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What cannot be read as HTTP is answered as everything else is."""
        plain = [(b"content-type", b"text/plain; charset=utf-8")]
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn's own annotation forgets the None.
        # Answered in full, `our_state` is DONE as long as the same request goes on.
        answered = (
            cycle is not None
            and cycle.response_started
            and (not cycle.response_complete or self.conn.our_state is h11.DONE)
        )
        if not answered and not self.transport.is_closing():
            self.transport.write(_by_hand(HTTPStatus.BAD_REQUEST, msg.encode(), plain, https=self.limits.https))
        self.transport.close()

    def is_waiting(self) -> bool:
        """Whether the client, and not we, is expected to go on: with its request, or with reading our answer."""
        return self.flow.write_paused or self.conn.their_state in {h11.IDLE, h11.SEND_BODY}

    def _watch(self) -> None:
        step = (self.conn.their_state, self.cycle)
        if step == self._step:
            return
        self._step = step
        self.waiting_since = self.loop.time()
        match self.conn.their_state:
            case h11.IDLE:
                self._set_deadline(self.limits.header_s, self._too_late)
            case h11.SEND_BODY:
                self._set_deadline(self.limits.body_s, self._too_late)
            case _:
                self._set_deadline(self.limits.wait_s, self._unanswered)

    def _set_deadline(self, delay_s: float, overdue: Callable[[], None]) -> None:
        """Put the deadline off, or forward. One timer serves a connection: it looks again when it rang too early."""
        self._due, self._overdue = self.loop.time() + delay_s, overdue
        if self._timer is None or self._due < self._timer.when():
            self._ring_at(self._due)

    def _ring_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self.loop.time() < self._due:
            self._ring_at(self._due)
        else:
            self._overdue()

    def _unanswered(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn's own annotation forgets the None.
        if cycle is not None and cycle.response_started:
            self._set_deadline(max(0.0, self.limits.answer_s - self.limits.wait_s), self._too_late)
        elif not self.transport.is_closing():
            self.transport.write(_unanswered(https=self.limits.https))
            self.transport.close()

    def _too_late(self) -> None:
        half_sent = self.conn.their_state is h11.SEND_BODY or bool(self.conn.trailing_data[0])
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn's own annotation forgets the None.
        answered = cycle is not None and cycle.response_started and not cycle.response_complete
        if self.is_waiting() and half_sent and not answered and not self.transport.is_closing():
            self.transport.write(_by_hand(HTTPStatus.REQUEST_TIMEOUT, b"", (), https=self.limits.https))
        self.transport.abort()


class BoundedServer(uvicorn.Server):
    """Takes few connections at a turn, yet lets many wait in the kernel: asyncio has one number for both."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        for server in self.servers:
            for held in server.sockets:
                with socket.socket(fileno=os.dup(held.fileno())) as listening:
                    listening.listen(WAITING_IN_THE_KERNEL)


def serve(
    application: object, host: str, port: int, limits: ConnectionLimits | None = None
) -> Callable[[threading.Event], None]:
    """What serves this ASGI application until the event is set."""
    limits = limits or ConnectionLimits()

    def run(stop: threading.Event) -> None:
        server = BoundedServer(config(application, host, port, limits))

        def watch() -> None:
            stop.wait()
            server.should_exit = True

        threading.Thread(target=watch, daemon=True).start()
        server.run()

    return run


def config(application: object, host: str, port: int, limits: ConnectionLimits) -> uvicorn.Config:
    """Uvicorn's configuration under these limits."""
    protocol = type("Protocol", (BoundedProtocol,), {"limits": limits, "ceiling": limits.ceiling()})
    return uvicorn.Config(
        application,  # type: ignore[arg-type]
        host=host,
        port=port,
        http=protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=limits.trusted_proxies is not None,
        forwarded_allow_ips=limits.trusted_proxies or "",
        backlog=limits.accepted_at_once(),
        timeout_keep_alive=max(1, round(limits.keep_alive_s)),
        timeout_graceful_shutdown=5,
    )
