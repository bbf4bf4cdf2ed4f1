"""The headers of signals: they are few, and people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from infra.tracing import CORRELATION, HEADER, SpanContext
from schemas.event_types import checked
from schemas.records import Signal

SIGNAL_TYPE: Final = checked("strategy.signal")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def signal_headers(
    signal: Signal, cause: SpanContext | None = None, correlation: bytes | None = None
) -> list[tuple[str, str | bytes | None]]:
    """CloudEvents attributes of a signal, binary mode.

    Args:
        signal: The signal.
        cause: The span in which it arose, where it is traced.
        correlation: The correlation id of what has caused it, if that has one.
    """
    when = _EPOCH + timedelta(microseconds=signal.event_time)
    headers: list[tuple[str, str | bytes | None]] = [
        ("ce_specversion", "1.0"),
        ("ce_id", signal.id),
        ("ce_type", SIGNAL_TYPE),
        ("ce_source", f"kandle/{signal.rule}"),
        ("ce_time", when.isoformat(timespec="microseconds").replace("+00:00", "Z")),
    ]
    if cause is not None:
        headers.append((HEADER, cause.traceparent))
    if correlation is not None:
        headers.append((CORRELATION, correlation))
    return headers
