"""Structured logs on stderr: named events with key=values, one JSON object a line, or readable on a terminal.

`logger.info("batch.applied", topic=…, messages=…)`: the event has a stable name, everything else is a value. Records
of libraries that use the standard logging pass through the same processors. No personal data and no secret is ever
written: `mask_forbidden` is the last guard, not a licence to pass them. What is written is data: control characters are
shown escaped, so that no value acts on the terminal that reads it.

Importing `eventsourcing.postgres` silences psycopg's loggers; that module is not imported here. Uvicorn must be run
with `log_config=None`, otherwise it puts its own handlers beside ours.
"""

import logging
import re
import sys
import time
from collections.abc import Callable
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from domain.nir import contient_un_nir, masquer_les_nir
from kiosque.notification import JAMAIS_AU_JOURNAL_TECHNIQUE, SCELLE
from service.addresses import without_secret_parameters
from service.controls import shown

MASK = "***"
FORBIDDEN_KEYS = JAMAIS_AU_JOURNAL_TECHNIQUE | frozenset(
    {
        "adresse",
        "authorization",
        "body",
        "champs",
        "cookie",
        "email",
        "iban",
        "nir",
        "nom",
        "password",
        "prenom",
        "set-cookie",
        "telephone",
        "token",
    }
)
FORBIDDEN_PARTS = ("secret", "password", "api_key", "private_key")
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
URL_PASSWORD = re.compile(r"(?<=://)([^\s:/@]*):[^\s/@]+@")
NIR_MIN = 10**12
"""The least number that may be one."""

DEPTH_MAX = 8
REPEATERS = ("kafka", "psycopg.pool", "uvicorn")
"""Libraries that say the same again at each attempt to reconnect (our own line tells the outage), or at each request
that anybody garbles."""

REPEAT_SECONDS = 60.0
REPEATS_KEPT = 1_000


class Repeats(logging.Filter):
    """Let a library say the same thing once a minute, and how often: a flood must not bury everything else."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.clock = clock
        self._said: dict[tuple[str, str, object], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether this record passes; one that stands for others bears their number (`fois`)."""
        if not record.name.startswith(REPEATERS):
            return True
        said, now = (record.name, str(record.msg), record.exc_info and record.exc_info[0]), self.clock()
        since, kept_back = self._said.get(said, (float("-inf"), 0))
        if now - since < REPEAT_SECONDS:
            self._said[said] = since, kept_back + 1
            return False
        if len(self._said) >= REPEATS_KEPT:  # A library that puts its values into the message itself.
            self._said.clear()
        self._said[said] = now, 0
        if kept_back:
            record.fois = kept_back + 1
        return True


def configure_logs(level: str, log_format: Literal["auto", "json", "console"], stream: TextIO = sys.stderr) -> None:
    """Send every log of this process to `stream`; `auto` is readable on a terminal and JSON elsewhere."""
    readable = log_format == "console" or (log_format == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    # A local variable may hold what must not be logged: tracebacks never show them.
    rendered: list[Processor] = (
        [
            structlog.processors.format_exc_info,
            mask_forbidden,
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=28
            ),
        ]
        if readable
        else [
            structlog.processors.format_exc_info,
            mask_forbidden,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ]
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    handler.addFilter(Repeats())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.getLogger("httpx").setLevel(max(logging.WARNING, root.level))  # One line a request, with its URL.
    kafka = logging.getLogger("kafka")  # Each reconnection attempt, at INFO; a command may have silenced it for good.
    kafka.setLevel(max(logging.WARNING, root.level, kafka.level))
    # A turn of its loop over 0.1 s, which any busy machine has: a fault that matters is told by who waits.
    logging.getLogger("kafka.net.selector").setLevel(max(logging.ERROR, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def bind_role(role: str, **context: object) -> None:
    """Add the role (`api`, `consume`…) and other values to every later log of this context (thread or task)."""
    structlog.contextvars.bind_contextvars(role=role, **context)


def mask_forbidden(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace by *** what must never be logged: by its key at any depth, or by its shape inside any text."""
    return {shown(key): _masked(key, value, DEPTH_MAX) for key, value in event.items()}


def _masked(key: str, value: object, depth: int) -> object:  # noqa: PLR0911  one return a kind of value
    if _forbidden(key) or depth == 0:
        return MASK
    match value:
        case str():
            return _masked_text(value)
        case bytes():
            return f"<{len(value)} octets>"
        case dict():
            return {shown(str(inner)): _masked(str(inner), kept, depth - 1) for inner, kept in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_masked("", kept, depth - 1) for kept in value]
        case int() if not isinstance(value, bool) and abs(value) >= NIR_MIN:
            return _masked_text(str(value)) if contient_un_nir(str(value)) else value
        case None | bool() | int() | float():
            return value
        case _:
            return _masked_text(str(value))


def _forbidden(key: str) -> bool:
    lowered = key.lower()
    return lowered in FORBIDDEN_KEYS or any(part in lowered for part in FORBIDDEN_PARTS)


def _masked_text(text: str) -> str:
    text = without_secret_parameters(URL_PASSWORD.sub(rf"\1:{MASK}@", text))
    text = SCELLE.sub(rf"\1={MASK}", text)
    return shown(masquer_les_nir(EMAIL.sub(MASK, text), MASK))
