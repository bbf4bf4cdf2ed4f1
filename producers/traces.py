"""The spans of a frame: read from the socket, parsed, published."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import repeat
from typing import Final, TypeAlias

from infra.kafka.publisher import Told
from infra.tracing import HEADER, Kind, Span, SpanContext, Tracer, bound, published
from infra.tracing.span import Value
from producers.connection import Portion
from producers.outputs import Output, Refusal

Take: TypeAlias = Callable[[bytes, int, float, list[Output]], None]
"""`Feed.take`."""
TracedOutputs: TypeAlias = dict[int, tuple[Output, SpanContext]]
"""Outputs by their identity, with the span that has made each."""
RECORDS_A_FRAME: Final = 16
"""Of a frame that holds many records, the first have spans."""


class FrameTraces:
    """Chooses frames of a session and times what is done with them.

    Args:
        venue: Venue of the frames.
        tracer: Takes the spans.
    """

    def __init__(self, venue: str, tracer: Tracer) -> None:
        self._venue = venue
        self._tracer = tracer
        self._outputs: TracedOutputs = {}

    def takes(self, portion: Portion, take: Take) -> Iterable[Take]:
        """For each frame of a portion `take` itself, or, for those that are chosen, one that times it."""
        chosen = self._tracer.choose(len(portion.frames))
        if not chosen:
            return repeat(take)
        found, timed = [take] * len(portion.frames), partial(self._trace, take)
        for number in chosen:
            found[number] = timed
        return found

    def outputs(self) -> TracedOutputs:
        """The outputs of chosen frames since the last call."""
        found, self._outputs = self._outputs, {}
        return found

    def _trace(self, take: Take, frame: bytes, receive_time: int, at_s: float, out: list[Output]) -> None:
        received = SpanContext.root()
        parsed = received.fresh()
        count, taken_ns = len(out), time.time_ns()
        with bound(parsed):
            take(frame, receive_time, at_s, out)
        parsed_ns = time.time_ns()
        made = out[count:]
        refused = next((output for output in made if isinstance(output, Refusal)), None)
        of_frame: dict[str, Value] = {"kandle.venue": self._venue, "kandle.frame.bytes": len(frame)}
        self._tracer.put(
            Span(
                f"receive {self._venue}",
                received,
                b"",
                receive_time * 1_000,
                taken_ns,
                Kind.CONSUMER,
                of_frame,
            )
        )
        self._tracer.put(
            Span(
                f"parse {self._venue}",
                parsed,
                received.span_id,
                taken_ns,
                parsed_ns,
                attributes={"kandle.outputs": len(made)},
                error="" if refused is None else str(refused.error),
            )
        )
        # What another frame has brought, and this one has released, is not of this trace.
        own = [output for output in made if getattr(output, "receive_time", None) == receive_time]
        for output in own[:RECORDS_A_FRAME]:
            self._outputs[id(output)] = output, parsed


def publishing(tracer: Tracer, parent: SpanContext, topic: str, symbol: str) -> Told:
    """The header of a record that is handed to Kafka now, and what ends its span."""
    context = parent.fresh()
    handed_over_ns = time.time_ns()

    def acknowledged(partition: int, offset: int) -> None:
        tracer.put(
            Span(
                f"publish {topic}",
                context,
                parent.span_id,
                handed_over_ns,
                time.time_ns(),
                Kind.PRODUCER,
                {**published(topic, partition), "messaging.kafka.offset": offset, "kandle.symbol": symbol},
            )
        )

    return [(HEADER, context.traceparent)], acknowledged
