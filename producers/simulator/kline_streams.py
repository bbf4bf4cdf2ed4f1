"""Candles as Binance streams them, counted from the trades that were told."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from producers.simulator.encoder import Pushed, plain
from producers.simulator.figures import MONDAY_MS, UNITS_MS, Bar, Execution, bars_of, interval_ms_of
from producers.simulator.venues.binance import BinanceSpotSimulated
from schemas.records import Micros, Trade

KLINE: Final = "@kline_"


class _Stream(NamedTuple):
    """A stream of candles: the venue's symbol in lower case, the interval and its length."""

    name: str
    interval: str
    interval_ms: int


class KlineStreams:
    """The streams `<symbol>@kline_<interval>` that somebody is subscribed to.

    The venue tells each second how the open candle stands, and once that it is closed. Here seconds are those
    of the time marks, which also say that no trade of a candle is still to come. A candle without a trade is
    not told, nor is one of a stream that was recorded.

    Args:
        venue: Knows what was traded before a stream was subscribed.
    """

    def __init__(self, venue: BinanceSpotSimulated) -> None:
        self._venue = venue
        self._streams: dict[str, _Stream | None] = {}
        self._bars: dict[_Stream, list[Bar]] = {}
        """Of each stream the candles that are not told to be closed yet, oldest first."""
        self._closed: dict[_Stream, int] = {}
        """Opening of the newest candle that was told to be closed, ms."""
        self._told: Micros = 0

    def add(self, trade: Trade, venue_symbol: str) -> None:
        """Count a trade; one that comes after its candle was told to be closed changes nothing."""
        one: Execution | None = None
        for stream, bars in self._bars.items():
            if stream.name.upper() != venue_symbol or not trade.trade_id.isdecimal():
                continue
            one = one or Execution(
                int(trade.trade_id),
                plain(trade.price),
                plain(trade.size),
                trade.event_time // 1_000,
                trade.side == "sell",
            )
            offset = MONDAY_MS if stream.interval_ms == UNITS_MS["w"] else 0
            open_ms = (one.time_ms - offset) // stream.interval_ms * stream.interval_ms + offset
            if open_ms <= self._closed.get(stream, -1):
                continue
            bar = next((bar for bar in bars if bar.open_ms == open_ms), None)
            if bar is None and (not bars or open_ms > bars[-1].open_ms):
                bar = Bar(open_ms, one.price, one.price, one.price, one.price, one.number, one.number)
                bars.append(bar)
            if bar is not None:
                bar.add(one)

    def leave(self, stream: str) -> None:
        """The candles of this stream were recorded."""
        self._streams[stream] = None

    def told(self, time: Micros, streams: Callable[[], set[str]]) -> list[Pushed]:
        """What is told at a mark: the candles that have ended before its time, and those that stand open.

        Args:
            time: Of the mark; marks of a time stand in each partition, and the first one counts.
            streams: The streams that are subscribed.
        """
        if time <= self._told:
            return []
        self._told = time
        self._follow(streams())
        found: list[Pushed] = []
        for stream, bars in self._bars.items():
            while bars:
                is_closed = (bars[0].open_ms + stream.interval_ms) * 1_000 <= time
                found.append(_pushed(stream, bars[0], time // 1_000, is_closed))
                if not is_closed:
                    break
                self._closed[stream] = bars.pop(0).open_ms
        return found

    def _follow(self, streams: set[str]) -> None:
        wanted = [found for stream in streams if (found := self._stream(stream)) is not None]
        for left in self._bars.keys() - set(wanted):
            del self._bars[left]
        for stream in wanted:
            if stream not in self._bars:
                traded = bars_of(self._venue.executions(stream.name.upper()), stream.interval_ms)
                self._bars[stream] = traded[-1:]

    def _stream(self, key: str) -> _Stream | None:
        if key not in self._streams:
            name, is_kline, interval = key.partition(KLINE)
            interval_ms = interval_ms_of(interval) if is_kline else None
            self._streams[key] = None if interval_ms is None else _Stream(name, interval, interval_ms)
        return self._streams[key]


def _pushed(stream: _Stream, bar: Bar, time_ms: int, is_closed: bool) -> Pushed:
    symbol = stream.name.upper()
    kline: dict[str, Any] = {
        "t": bar.open_ms,
        "T": bar.open_ms + stream.interval_ms - 1,
        "s": symbol,
        "i": stream.interval,
        "f": bar.first_id,
        "L": bar.last_id,
        "o": bar.open,
        "c": bar.close,
        "h": bar.high,
        "l": bar.low,
        "v": f"{bar.volume:.8f}",
        "n": bar.count,
        "x": is_closed,
        "q": f"{bar.worth:.8f}",
        "V": f"{bar.taker_volume:.8f}",
        "Q": f"{bar.taker_worth:.8f}",
        "B": "0",
    }
    data = {"e": "kline", "E": time_ms, "s": symbol, "k": kline}
    return Pushed(f"{stream.name}{KLINE}{stream.interval}", msgspec.json.encode(data))
