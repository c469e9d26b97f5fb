"""Asking a witness over HTTP: bounded in bytes and in time, whatever it does, and never two requests at once."""

import queue
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, TypeAlias

import httpx

from preuve.witness_protocol import ANSWER_MAX, PATH, Answer, Request, Unusable, read_answer

ANSWER_WITHIN_S: Final = 10.0
"""How long a witness may take to answer, from the connection to the last byte (seconds)."""


Open: TypeAlias = Callable[[float], AbstractContextManager[httpx.Client]]
"""Opens a client whose exchanges last so many seconds at most."""


def _opened(within_s: float) -> httpx.Client:
    """A client that bounds each read only."""
    return httpx.Client(timeout=within_s, trust_env=False)


class Caller:
    """Asks one witness; is used by one thread."""

    def __init__(self, url: str, *, within_s: float = ANSWER_WITHIN_S, opened: Open = _opened) -> None:
        """`url`: the witness's address; redirections and proxies are not followed.

        `opened`: a client that bounds the whole exchange, so that a witness that drips is given up, and asked again.
        """
        self._open = opened
        self._url = url.rstrip("/") + PATH
        self._within_s = within_s
        self._under_way: threading.Thread | None = None

    def __call__(self, request: Request) -> Answer:
        """What it answers; Unusable if nothing comes in time."""
        if self._under_way is not None and self._under_way.is_alive():
            return Unusable("n'en finit pas de répondre à la demande d'avant")
        # A thread apart: a witness that sends a byte now and then would hold up who reads it, for as long as it likes.
        answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._under_way = threading.Thread(
            target=lambda: answers.put(self._ask(request.body)), name="temoin", daemon=True
        )
        self._under_way.start()
        try:
            return answers.get(timeout=self._within_s)
        except queue.Empty:
            return Unusable(f"n'a pas répondu en {self._within_s:g} s")

    def _ask(self, body: bytes) -> Answer:
        content = b""
        try:
            with self._open(self._within_s) as client, client.stream("POST", self._url, content=body) as answer:
                for part in answer.iter_raw():
                    content += part
                    if len(content) > ANSWER_MAX:
                        return Unusable("répond trop long")
                return read_answer(answer.status_code, content)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as fault:
            return Unusable(f"ne répond pas ({type(fault).__name__})")
