"""Values that cannot be: each in the dead letters of its channel with the reason, none in a market topic."""

import asyncio
import itertools
import json
from typing import Any

import pytest

from producers import stage
from schemas.records import BookUpdate, ExchangeCandle, Quote, Ticker, TimeMark, Trade
from schemas.topics import BOOKS, EXCHANGE_CANDLES, QUOTES, TICKERS, TRADES
from tests.producer_harness import NOW_MS, ScriptedVenue, Topics, settings_for

BAD_PRICES: list[Any] = [
    "NaN",
    "Infinity",
    "-Infinity",
    "0",
    "-1.5",
    "1e308",
    "1,234.5",
    "",
    "abc",
    None,
    [],
    1.5,
]
BAD_TIMES_MS: list[Any] = [0, 1_000, NOW_MS // 1_000, NOW_MS * 1_000_000, -NOW_MS, "soon", None]
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def topics(kafka: str) -> Topics:
    found = Topics(kafka)
    found.renew()
    return found


def frame(stream: str, data: dict[str, Any]) -> str:
    return json.dumps({"stream": f"btcusdt@{stream}", "data": data}, separators=(",", ":"))


def trade(number: int, **fields: Any) -> str:
    data = {
        "e": "trade",
        "s": "BTCUSDT",
        "t": number,
        "p": "1.5",
        "q": "2.0",
        "T": NOW_MS + number,
        "m": True,
    }
    return frame("trade", data | fields)


def quote(number: int, **fields: Any) -> str:
    return frame(
        "bookTicker", {"u": number, "s": "BTCUSDT", "b": "1.0", "B": "2.0", "a": "1.1", "A": "3.0"} | fields
    )


def candle(**fields: Any) -> str:
    kline = {"t": NOW_MS - NOW_MS % 60_000, "T": NOW_MS - NOW_MS % 60_000 + 59_999, "s": "BTCUSDT", "i": "1m"}
    kline |= {"o": "1.5", "c": "1.6", "h": "1.7", "l": "1.4", "v": "3", "q": "4.5", "n": 2, "x": True}
    kline |= {"f": 1, "L": 2, "V": "1", "Q": "1.5", "B": "0"}
    return frame("kline_1m", {"e": "kline", "E": NOW_MS, "s": "BTCUSDT", "k": kline | fields})


def ticker(**fields: Any) -> str:
    data = {"e": "24hrTicker", "E": NOW_MS, "s": "BTCUSDT", "p": "0.1", "P": "1.0", "w": "1.5", "x": "1.4"}
    data |= {"c": "1.5", "Q": "1", "b": "1.4", "B": "1", "a": "1.6", "A": "1", "o": "1.4", "h": "1.7"}
    data |= {"l": "1.3", "v": "100", "q": "150", "O": NOW_MS - DAY_MS, "C": NOW_MS, "F": 1, "L": 9, "n": 9}
    return frame("ticker", data | fields)


def delta(**fields: Any) -> str:
    data = {"e": "depthUpdate", "E": NOW_MS, "s": "BTCUSDT", "U": 5, "u": 6, "b": [["1.0", "2.0"]], "a": []}
    return frame("depth@100ms", data | fields)


async def test_bad_values_of_every_channel_are_dead_letters(topics: Topics) -> None:
    bad: dict[str, list[str | bytes]] = {
        TRADES.name: [
            *(trade(2, p=price) for price in BAD_PRICES),
            *(trade(2, q=size) for size in BAD_PRICES if size != "0"),
            *(trade(2, T=time) for time in BAD_TIMES_MS),
            trade(2, T=NOW_MS + DAY_MS),
            trade(2, m="true"),
            trade(-2),
            trade(2, t="two"),
        ],
        QUOTES.name: [
            *(quote(2, b=price) for price in BAD_PRICES if price != "0"),
            *(quote(2, a=price) for price in BAD_PRICES if price != "0"),
        ],
        TICKERS.name: [ticker(c=price) for price in BAD_PRICES if price != "0"],
        EXCHANGE_CANDLES.name: [
            *(candle(o=price) for price in BAD_PRICES),
            candle(h="1.45"),
            candle(l="1.65"),
            candle(v="-1"),
            candle(t=0),
        ],
        BOOKS.name: [
            *(delta(b=[[price, "1.0"]]) for price in BAD_PRICES),
            *(delta(a=[["1.2", size]]) for size in BAD_PRICES if size != "0"),
        ],
    }
    good: list[str | bytes] = [trade(1), quote(1), ticker(), candle(), trade(3), quote(3)]
    frames = [*good[:4], *itertools.chain.from_iterable(bad.values()), *good[4:]]
    channels = ["trades", "quotes", "books", "tickers", "candles"]
    async with ScriptedVenue((frames, 4000)).serving() as venue:
        settings = settings_for(topics, venue, channels=channels, backfill_s=1.0)
        await asyncio.wait_for(stage.run(settings, asyncio.Event()), 40.0)

    for topic, expected in bad.items():
        letters = [letter for letter in topics.read(f"{topic}.dlq") if letter.value.startswith(b'{"stream"')]
        # A time that is ahead is refused once the next record contradicts it, so the order may differ.
        assert sorted(letter.value.decode() for letter in letters) == sorted(map(str, expected)), topic
        for letter in letters:
            assert letter.headers["__connect.errors.topic"] == topic.encode()
            assert letter.headers["__connect.errors.exception.message"]
    assert [record.sequence for record in topics.records(TRADES.name, Trade)] == [1, 3]
    assert [record.sequence for record in topics.records(QUOTES.name, Quote)] == [1, 3]
    assert [record.last for record in topics.records(TICKERS.name, Ticker)] == [1.5]
    assert [record.open for record in topics.records(EXCHANGE_CANDLES.name, ExchangeCandle)] == [1.5]
    assert not topics.records(BOOKS.name, BookUpdate)
    last_ms = NOW_MS + 3
    assert {mark.time for mark in topics.records(TRADES.name, TimeMark) if mark.final} == {last_ms * 1_000}
