"""The headers of signals: they are few, and people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.event_types import checked
from schemas.records import Signal

SIGNAL_TYPE: Final = checked("strategy.signal")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def signal_headers(signal: Signal) -> list[tuple[str, str]]:
    """CloudEvents attributes of a signal, binary mode."""
    when = _EPOCH + timedelta(microseconds=signal.event_time)
    return [
        ("ce_specversion", "1.0"),
        ("ce_id", signal.id),
        ("ce_type", SIGNAL_TYPE),
        ("ce_source", f"kandle/{signal.rule}"),
        ("ce_time", when.isoformat(timespec="microseconds").replace("+00:00", "Z")),
    ]
