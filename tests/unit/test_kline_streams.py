"""Candles of a served past: what is told at a mark, and what comes too late for it."""

from typing import Any

import msgspec
import pytest

from producers.simulator.encoders.binance import BinanceSpotEncoder
from producers.simulator.kline_streams import KlineStreams
from producers.simulator.venues.binance import BinanceSpotSimulated
from schemas.records import Trade

T0_US = 1_700_000_040_000_000
STREAM = "btcusdt@kline_1s"


class Told:
    """A venue with its candles, and trades as they are served: counted, then known to REST."""

    def __init__(self) -> None:
        self.venue = BinanceSpotSimulated({"BTC/USDT": "BTCUSDT"})
        self.klines = KlineStreams(self.venue)
        self.encoder = BinanceSpotEncoder()
        self.streams = {STREAM}

    def trade(self, number: int, at_us: int, price: float, size: float = 1.0) -> None:
        trade = Trade("binance", "BTC/USDT", str(number), number, price, size, "buy", T0_US + at_us, 0)
        self.klines.add(trade, "BTCUSDT")
        pushed, _ = self.encoder.said(trade)
        self.venue.observe(*pushed)

    def mark(self, at_us: int) -> list[dict[str, Any]]:
        found = self.klines.told(T0_US + at_us, lambda: self.streams)
        return [msgspec.json.decode(one.data)["k"] for one in found]


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_candle_grows_until_a_mark_passes_its_end(told: Told) -> None:
    told.trade(1, 100_000, 10.0)
    (first,) = told.mark(100_000)
    assert (first["o"], first["c"], first["n"], first["x"]) == ("10.00000000", "10.00000000", 1, False)
    told.trade(2, 900_000, 12.0, 0.5)
    told.trade(3, 1_200_000, 11.0)
    closed, opened = told.mark(1_200_000)
    assert [float(closed[name]) for name in "ohlcvq"] == [10.0, 12.0, 10.0, 12.0, 1.5, 16.0]
    assert (closed["f"], closed["L"], closed["n"], closed["x"]) == (1, 2, 2, True)
    assert (opened["t"], opened["f"], opened["x"]) == (closed["t"] + 1_000, 3, False)


def test_marks_of_a_time_stand_in_each_partition_and_count_once(told: Told) -> None:
    told.trade(1, 100_000, 10.0)
    assert len(told.mark(500_000)) == 1
    assert told.mark(500_000) == []


def test_a_trade_that_is_too_late_changes_nothing(told: Told) -> None:
    told.trade(1, 100_000, 10.0)
    told.mark(200_000)
    assert [kline["x"] for kline in told.mark(1_500_000)] == [True]
    told.trade(2, 900_000, 99.0)
    assert told.mark(2_500_000) == []


def test_who_comes_later_hears_of_the_whole_candle(told: Told) -> None:
    told.streams = set()
    told.trade(1, 100_000, 10.0)
    assert told.mark(200_000) == []
    told.streams = {STREAM, "btcusdt@kline_1M", "btcusdt@trade"}
    told.trade(2, 300_000, 11.0)
    (kline,) = told.mark(400_000)
    assert kline["n"] == 2
    told.streams = set()
    assert told.mark(600_000) == []


def test_candles_that_were_recorded_are_not_made_again(told: Told) -> None:
    told.klines.leave(STREAM)
    told.trade(1, 100_000, 10.0)
    assert told.mark(1_500_000) == []
