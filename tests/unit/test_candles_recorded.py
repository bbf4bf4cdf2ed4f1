"""Recorded trades of an exchange: every candle equals a plain recomputation from the file."""

import gzip
import json
import math
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from processors.candles.builder import CandleBuilder
from processors.candles.rules import CandleRules
from processors.intervals import INTERVALS
from schemas.records import Candle, TimeMark, Trade
from tests.candle_reference import within
from tests.candle_stream import Item, fold_in_batches
from tests.saved_pages import saved

SECOND = 1_000_000


@pytest.fixture(scope="module")
def trades(captures: Path) -> list[Trade]:
    """The trades of the file, in order of arrival."""
    found = []
    with gzip.open(captures / "binance-spot-btcusdt.capture.gz", "rt") as file:
        for line in file:
            if '"e":"trade"' in line:
                data = json.loads(line.split(" ", 1)[1])["data"]
                market = ("binance", "BTC/USDT", str(data["t"]), data["t"])
                side = "sell" if data["m"] else "buy"
                numbers = (float(data["p"]), float(data["q"]))
                found.append(Trade(*market, *numbers, side, data["T"] * 1_000, 0))  # type: ignore[arg-type]
    assert len(found) == 19_904
    return found


@pytest.fixture(scope="module")
def log(trades: list[Trade]) -> list[Item]:
    """What a producer writes: a mark after each trade of a newer second, and a final one."""
    items: list[Item] = []
    marked, newest = 0, 0
    for trade in trades:
        items.append(trade)
        newest = max(newest, trade.event_time)
        if newest // SECOND > marked:
            marked = newest // SECOND
            items.append(TimeMark("binance", "binance-spot-0", newest, False, "run"))
    return [*items, TimeMark("binance", "binance-spot-0", newest, True, "run")]


def recomputed(trades: list[Trade], interval: str) -> list[Candle]:
    span = INTERVALS[interval]
    began, ended = trades[0].event_time, max(trade.event_time for trade in trades)
    ordered = sorted(trades, key=lambda t: (t.event_time, t.sequence or 0))
    candles = []
    for opened, group in groupby(ordered, key=lambda t: span.open_time(t.event_time)):
        inside = list(group)
        volume = math.fsum(trade.size for trade in inside)
        notional = math.fsum(trade.price * trade.size for trade in inside)
        candles.append(
            Candle(
                venue="binance",
                symbol="BTC/USDT",
                interval=interval,
                open_time=opened,
                close_time=opened + span.length,
                open=inside[0].price,
                high=max(trade.price for trade in inside),
                low=min(trade.price for trade in inside),
                close=inside[-1].price,
                volume=volume,
                quote_volume=notional,
                taker_buy_volume=math.fsum(trade.size for trade in inside if trade.side == "buy"),
                trade_count=len(inside),
                first_sequence=min(trade.sequence or 0 for trade in inside),
                last_sequence=max(trade.sequence or 0 for trade in inside),
                revision=0,
                complete=opened >= began and opened + span.length <= ended,
                vwap=within(notional / volume, inside),
            )
        )
    return candles


@pytest.mark.parametrize("interval", ["1s", "1m", "5m"])
def test_candles_of_the_capture_equal_a_recomputation(
    interval: str, trades: list[Trade], log: list[Item]
) -> None:
    builder = CandleBuilder(CandleRules.of(("1s", "1m", "5m")))
    candles, refused = fold_in_batches(builder, log, range(0, len(log), 777))
    assert refused == []
    assert [candle for candle in candles if candle.interval == interval] == recomputed(trades, interval)


def test_neither_cuts_nor_kills_nor_repeats_change_the_candles(log: list[Item]) -> None:
    rules = CandleRules.of()
    expected, _ = fold_in_batches(CandleBuilder(rules), log, ())
    random = np.random.default_rng(5)
    for _ in range(3):
        builder = CandleBuilder(rules)
        stop = int(random.integers(len(log)))
        before, _ = fold_in_batches(builder, log[:stop], random.integers(stop, size=40).tolist())
        restarted = CandleBuilder(rules)
        restarted.load(saved(builder))
        again = [item for item in log[max(0, stop - 500) : stop] if isinstance(item, Trade)]
        after, _ = fold_in_batches(restarted, [*again, *log[stop:]], random.integers(stop, size=40).tolist())
        assert before + after == expected
