"""A small HTTP/1.1 client over asyncio's protocols: keep-alive, one request at a time on each connection.

Ready-made clients cost more for each request than the servers under measurement; this one must not be what is measured.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Final, NamedTuple

HEAD_END: Final = b"\r\n\r\n"
LENGTH: Final = b"content-length: "
STATUS: Final = slice(9, 12)


class Load(NamedTuple):
    """What a closed loop of connections got."""

    requests_per_second: float
    cpu_share: float
    """Of one core, that the client itself used."""


class Connection(asyncio.Protocol):
    """One connection; a response must carry its length, as those of uvicorn do."""

    def __init__(self) -> None:
        """Wait for `connection_made`."""
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[int] | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the request that waits."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc or ConnectionError("closed by the server"))

    def data_received(self, data: bytes) -> None:
        """Complete the request once the whole body is here."""
        self._received += data
        head = self._received.find(HEAD_END)
        if head < 0 or self._waiting is None:
            return
        at = self._received.lower().index(LENGTH, 0, head) + len(LENGTH)
        length = int(self._received[at : self._received.index(b"\r\n", at)])
        if len(self._received) >= head + len(HEAD_END) + length:
            status = int(self._received[STATUS])
            self._received = b""
            self._waiting.set_result(status)

    def request(self, raw: bytes) -> asyncio.Future[int]:
        """Send a request; the future gives its status."""
        if self._transport is None:
            raise ConnectionError("not connected")
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(raw)
        return self._waiting

    def close(self) -> None:
        """Close."""
        if self._transport is not None:
            self._transport.close()


async def connect(port: int) -> Connection:
    """A connection to a server on this machine."""
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection


def get(path: str, **headers: str) -> bytes:
    """The bytes of a GET."""
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def post(path: str, body: bytes, content_type: str) -> bytes:
    """The bytes of a POST."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def closed_loop(
    port: int, requests: Callable[[int], bytes], connections: int, *, seconds: float = inf, count: float = inf
) -> Load:
    """Keep so many connections busy for so long, or for so many requests; `requests` gives the bytes of each.

    Raises:
        RuntimeError: an answer was not 200.
    """
    return asyncio.run(_closed_loop(port, requests, connections, seconds, count))


async def _closed_loop(
    port: int, requests: Callable[[int], bytes], connections: int, seconds: float, count: float
) -> Load:
    done = 0

    async def keep_busy() -> None:
        nonlocal done
        connection = await connect(port)
        while done < count and time.perf_counter() < end:
            number, done = done, done + 1
            status = await connection.request(requests(number))
            if status != 200:  # noqa: PLR2004  OK
                raise RuntimeError(f"answered {status}: {requests(number)!r}")
        connection.close()

    start, cpu = time.perf_counter(), time.process_time()
    end = start + seconds
    await asyncio.gather(*(keep_busy() for _ in range(connections)))
    elapsed = time.perf_counter() - start
    return Load(done / elapsed, (time.process_time() - cpu) / elapsed)


def answers(port: int, path: str) -> bool:
    """Whether the server answers 200 there."""

    async def ask() -> int:
        connection = await connect(port)
        try:
            return await connection.request(get(path))
        finally:
            connection.close()

    with suppress(OSError):
        return asyncio.run(ask()) == 200  # noqa: PLR2004  OK
    return False
