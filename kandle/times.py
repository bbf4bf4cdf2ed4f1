"""Times in files: ISO 8601, or numbers since the epoch in whatever unit an exchange counts."""

import datetime as dt
from decimal import Decimal, InvalidOperation
from typing import Final

LARGEST_S, LARGEST_MS, LARGEST_US = 10**11, 10**14, 10**17
"""Numbers below are seconds, milliseconds, microseconds; others nanoseconds. All agree from 1973 to 5138."""

_LARGEST_NS: Final = 10**21
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


def parse_time(text: str) -> int:
    """Microseconds since the epoch, rounded down; ISO 8601 without an offset is UTC.

    Raises:
        ValueError: It is neither a number nor ISO 8601.
    """
    text = text.strip()
    try:
        number = Decimal(text)
    except InvalidOperation:
        return _parse_iso(text)
    if not number.is_finite():
        raise ValueError(f"time is a number or ISO 8601, got {text!r}")
    size = abs(number)
    if size >= _LARGEST_NS:
        raise ValueError(f"time lies between the years 1 and 9999, got {text!r}")
    if size >= LARGEST_US:
        return int(number // 1_000)
    return int(number * (1 if size >= LARGEST_MS else 1_000 if size >= LARGEST_S else 1_000_000) // 1)


def _parse_iso(text: str) -> int:
    try:
        moment = dt.datetime.fromisoformat(text.removesuffix("UTC").rstrip())
    except ValueError:
        raise ValueError(f"time is a number or ISO 8601, got {text!r}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return (moment - _EPOCH) // _MICROSECOND


def format_time(time_us: int) -> str:
    """ISO 8601, UTC, with six decimals where the second is not whole.

    Raises:
        ValueError: The time lies outside of the years 1 to 9999.
    """
    try:
        moment = _EPOCH + dt.timedelta(microseconds=time_us)
    except OverflowError:
        raise ValueError(f"time lies between the years 1 and 9999, got {time_us} µs") from None
    return moment.replace(tzinfo=None).isoformat() + "Z"
