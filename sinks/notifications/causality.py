"""What a message goes back to: its cause's correlation id and trace, in the log, the span and the record."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from infra.kafka.publisher import Headers
from infra.tracing import CORRELATION, HEADER, Kind, Span, SpanContext, Tracer, bound
from sinks.notifications.parcels import Cause


@contextmanager
def delivering(tracer: Tracer | None, cause: Cause, sink: str, channel: str) -> Iterator[Headers]:
    """Around one attempt to send a message; gives the headers of the record that tells of it.

    Args:
        tracer: Takes the span of the attempt; None: tracing is off.
        cause: The first that the message tells of.
        sink: Name of the sink, whose span of the cause is the one above.
        channel: Name of the channel.
    """
    known = {name: value for name, value in cause.headers if value is not None}
    correlation = known.get(CORRELATION, cause.id.encode())
    headers: list[tuple[str, str | bytes | None]] = [(CORRELATION, correlation)]
    with structlog.contextvars.bound_contextvars(correlation_id=correlation.decode("utf-8", "replace")):
        published = SpanContext.read(known.get(HEADER))
        if tracer is None or published is None or not published.sampled:
            yield headers
            return
        ref = cause.ref
        above = published.child_at(f"sink {sink}", ref.topic, ref.partition, cause.offset)
        own = above.fresh()
        headers.append((HEADER, own.traceparent))
        began_ns, failure = time.time_ns(), ""
        try:
            with bound(own):
                yield headers
        except Exception as error:
            failure = str(error) or type(error).__name__
            raise
        finally:
            tracer.put(
                Span(
                    f"deliver {channel}",
                    own,
                    above.span_id,
                    began_ns,
                    time.time_ns(),
                    Kind.CLIENT,
                    {"kandle.channel": channel, "kandle.cause": cause.id},
                    failure,
                )
            )
