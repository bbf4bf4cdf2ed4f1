"""What a process traces: who begins a trace, and where finished spans go. None while tracing is off."""

import atexit
import math
import os
import platform
import random
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Final

from infra.kafka.record_batches import RawRecords
from infra.logging import SPAN
from infra.settings.tracing import TracingSettings
from infra.tracing.context import SpanContext
from infra.tracing.exporter import Exporter
from infra.tracing.sampled import SampledRecords
from infra.tracing.span import Kind, Span, Value

SCOPE: Final = "kandle"
SPANS_A_BATCH: Final = 4
"""Of the sampled records of a batch those with the lowest trace ids have spans: so the traces that are left
out are the same ones in all stages. A live market brings some ten batches a second and partition."""


class Tracer:
    """Chooses what is traced, and takes finished spans; use `choose` from one thread.

    Args:
        settings: How many, and where to; `sample` must be above 0.
        stage: What this process does.
    """

    def __init__(self, settings: TracingSettings, stage: str) -> None:
        version = metadata.version("kandle")
        resource: dict[str, Value] = {
            "service.name": f"kandle-{stage}",
            "service.version": version,
            "service.instance.id": f"{platform.node()}-{os.getpid()}",
            "host.name": platform.node(),
            "process.pid": os.getpid(),
            "telemetry.sdk.name": SCOPE,
            "telemetry.sdk.language": "python",
            "telemetry.sdk.version": version,
        }
        self._rest = math.log1p(-settings.sample) if settings.sample < 1.0 else -math.inf
        self._skip = self._gap()
        self.candle_every_us = round(settings.candle_every_s * 1_000_000)
        """Event time between two trades of a partition whose traces candles continue, at least."""
        self._most = self._left = settings.most_per_s
        self._second = 0
        self._looked_at: SampledRecords | None = None
        self._exporter = Exporter(settings, resource, (SCOPE, version))
        self.put = self._exporter.put
        """Takes a finished span; never blocks."""

    def choose(self, count: int) -> Sequence[int]:
        """Which of the next `count` things, frames or requests, begin a trace: their numbers from 0."""
        at = self._skip
        if at >= count:
            self._skip = at - count
            return ()
        chosen = []
        while at < count:
            chosen.append(at)
            at += 1 + self._gap()
        self._skip = at - count
        return chosen[: self._begun(len(chosen))]

    def _begun(self, wanted: int) -> int:
        """How many of so many traces may begin in this second."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._left = second, self._most
        granted = min(wanted, self._left)
        self._left -= granted
        return granted

    def _gap(self) -> int:
        """Things between two that are chosen: as if each were chosen by chance, without asking for each."""
        return int(math.log(1.0 - random.random()) / self._rest)  # noqa: S311 - no secret depends on it

    def sampled(self, records: RawRecords) -> SampledRecords:
        """The sampled records of a batch; several steps may ask, it is looked through once."""
        looked_at = self._looked_at
        if looked_at is None or looked_at.records is not records:
            looked_at = self._looked_at = SampledRecords.of(records)
        return looked_at

    def put_batch(
        self,
        operation: str,
        records: RawRecords,
        where: tuple[str, int],
        began_ns: int,
        about: str,
        attributes: Mapping[str, Value],
        *,
        by_place: bool = False,
    ) -> None:
        """Take a span for each of some sampled records of a batch, below what has published it.

        Args:
            operation: What was done with it.
            records: The batch; it has been worked on.
            where: Their topic and partition.
            began_ns: When the batch was begun, nanoseconds since the epoch; it ends now.
            about: Names the step: `SpanContext.child` of it is the span that is made here.
            attributes: Of all of them.
            by_place: Records may have one publishing span: `SpanContext.child_at` it is, not `child`.
        """
        sampled, self._looked_at = self.sampled(records), None
        if not len(sampled):
            return
        topic, partition = where
        ended_ns = time.time_ns()
        of_all = {**consumed(operation, topic, partition), **attributes}
        for row, parent in sampled.lowest(SPANS_A_BATCH):
            offset = int(records.offsets[row])
            of_one = {**of_all, "messaging.kafka.offset": offset}
            context = parent.child_at(about, topic, partition, offset) if by_place else parent.child(about)
            self.put(
                Span(
                    f"{operation} {topic}",
                    context,
                    parent.span_id,
                    began_ns,
                    ended_ns,
                    Kind.CONSUMER,
                    of_one,
                )
            )
        if len(sampled) > SPANS_A_BATCH:
            self._exporter.leave_out(len(sampled) - SPANS_A_BATCH)

    def close(self) -> None:
        """Send what waits, for a second at most."""
        self._exporter.close()


def consumed(operation: str, topic: str, partition: int) -> dict[str, Value]:
    """Attributes of a span that is about a record that was read."""
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": operation,
        "messaging.operation.type": "process",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(partition),
    }


def published(topic: str, partition: int) -> dict[str, Value]:
    """Attributes of a span that is about a record that was written."""
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(partition),
    }


def root_of(header: bytes | None) -> SpanContext:
    """The span of a request: below what has called us, if it says so, or the first of a trace."""
    caller = SpanContext.read(header)
    return SpanContext.root() if caller is None else caller.fresh()


class bound:  # noqa: N801 - used as a context manager, as a function would be
    """Lines of the log that are written within name this span, and its trace."""

    __slots__ = ("_before", "_named")

    def __init__(self, context: SpanContext) -> None:
        self._named = context.trace_id, context.span_id

    def __enter__(self) -> None:
        self._before = SPAN.set(self._named)

    def __exit__(self, *_: object) -> None:
        SPAN.reset(self._before)


_current: Tracer | None = None


def configure(settings: TracingSettings, stage: str) -> None:
    """Trace in this process from now on, or not, as the settings say; `stage` names it."""
    global _current
    close()
    if settings.is_on:
        _current = Tracer(settings, stage)


def current() -> Tracer | None:
    """The tracer of this process; None: tracing is off. Ask once, when a part is made."""
    return _current


@atexit.register
def close() -> None:
    """Send what waits, for a second at most, and trace no more."""
    global _current
    tracer, _current = _current, None
    if tracer is not None:
        tracer.close()
