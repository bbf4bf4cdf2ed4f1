"""Rows of sources: put in order, repeats dropped, cut to a span of time."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from backtest.sources.asked import Asked
from backtest.sources.capture import read_captures
from backtest.sources.rows import (
    NONE,
    CandleRows,
    FundingRows,
    QuoteRows,
    TradeRows,
    bars_of,
    books_of,
    funding_of,
    quotes_of,
    trades_of,
)
from schemas.records import BookUpdate
from tests.made_capture import write_capture

END = 1 << 60
MARKET = "v:A/B"


def trades(*rows: tuple[int, int, int]) -> TradeRows:
    """Trades of time, sequence and id; the price is the place in the source."""
    times, sequences, ids = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    numbers = np.arange(len(rows), dtype=np.float64)
    return TradeRows(times, numbers, numbers, np.ones(len(rows), np.int8), sequences, ids)


def test_numbered_trades_stand_by_time_then_number_each_once() -> None:
    rows = trades((10, 1, NONE), (20, 4, NONE), (20, 3, NONE), (10, 1, NONE), (15, 2, NONE), (20, 4, NONE))
    found = trades_of(MARKET, rows, 0, END)
    assert found.times.tolist() == [10, 15, 20, 20]
    assert found.prices.tolist() == [0, 4, 2, 1]


def test_trades_without_numbers_keep_their_order_and_are_known_by_their_ids() -> None:
    rows = trades((10, NONE, 7), (10, NONE, 5), (10, NONE, 7), (5, NONE, 6), (10, 3, NONE))
    found = trades_of(MARKET, rows, 0, END)
    assert found.times.tolist() == [5, 10, 10, 10]
    assert found.prices.tolist() == [3, 0, 1, 4]


def test_trades_without_numbers_and_ids_are_all_kept() -> None:
    found = trades_of(MARKET, trades((10, NONE, NONE), (10, NONE, NONE), (9, NONE, NONE)), 0, END)
    assert found.prices.tolist() == [2, 0, 1]


def test_trades_in_order_are_taken_as_they_are() -> None:
    rows = trades((10, 1, NONE), (10, 2, NONE), (11, 5, NONE))
    assert trades_of(MARKET, rows, 0, END).times is rows.times
    assert len(trades_of(MARKET, rows, 11, 11)) == 0


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_source_and_its_repeats_do_not_matter(seed: int) -> None:
    chance = np.random.default_rng(seed)
    numbers = np.arange(200)
    times = np.sort(chance.integers(0, 50, 200))
    rows = trades(*zip(times.tolist(), numbers.tolist(), [NONE] * 200, strict=True))
    chosen = np.concatenate((numbers, chance.integers(0, 200, 80)))
    chance.shuffle(chosen)
    found, expected = (trades_of(MARKET, each, 3, 47) for each in (rows.take(chosen), rows))
    assert (found.prices == expected.prices).all()


def test_quotes_that_are_older_than_one_before_are_left_out() -> None:
    values = np.arange(5, dtype=np.float64)
    times, sequences = np.array([10, 20, 15, 30, 25]), np.array([1, 3, 2, NONE, 4])
    rows = QuoteRows(times, values, values, values, values, sequences)
    found = quotes_of(MARKET, rows, 0, END)
    assert (found.times.tolist(), found.bids.tolist()) == ([10, 20, 25, 30], [0, 1, 4, 3])


def test_candles_open_and_close_within_the_span() -> None:
    opens = np.array([0, 60, 120, 60])
    values = np.arange(4, dtype=np.float64)
    rows = CandleRows(opens, values, values, values, values, values, np.array([0, 2, 0, 1]))
    found = bars_of(MARKET, rows, 60, 0, 180)
    assert (list(found.open_times), list(found.opens)) == ([0, 60, 120], [0, 1, 2])
    assert list(bars_of(MARKET, rows, 60, 1, 179).open_times) == [60]
    assert all(type(price) is float for price in found.closes)


def test_funding_that_is_due_after_the_last_message_is_not_known_yet() -> None:
    nan = np.nan
    rows = FundingRows(
        np.array([10, 90, 95, 150, 160]),
        np.array([0.1, 0.2, nan, 0.3, 0.4]),
        np.array([100, 100, 0, 200, 155]),
        np.array([nan, 5.0, 6.0, 7.0, nan]),
    )
    found = funding_of(MARKET, rows, 0, END)
    assert (found.times.tolist(), found.rates.tolist(), found.marks.tolist()) == ([100], [0.2], [6.0])


def update(kind: str, last: int, time: int | None, receive: int = 7) -> BookUpdate:
    numbers = (None, last, None)
    return BookUpdate("v", "A/B", kind, *numbers, [1.0], [1.0], [], [], None, time, receive)  # type: ignore[arg-type]


def test_books_begin_with_a_snapshot_and_hold_no_change_twice() -> None:
    updates = [
        *(update("delta", 1, 5), update("snapshot", 2, None), update("delta", 3, 9), update("delta", 3, 9)),
        *(update("delta", 4, 8), update("snapshot", 4, 12), update("delta", 5, 40)),
    ]
    found = books_of(MARKET, updates, 0, 40)
    assert [each.last_sequence for each in found.updates] == [2, 3, 4, 4]
    assert found.times.tolist() == [7, 9, 9, 12]


def test_numbers_that_a_capture_lacks_are_gaps(tmp_path: Path) -> None:
    path = write_capture(tmp_path / "made.capture.gz", seconds=30, symbols=("BTCUSDT",))
    asked = Asked(("binance:BTC/USDT",), frozenset({"trades"}))
    whole = read_captures([path], asked)
    assert whole.gaps == []
    header, *lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    kept = [header]
    for line in lines:
        data = json.loads(line.partition(" ")[2])["data"]
        if data.get("e") != "trade" or not 1_050 <= data["t"] < 1_055:
            kept.append(line)
    path.write_bytes(gzip.compress("\n".join([*kept, ""]).encode()))
    found = read_captures([path], asked)
    (gap,) = found.gaps
    assert (gap.first_sequence, gap.last_sequence) == (1_050, 1_054)
    assert len(found.history.trades[0]) == len(whole.history.trades[0]) - 5
    assert gap.from_time < gap.to_time
