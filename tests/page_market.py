"""Two markets that the live page shows: stored candles, indicators and signals, and what comes after them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from math import sin

from infra.settings import Settings
from schemas.records import (
    BookUpdate,
    Candle,
    Direction,
    IndicatorValue,
    LiveCandle,
    Micros,
    Notification,
    Quote,
    Record,
    Signal,
    TimeMark,
    Trade,
)
from schemas.topics import (
    BOOK_SAMPLES,
    CANDLES,
    INDICATORS,
    LIVE_CANDLES,
    NOTIFICATIONS,
    QUOTES,
    SIGNALS,
    TRADES,
    Topic,
)
from tests.sink_harness import BASE_US, PARTITIONS, Log, mark, query, running, until, until_passed, url_of

MINUTE_US = 60_000_000
FIRST_US = BASE_US - BASE_US % MINUTE_US
STORED = {"BTC/USDT": 700, "ETH/USDT": 50}
"""Candles that are stored of each market: more than a snapshot holds, and less."""
TRADES_STORED = 120
LEVELS = {"BTC/USDT": 60_000.0, "ETH/USDT": 3_000.0}


def price(symbol: str, number: int) -> float:
    """The close of a candle."""
    return round(LEVELS[symbol] * (1 + 0.01 * sin(number / 9)), 2)


def _values(symbol: str, number: int) -> tuple[tuple[str, float], ...]:
    return ("sma_20", price(symbol, number - 10)), ("rsi_14", 50 + 40 * sin(number / 9))


def candle(symbol: str, number: int) -> Candle:
    """The closed candle of a minute."""
    at = FIRST_US + number * MINUTE_US
    first, last = price(symbol, number - 1), price(symbol, number)
    prices = (first, max(first, last) + 1, min(first, last) - 1, last)
    volumes = (12.5, 12.5 * last, 7.0)
    return Candle(
        *("binance", symbol, "1m", at, at + MINUTE_US, *prices, *volumes, 42),
        *(None, None, 0, True, last),
    )


def open_candle(symbol: str, number: int, close: float) -> LiveCandle:
    """The candle of a minute that is half over."""
    at = FIRST_US + number * MINUTE_US
    first = price(symbol, number - 1)
    prices = (first, max(first, close), min(first, close), close)
    return LiveCandle(
        *("binance", symbol, "1m", at, at + MINUTE_US, *prices, 2.0, 2 * close, 1.0, 7, at + MINUTE_US // 2)
    )


def signal(symbol: str, number: int, direction: Direction) -> Signal:
    """A rule that has fired at a candle."""
    at = FIRST_US + number * MINUTE_US
    return Signal(
        f"{symbol}-{number}",
        *("binance", symbol, "1m", at, at + MINUTE_US, "rsi_level_14_30_70"),
        direction,
        0.5,
        {"rsi": 28.5},
        f"candle-{number}",
        True,
    )


class Desk:
    """Puts what a market does into the topics.

    Args:
        servers: Of Kafka.
    """

    def __init__(self, servers: str) -> None:
        self._log = Log(servers)

    def put(self, topic: Topic, record: Record) -> None:
        """A record of a market, with the key that processors give it."""
        key = f"{record.venue}:{record.symbol}"  # type: ignore[attr-defined]
        if isinstance(record, LiveCandle):
            key += f":{record.interval}"
        self._log.put(topic, 0, [record], key.encode())

    def closes(self, symbol: str, number: int) -> None:
        self.put(CANDLES, candle(symbol, number))

    async def closes_all(self, settings: Settings, symbol: str, numbers: range) -> None:
        """Closed candles, stored."""
        for number in numbers:
            self.closes(symbol, number)
        url, last = url_of(settings), FIRST_US + numbers[-1] * MINUTE_US
        async with running(settings, ["timescale"]) as task:
            found = f"SELECT FROM candles WHERE symbol = '{symbol}' AND time = to_timestamp({last / 1e6})"
            await until(lambda: bool(query(url, found)), task=task)

    def moves(self, symbol: str, number: int, close: float) -> None:
        self.put(LIVE_CANDLES, open_candle(symbol, number, close))

    def signals(self, symbol: str, number: int, direction: Direction) -> None:
        self.put(SIGNALS, signal(symbol, number, direction))

    def trades(self, symbol: str, trade_id: int, paid: float, at: Micros | None = None) -> None:
        """A trade of now, or of another time."""
        at = time.time_ns() // 1000 if at is None else at
        self.put(
            TRADES, Trade("binance", symbol, str(trade_id), trade_id, paid, 0.25, "sell", at, at + 5_000)
        )

    def quotes(self, symbol: str, bid: float) -> None:
        now = time.time_ns() // 1000
        self.put(QUOTES, Quote("binance", symbol, bid, 1.5, bid + 0.5, 2.5, 1, now, now))
        prices = [bid - step for step in range(10)], [bid + 0.5 + step for step in range(10)]
        sizes = [1.0 + step for step in range(10)]
        self.put(
            BOOK_SAMPLES,
            BookUpdate(
                *("binance", symbol, "snapshot", None, 1, None, prices[0], sizes, prices[1], sizes),
                *(None, now, now),
            ),
        )

    def notifies(self, subject: str) -> None:
        now = time.time_ns() // 1000
        message = Notification(subject, "signal.generated", "desk", subject, "a rule has fired", "1", now)
        self._log.put(NOTIFICATIONS, 0, [message])

    def fails(self) -> None:
        """A trade that nobody could read."""
        self._log.put(replace(TRADES, base_name=TRADES.dead_letter_name), 0, [b"no trade"])

    def delivers(self) -> None:
        """A time mark of now: the feed is there."""
        now = TimeMark("binance", "binance-spot-0", time.time_ns() // 1000, False, "page")
        self._log.put(TRADES, 0, [now])

    async def store(self, settings: Settings) -> None:
        """Store the past of all markets."""
        url = url_of(settings)
        for symbol, count in STORED.items():
            key = f"binance:{symbol}".encode()
            self._log.put(CANDLES, 0, [candle(symbol, number) for number in range(count)], key)
            values = [
                IndicatorValue("binance", symbol, "1m", FIRST_US + number * MINUTE_US, name, value, 0, True)
                for number in range(count)
                for name, value in _values(symbol, number)
            ]
            self._log.put(INDICATORS, 0, values, key)
            self._log.put(SIGNALS, 0, [signal(symbol, count - 10, "long")], key)
        trades = [
            Trade(
                "binance", "BTC/USDT", str(at), at, price("BTC/USDT", at), 0.5, "buy", FIRST_US + at, FIRST_US
            )
            for at in range(TRADES_STORED)
        ]
        self._log.put(TRADES, 0, trades)
        final = mark(FIRST_US + 1000 * MINUTE_US, final=True)
        for topic in (TRADES, CANDLES, INDICATORS, SIGNALS):
            for partition in range(PARTITIONS):
                self._log.put(topic, partition, [final])
        async with running(settings, ["timescale"]) as task:
            for topic in (TRADES, CANDLES, INDICATORS, SIGNALS):
                await until_passed(url, "timescale", topic, task=task)
            await until(lambda: bool(query(url, "SELECT FROM candles")), task=task)


def store(settings: Settings, servers: str) -> Desk:
    """The desk of markets whose past is stored."""
    desk = Desk(servers)
    asyncio.run(desk.store(settings))
    return desk
