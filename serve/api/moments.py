"""Times, names and ranges in a query."""

import datetime as dt
from typing import Annotated, Any, Final

from fastapi import Depends, HTTPException, Query
from pydantic import BeforeValidator, Field, WithJsonSchema

from serve.store import Range

LATEST_US: Final = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


def micros(value: Any) -> Any:
    """Microseconds since the epoch of a number or an RFC 3339 time.

    Raises:
        ValueError: It is neither, or without an offset from UTC.
    """
    if value is None or isinstance(value, int):
        return value
    text = str(value)
    if text.isascii() and text.isdecimal():
        return int(text) if len(text) < 20 else LATEST_US + 1
    try:
        # A + that was not quoted arrives as a space.
        moment = dt.datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise ValueError(
            f"a time is µs since the epoch or RFC 3339, 2026-01-31T12:00:00Z; got {text!r:.60}"
        ) from None
    if moment.tzinfo is None:
        raise ValueError(f"a time needs its offset from UTC, as 2026-01-31T12:00:00Z; got {text!r}")
    return (moment - _EPOCH) // _MICROSECOND


def moment(time_us: int) -> dt.datetime:
    """A time as the database takes it."""
    return _EPOCH + time_us * _MICROSECOND


Moment = Annotated[
    int | None,
    BeforeValidator(micros),
    Field(ge=0, le=LATEST_US),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": LATEST_US},
                {"type": "string", "format": "date-time"},
            ]
        }
    ),
]
VENUE: Final = r"^[a-z0-9_-]{1,32}$"
SYMBOL: Final = r"^[^\s\x00-\x1f\x7f/]{1,32}/[^\s\x00-\x1f\x7f/]{1,32}$"
INTERVAL: Final = r"^[1-9][0-9]{0,4}[smhdwM]$"
NAME: Final = r"^[^\x00-\x1f\x7f]{1,200}$"
MEANINGS: Final = {
    VENUE: "a name in lower case, as binance",
    SYMBOL: "a unified symbol, as BTC/USDT",
    INTERVAL: "a length, as 1m",
    NAME: "a name of 200 characters at most, none of them a control character",
}
"""What the patterns mean, for people."""

Venue = Annotated[str, Query(pattern=VENUE, description="venue in lower case", examples=["binance"])]
Symbol = Annotated[str, Query(pattern=SYMBOL, description="unified symbol", examples=["BTC/USDT"])]
Interval = Annotated[str, Query(pattern=INTERVAL, description="length of a candle", examples=["1m"])]
AnyVenue = Annotated[str | None, Query(pattern=VENUE, description="this venue only")]
AnySymbol = Annotated[str | None, Query(pattern=SYMBOL, description="this unified symbol only")]
AnyInterval = Annotated[str | None, Query(pattern=INTERVAL, description="this length only")]
Limit = Annotated[int, Query(ge=1, le=50_000, description="rows, at most; serve.rows bounds it further")]


def newest(limit: int) -> Any:
    """The dependency that reads which rows a query means: the newest `limit` unless it says more."""

    def within(
        first: Annotated[
            Moment, Query(alias="from", description="first time, µs since the epoch or RFC 3339")
        ] = None,
        to: Annotated[Moment, Query(description="end, exclusive")] = None,
        before: Annotated[
            Moment, Query(description="only older rows: what the last answer named `before`")
        ] = None,
        limit: Limit = limit,
    ) -> Range:
        if first is not None and to is not None and first > to:
            raise HTTPException(422, "from is later than to: the range is [from, to)")
        ends = [end for end in (to, before) if end is not None]
        return Range(first, min(ends, default=None), limit)

    return Depends(within)
