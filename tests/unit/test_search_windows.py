"""Stretches of time: what of a history lies in one, and how folds of a walk-forward follow each other."""

from math import inf

import numpy as np
import pytest

from backtest.history import Books, Funding, History, Quotes, Trades
from backtest.search.trials import Stretch
from backtest.search.walk_forward import Fold, folds_of, judged, judged_together, stitched
from backtest.search.windows import Window, cut, step_of, window_of
from schemas.errors import ConfigurationError
from schemas.identity import split_key
from schemas.records import BookUpdate, BookUpdateKind
from tests.backtest_runs import BEGAN, MARKET, MINUTE, bars_of, flat

DAY = 1_440 * MINUTE


def times(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([BEGAN + number * MINUTE for number in numbers], np.int64)


def floats(*numbers: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array(numbers, np.float64)


def test_a_window_holds_whole_candles_and_the_events_before_its_end() -> None:
    history = History(
        bars=[bars_of(flat(1, 2, 3, 4, 5))],
        trades=[Trades(MARKET, times(0, 1, 3, 4), floats(1, 2, 3, 4), np.ones(4), np.ones(4, np.int8))],
        quotes=[Quotes(MARKET, times(1, 4), floats(1, 2), floats(1, 1), floats(3, 4), floats(1, 1))],
        funding=[Funding(MARKET, times(2, 4), floats(0.1, 0.2), floats(3, 4))],
    )
    found = cut(history, Window(BEGAN + MINUTE, BEGAN + 4 * MINUTE))
    assert [candle.close for candle in found.bars[0]] == [2, 3, 4]
    assert found.trades[0].prices.tolist() == [2, 3]
    assert found.quotes[0].asks.tolist() == [3]
    assert found.funding[0].rates.tolist() == [0.1]
    # A candle that ends after the window does not belong to it.
    assert len(cut(history, Window(BEGAN, BEGAN + 90_000_000)).bars[0]) == 1
    assert window_of(history) == Window(BEGAN, BEGAN + 5 * MINUTE)
    assert step_of(history) == MINUTE
    with pytest.raises(ConfigurationError, match="no data"):
        window_of(History())


def test_a_window_begins_with_the_book_that_stands_then() -> None:
    venue, symbol = split_key(MARKET)

    def update(kind: BookUpdateKind, number: int, bids: dict[float, float]) -> BookUpdate:
        at = BEGAN + number * MINUTE
        prices, sizes = list(bids), list(bids.values())
        return BookUpdate(venue, symbol, kind, 1, 1, 0, prices, sizes, [101.0], [5.0], None, at, at)

    updates = [
        update("snapshot", 0, {90.0: 1.0}),
        update("snapshot", 1, {99.0: 1.0, 98.0: 2.0}),
        update("delta", 2, {99.0: 0.0, 97.0: 3.0}),
        update("delta", 4, {96.0: 4.0}),
        update("delta", 6, {95.0: 5.0}),
    ]
    history = History(books=[Books(MARKET, times(0, 1, 2, 4, 6), updates)])
    (books,) = cut(history, Window(BEGAN + 3 * MINUTE, BEGAN + 5 * MINUTE)).books
    assert books.times.tolist() == times(3, 4).tolist()
    first, then = books.updates
    # The bid at 90 is of an older snapshot, the one at 99 was taken away, the ask stands.
    assert (first.kind, first.bid_prices, first.bid_sizes) == ("snapshot", [98.0, 97.0], [2.0, 3.0])
    assert (first.ask_prices, then) == ([101.0], updates[3])
    (whole,) = cut(history, Window(BEGAN, BEGAN + 3 * MINUTE)).books
    assert whole.updates == updates[:3]


def test_folds_by_length_end_with_the_data_and_follow_each_other() -> None:
    whole = Window(0, 100 * DAY)
    found = folds_of("60d:15d", whole, DAY)
    assert found == [
        Fold(Window(10 * DAY, 70 * DAY), Window(70 * DAY, 85 * DAY)),
        Fold(Window(25 * DAY, 85 * DAY), Window(85 * DAY, 100 * DAY)),
    ]
    assert folds_of("8w:1w", whole, DAY)[-1].outside == Window(93 * DAY, 100 * DAY)
    assert folds_of("36h:1440m", Window(0, 3 * DAY), MINUTE)[0].inside == Window(DAY // 2, 2 * DAY)


def test_folds_by_number_are_four_times_as_long_inside_as_outside_and_begin_with_candles() -> None:
    found = folds_of("3", Window(0, 70 * DAY), DAY)
    assert found == [
        Fold(Window(start * DAY, (start + 40) * DAY), Window((start + 40) * DAY, (start + 50) * DAY))
        for start in (0, 10, 20)
    ]
    uneven = folds_of("3", Window(0, 73 * DAY), DAY)
    assert [fold.outside.start // DAY for fold in uneven] == [43, 53, 63]
    assert uneven[0].inside == Window(0, 43 * DAY)


@pytest.mark.parametrize("text", ["0", "1001", "", "30:10", "30d", "30d:0d", "0d:30d", "90d:20d", "2d:1s"])
def test_what_is_no_walk_forward_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"walk-forward|too short"):
        folds_of(text, Window(0, 100 * DAY), DAY)


def test_data_shorter_than_a_choice_leave_no_fold() -> None:
    with pytest.raises(ConfigurationError, match="leaves 0 folds"):
        folds_of("500d:30d", Window(0, 100 * DAY), DAY)


def stretch(start: int, before: float, *equity: float) -> Stretch:
    """A point at the end of each day."""
    at = np.array([(start + number + 1) * DAY for number in range(len(equity))], np.int64)
    return Stretch(start * DAY, before, at, floats(*equity), 2)


def test_a_stretch_is_judged_by_its_own_equity() -> None:
    found = judged(stretch(4, 200.0, 100.0, 150.0, 300.0))
    assert (found.total_return, found.max_drawdown, found.trades) == (0.5, 0.5, 2)
    assert (found.start, found.end) == (4 * DAY, 7 * DAY)
    # Days 4 to 6 since the epoch are a Monday to a Wednesday: a year has 252 of them.
    returns = floats(-0.5, 0.5, 1.0)
    assert found.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1) * np.sqrt(252))


def test_stretches_are_stitched_by_what_they_gain() -> None:
    parts = [stretch(0, 200.0, 100.0, 300.0), stretch(2, 50.0, 100.0), stretch(3, -5.0, 1.0, inf)]
    at, equity = stitched(parts, 1_000.0)
    assert equity.tolist() == [500, 1_500, 3_000, 3_000, 3_000]
    assert (at // DAY).tolist() == [1, 2, 3, 4, 5]
    together = judged_together(parts, 1_000.0)
    assert (together.total_return, together.max_drawdown, together.trades) == (2.0, 0.5, 6)
