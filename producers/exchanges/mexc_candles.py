"""MEXC's candles, and their intervals under the names of its streams and of its REST interfaces."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from producers import validation
from producers.exchange import BadRecord
from schemas.errors import ConfigurationError
from schemas.records import ExchangeCandle, Micros


class Interval(NamedTuple):
    """An interval.

    Attributes:
        name: As everywhere in this project.
        stream: In streams, spot and futures, and in the REST interface of futures.
        seconds: Its length, s.
        rest: In the REST interface of spot, empty where that has none.
    """

    name: str
    stream: str
    seconds: int
    rest: str


INTERVALS: Final = {
    interval.name: interval
    for interval in (
        Interval("1m", "Min1", 60, "1m"),
        Interval("5m", "Min5", 300, "5m"),
        Interval("15m", "Min15", 900, "15m"),
        Interval("30m", "Min30", 1_800, "30m"),
        Interval("1h", "Min60", 3_600, "60m"),
        Interval("4h", "Hour4", 14_400, "4h"),
        Interval("8h", "Hour8", 28_800, ""),
        Interval("1d", "Day1", 86_400, "1d"),
        Interval("1w", "Week1", 604_800, "1W"),
    )
}
"""By name. The venue's months are left out: they have no length of their own."""

BY_STREAM: Final = {interval.stream: interval for interval in INTERVALS.values()}
BY_REST: Final = {interval.rest: interval for interval in INTERVALS.values() if interval.rest}


def interval_of(name: str) -> Interval:
    """The interval of a name.

    Raises:
        ConfigurationError: The venue has no candles of it; the message lists those that it has.
    """
    try:
        return INTERVALS[name]
    except KeyError:
        raise ConfigurationError(f"mexc has no candles of {name}; it has {', '.join(INTERVALS)}") from None


def candle(
    symbol: str,
    interval: str,
    window: tuple[Micros, Micros],
    prices: Sequence[float],
    volumes: tuple[float, float],
    event_time: Micros | None,
    receive_time: Micros,
) -> ExchangeCandle:
    """A candle of the venue.

    Args:
        symbol: Unified symbol.
        interval: Its interval's name.
        window: Its start and end, µs.
        prices: Open, high, low and close.
        volumes: Base units and quote currency.
        event_time: Time of the message, µs.
        receive_time: When it came, µs.

    Raises:
        BadRecord: The prices do not fit each other, or the window has no length.
    """
    if not window[0] < window[1]:
        raise BadRecord("time", f"expected a candle that ends after its start, got {window}")
    open_, high, low, close = prices
    validation.ohlc(open_, high, low, close, volumes[0])
    return ExchangeCandle(
        venue="mexc",
        symbol=symbol,
        interval=interval,
        open_time=window[0],
        close_time=window[1],
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volumes[0],
        quote_volume=volumes[1],
        taker_buy_volume=None,
        trade_count=None,
        first_sequence=None,
        last_sequence=None,
        closed=None,
        event_time=event_time,
        receive_time=receive_time,
    )
