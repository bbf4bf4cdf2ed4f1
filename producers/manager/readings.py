"""Answers of ccxt as our records: numbers, times and the rules of candles checked. Pure."""

import contextlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ccxt.base.exchange import Exchange as Ccxt

from producers import validation
from producers.exchange import BadRecord
from producers.manager.records import Candles, PastCandle, PastTrade, VenueTicker
from schemas.records import Micros

COLUMNS: Final = 5
"""Of a row of candles that must be there: time, open, high, low, close."""


def ticker(venue: str, market: str, symbol: str, row: Mapping[str, Any], receive_time: Micros) -> VenueTicker:
    """A ticker of ccxt's form.

    Raises:
        BadRecord: It has no price, or a figure breaks a rule.
    """
    last = _number(row.get("last"))
    if last is None:
        raise BadRecord("price", f"{venue} tells no last price of {symbol}")
    time = row.get("timestamp")
    return VenueTicker(
        venue=venue,
        market=market,
        symbol=symbol,
        price=validation.price_number(last),
        bid=_price(row.get("bid")),
        ask=_price(row.get("ask")),
        volume=_volume(row.get("baseVolume")),
        change_24h=_number(row.get("change")),
        change_percent_24h=_number(row.get("percentage")),
        high_24h=_price(row.get("high")),
        low_24h=_price(row.get("low")),
        timestamp=None if time is None else validation.micros(int(time)),
        receive_time=receive_time,
    )


def candles(
    venue: str,
    symbol: str,
    interval: str,
    rows: Sequence[Sequence[Any]],
    multiplier: float | None,
    now: Micros,
) -> Candles:
    """Candles of ccxt's form, each a row of time in ms, open, high, low, close, volume.

    Args:
        venue: Our name of the venue.
        symbol: Unified symbol.
        interval: Of each candle.
        rows: The figures, oldest first.
        multiplier: Base units of one unit of volume; None where it is not known, then there is no volume.
        now: By our clock.

    Returns:
        The candles, and how many rows are none: a column is missing (`column`), prices do not fit each other
        or the volume is negative (`ohlc`), a number is out of range (`price`, `size`, `number`), the times do
        not ascend (`time`).
    """
    kept: list[PastCandle] = []
    rejected = Counter[str]()
    longest_us = int(Ccxt.parse_timeframe(interval)) * 1_000_000
    # Months and years are told in days of the average; the longest have these.
    longest_us = longest_us // 30 * 31 if interval.endswith("M") else longest_us
    for position, row in enumerate(rows):
        try:
            open_time, prices, volume = _figures(row, after=kept[-1].open_time if kept else 0)
        except BadRecord as error:
            rejected[error.reason] += 1
            continue
        kept.append(
            PastCandle(
                venue=venue,
                symbol=symbol,
                interval=interval,
                open_time=open_time,
                open=prices[0],
                high=prices[1],
                low=prices[2],
                close=prices[3],
                volume=None
                if volume is None or multiplier is None
                else validation.base_size(volume, multiplier),
                closed=position < len(rows) - 1 or open_time + longest_us <= now,
            )
        )
    return Candles(kept, dict(rejected))


def trades(rows: Sequence[Mapping[str, Any]]) -> list[PastTrade]:
    """Public trades of ccxt's form, ordered by their ids.

    Raises:
        BadRecord: One breaks a rule.
    """
    found = []
    for row in rows:
        price, amount = _number(row.get("price")), _number(row.get("amount"))
        if price is None or amount is None:
            raise BadRecord("column", f"expected a price and an amount, got {dict(row)}")
        size = validation.size_number(amount)
        time = validation.micros(int(row["timestamp"]))
        side = 1 if row.get("side") == "buy" else -1
        found.append(PastTrade(time, validation.price_number(price), size, side, int(row["id"])))
    return sorted(found, key=lambda trade: trade.id)


def _figures(row: Sequence[Any], after: Micros) -> tuple[Micros, list[float], float | None]:
    """Time, prices and volume of a row.

    Raises:
        BadRecord: A rule is broken.
    """
    values = [_number(value) for value in row[: COLUMNS + 1]]
    told = [value for value in values[:COLUMNS] if value is not None]
    if len(told) < COLUMNS:
        raise BadRecord("column", f"expected a time and four prices, got {list(row)[:COLUMNS]}")
    time, *prices = told
    volume = values[COLUMNS] if len(values) > COLUMNS else None
    open_, high, low, close = map(validation.price_number, prices)
    validation.ohlc(open_, high, low, close, volume)
    open_time = validation.micros(int(time))
    if open_time <= after:
        raise BadRecord("time", f"expected a time after {after}, got {open_time}")
    return open_time, prices, volume


def _number(value: Any) -> float | None:
    if value is None:
        return None
    with contextlib.suppress(TypeError, ValueError):
        number = float(value)
        if math.isfinite(number):
            return number
    raise BadRecord("number", f"expected a finite number, got {value!r}")


def _price(value: Any) -> float | None:
    """A price above 0; 0 is how venues say that there is none."""
    number = _number(value)
    return validation.price_number(number) if number else None


def _volume(value: Any) -> float | None:
    number = _number(value)
    return None if number is None else validation.size_number(number)
