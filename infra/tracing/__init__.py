"""Traces from the socket to the row, by OpenTelemetry's data model and protocol.

`current()` is the tracer of this process, None while tracing is off: then nothing here is done on the way of
the data. `docs/tracing.md` shows the spans; ADR 026 says why they are made as they are.
"""

from infra.tracing.context import CORRELATION, HEADER, SpanContext
from infra.tracing.sampled import SampledRecords
from infra.tracing.span import Kind, Span
from infra.tracing.tracer import Tracer, bound, close, configure, consumed, current, published, root_of

__all__ = [
    "CORRELATION",
    "HEADER",
    "Kind",
    "SampledRecords",
    "Span",
    "SpanContext",
    "Tracer",
    "bound",
    "close",
    "configure",
    "consumed",
    "current",
    "published",
    "root_of",
]
