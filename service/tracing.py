"""OpenTelemetry: the spans of the doors, of Kafka, of events and of what follows them, exported by OTLP over HTTP.

Off without a collector (`CREANCES_OTLP_ENDPOINT`): then nothing of OpenTelemetry's SDK is even imported. The provider
is ours and no global one: no library draws spans of its own into our traces. A span bears no URL, body nor identity:
routes as declared, names of topics and events, streams.

One cause, one trace: an HTTP call, what it puts on Kafka, the message's handling, the events recorded, and each
follower that applies them. A batch joins many traces: each has its span of it, linked to the others'. What comes to a
payment later is linked to its opening.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import structlog
from psycopg import Connection

from domain.paiement import Paiement
from engine import tracing as kept
from engine.batch import Batch, Entry
from engine.messages import Message, Trace
from engine.streams import RecordedEvent
from service.settings import Settings
from service.tracing_contexts import context_of, inside, links_to, others, trace_in, without_anybody

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

EXPORT_SECONDS: Final = 3.0
"""How long one export may take: a collector that is away costs nothing but its spans."""

CLOSE_SECONDS: Final = 2.0
"""How long the end of a process waits for the last spans to leave."""

QUEUED_MAX: Final = 8_192
"""Spans that wait for the collector, at most; beyond, they are lost and the library says so."""


class _Joined:
    """The spans of what is being handled, by message origin and by stream."""

    def __init__(self, by_key: "Mapping[str, Span]") -> None:
        self.by_key = by_key


_JOINED: ContextVar[_Joined | None] = ContextVar("joined", default=None)


class Tracing:
    """Draws the spans; see `engine.tracing.Tracer`."""

    def __init__(self, provider: "TracerProvider") -> None:
        """`provider`: where spans go, and which are sampled."""
        self._provider = provider
        self._tracer = provider.get_tracer("creances")

    def close(self) -> None:
        """Send what waits, for `CLOSE_SECONDS` at most, and trace no more."""
        kept.use(None)
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(CLOSE_SECONDS)

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    @contextmanager
    def served(self, method: str, headers: Sequence[tuple[bytes, bytes]]) -> Iterator[Callable[[str, int], None]]:
        """Around an HTTP call; the caller's context is believed if it is well-formed.

        Yields what takes, at its end, the route and the status.
        """
        from opentelemetry.trace import SpanKind, StatusCode, use_span

        trace = without_anybody(kept.trace_of([(name.decode("latin-1"), value) for name, value in headers]))
        span = self._tracer.start_span(
            method, context=context_of(trace), kind=SpanKind.SERVER, attributes={"http.request.method": method}
        )
        with use_span(span, end_on_exit=True, record_exception=False), _logged(span):

            def conclude(route: str, status: int) -> None:
                span.update_name(f"{method} {route}")
                span.set_attributes({"http.route": route, "http.response.status_code": status})
                if status >= _FAULT or not status:
                    span.set_status(StatusCode.ERROR)

            yield conclude

    @contextmanager
    def sent(self, topic: str) -> Iterator[list[tuple[str, bytes]]]:
        """Around the sending of a message, with the headers that it is to bear."""
        from opentelemetry.trace import SpanKind, get_current_span, use_span

        if not get_current_span().get_span_context().is_valid:  # Nobody's call: the message's reader begins the trace.
            yield []
            return
        span = self._tracer.start_span(
            f"send {topic}", kind=SpanKind.PRODUCER, attributes={**_KAFKA, "messaging.destination.name": topic}
        )
        with use_span(span, end_on_exit=True):
            yield kept.headers_of(trace_in(span.get_span_context()))

    # --- The machine --------------------------------------------------------------------------------------------------

    @contextmanager
    def consumed(self, topic: str, messages: Sequence[Message]) -> Iterator[None]:
        """A span a sampled message; one that bears no context begins a trace, if it is sampled."""
        from opentelemetry.trace import SpanKind

        spans: dict[str, Span] = {}
        asked = {message.origine: message.trace for message in messages}
        links = links_to([trace for trace in asked.values() if trace is not None])
        for message in messages:
            span = self._tracer.start_span(
                f"process {topic}",
                context=context_of(message.trace),
                kind=SpanKind.CONSUMER,
                links=others(links, message.trace),
                attributes={
                    **_KAFKA,
                    "messaging.destination.name": topic,
                    "messaging.destination.partition.id": str(message.partition.partition),
                    "messaging.kafka.offset": message.offset,
                    "messaging.batch.message_count": len(messages),
                },
            )
            if span.is_recording():
                spans[message.origine] = span
        with _joined(spans, list(spans.values())):
            yield

    @contextmanager
    def followed(self, name: str, conn: Connection[Any], events: Sequence[RecordedEvent]) -> Iterator[None]:
        """A span a trace that this batch joins."""
        contexts = kept.kept_of(conn, events)
        links = links_to(list(contexts.values()))
        spans: dict[str, Span] = {}
        by_stream: dict[str, Span] = {}
        for read in events:
            trace = contexts.get(kept.event_key(read.event))
            if trace is None:
                continue
            span = spans.get(trace.traceparent)
            if span is None:
                span = spans[trace.traceparent] = self._tracer.start_span(
                    f"follow {name}",
                    context=context_of(trace),
                    links=others(links, trace),
                    attributes={"creances.follower": name, "creances.batch.event_count": len(events)},
                )
            span.add_event(read.event.TOPIC, {"creances.event": kept.event_key(read.event)})
            by_stream[read.event.originator_id] = span
        with _joined(by_stream, list(spans.values())):
            yield

    def recorded(self, conn: Connection[Any], lot: Batch) -> None:
        """A span for the events that a message, a call or a follower's batch records; its context is kept for each."""
        from opentelemetry.trace import get_current_span

        joined = _JOINED.get()
        current = get_current_span()
        waited: dict[str, Trace] = {}
        if joined is None and not current.is_recording():
            waited = kept.kept(conn, {entry.cause for entry in lot.entries if entry.cause.startswith("kafka:")})
        drawn: dict[str, tuple[Any, list[Entry]]] = {}
        for entry in lot.entries:
            parent = self._parent(joined, entry.cause, entry.event.originator_id, current)
            if parent is None and entry.cause not in waited:
                continue
            context = inside(parent) if parent is not None else context_of(waited.get(entry.cause))
            drawn.setdefault(f"{id(parent)}:{entry.cause}", (context, []))[1].append(entry)
        contexts = self._recorded(conn, drawn.values())
        by_key = {} if joined is None else joined.by_key
        for held in lot.held:
            origin = f"kafka:{held.partition.topic}/{held.partition.partition}@{held.offset}"
            if origin in by_key:
                contexts[origin] = trace_in(by_key[origin].get_span_context())
        kept.keep(conn, contexts)

    def _recorded(self, conn: Connection[Any], drawn: Collection[tuple[Any, list[Entry]]]) -> dict[str, Trace]:
        """Draw a span for each of these groups of events, linked to where its payments were opened; their contexts.

        The transaction's reference stands on each: by it, whoever has one of a payment's traces finds the others.
        """
        openings = {
            entry.event.originator_id: f"{entry.event.originator_id}:1"
            for _, entries in drawn
            for entry in entries
            if entry.event.originator_id.startswith(_PAYMENT) and entry.event.originator_version > 1
        }
        opened = kept.kept(conn, openings.values())
        contexts: dict[str, Trace] = {}
        for context, entries in drawn:
            streams = dict.fromkeys(entry.event.originator_id for entry in entries)
            began = [opened[key] for stream in streams if (key := openings.get(stream)) in opened]
            payments = [stream.removeprefix(_PAYMENT) for stream in streams if stream.startswith(_PAYMENT)]
            span = self._tracer.start_span(
                "record",
                context=context,
                links=links_to(began),
                attributes={"creances.cause": entries[0].cause},
            )
            if len(payments) == 1:
                span.set_attribute("creances.transaction", payments[0])
            for entry in entries:
                span.add_event(entry.event.TOPIC, {"creances.event": kept.event_key(entry.event)})
                if span.is_recording():
                    contexts[kept.event_key(entry.event)] = trace_in(span.get_span_context())
            span.end()
        return contexts

    @staticmethod
    def _parent(joined: _Joined | None, cause: str, stream: str, current: "Span") -> "Span | None":
        if joined is not None:
            return joined.by_key.get(cause) or joined.by_key.get(stream)
        return current if current.is_recording() else None


_FAULT: Final = 500
_PAYMENT: Final = Paiement.flux("")
_KAFKA: Final = {"messaging.system": "kafka"}


@contextmanager
def _joined(by_key: "Mapping[str, Span]", spans: "Sequence[Span]") -> Iterator[None]:
    """Around what handles these: told as failed if it raises, ended either way."""
    from opentelemetry.trace import StatusCode

    token = _JOINED.set(_Joined(by_key))
    try:
        if len(spans) == 1:
            with _logged(spans[0]):
                yield
        else:
            yield
    except BaseException as fault:
        for span in spans:
            span.set_status(StatusCode.ERROR, type(fault).__name__)
        raise
    finally:
        _JOINED.reset(token)
        for span in spans:
            span.end()


@contextmanager
def _logged(span: "Span") -> Iterator[None]:
    """Every log line meanwhile bears the span's ids, if it is recorded."""
    if not span.is_recording():
        yield
        return
    told = span.get_span_context()
    ids = {"trace_id": f"{told.trace_id:032x}", "span_id": f"{told.span_id:016x}"}
    with structlog.contextvars.bound_contextvars(**ids):
        yield


def sending(tracing: Tracing | None, topic: str) -> AbstractContextManager[list[tuple[str, bytes]]]:
    """See `Tracing.sent`; without a tracer, a message bears no header of it."""
    return nullcontext([]) if tracing is None else tracing.sent(topic)


def open_tracing(settings: Settings, roles: Sequence[str]) -> Tracing | None:
    """Trace this process, if a collector is configured; to be closed by the caller."""
    if settings.otlp_endpoint is None:
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    url = settings.otlp_endpoint
    if urlsplit(url).path in {"", "/"}:
        url = f"{url.rstrip('/')}/v1/traces"
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.trace_share)),
        resource=Resource.create({"service.name": "creances", "creances.roles": list(roles)}),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(endpoint=url, timeout=EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUED_MAX, schedule_delay_millis=1_000))
    tracing = Tracing(provider)
    kept.use(tracing)
    return tracing


__all__ = ["Tracing", "open_tracing", "sending"]
