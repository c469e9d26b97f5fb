"""From the contexts that the machine keeps to OpenTelemetry's, and back; the library is imported where it is used."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from domain.nir import contient_un_nir
from engine.messages import Trace

if TYPE_CHECKING:
    from opentelemetry.trace import Link, Span, SpanContext

LINKS_MAX: Final = 32
"""Other traces of its batch that a span names, at most."""


def without_anybody(trace: Trace | None) -> Trace | None:
    """The same context, without a `tracestate` that may name a person: it would be kept, and published.

    A caller writes it as it likes; a key may say its tenant after an `@`, a value has no use for one.
    """
    if trace is None or trace.tracestate is None:
        return trace
    values = [member.partition("=")[2] for member in trace.tracestate.split(",")]
    named = any("@" in value or "%40" in value for value in values) or contient_un_nir(trace.tracestate)
    return trace._replace(tracestate=None) if named else trace


def span_context(trace: Trace) -> "SpanContext":
    """The span that this context names."""
    from opentelemetry.trace import SpanContext, TraceFlags, TraceState

    _, trace_id, span_id, flags = trace.traceparent.split("-")
    state = TraceState.from_header([trace.tracestate]) if trace.tracestate else None
    return SpanContext(int(trace_id, 16), int(span_id, 16), True, TraceFlags(int(flags, 16)), state)  # noqa: FBT003


def context_of(trace: Trace | None) -> Any:
    """The OpenTelemetry context of a span whose parent is there; an empty one begins a trace."""
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, set_span_in_context

    return Context() if trace is None else set_span_in_context(NonRecordingSpan(span_context(trace)), Context())


def inside(span: "Span") -> Any:
    """The OpenTelemetry context of what happens inside this span, and of nothing else."""
    from opentelemetry.context import Context
    from opentelemetry.trace import set_span_in_context

    return set_span_in_context(span, Context())


def trace_in(told: "SpanContext") -> Trace:
    """The context that names this span."""
    parent = f"00-{told.trace_id:032x}-{told.span_id:016x}-{int(told.trace_flags) & 1:02x}"
    return Trace(parent, told.trace_state.to_header() or None)


def others(links: "Sequence[Link]", own: Trace | None) -> "list[Link]":
    """These links, but the one to itself."""
    mine = None if own is None else int(own.traceparent.split("-")[2], 16)
    return [link for link in links if link.context.span_id != mine][:LINKS_MAX]


def links_to(traces: "Sequence[Trace]") -> "list[Link]":
    """Links to those of these contexts that are recorded."""
    from opentelemetry.trace import Link

    distinct = {trace.traceparent: trace for trace in traces if trace.traceparent.endswith("-01")}
    return [Link(span_context(trace)) for trace in list(distinct.values())[: LINKS_MAX + 1]]
