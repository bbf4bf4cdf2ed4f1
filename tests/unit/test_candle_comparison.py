"""Our candles against the venue's own."""

from typing import Any

import pytest
from msgspec.structs import replace

from processors.candles.comparison import CandleComparison, Difference
from tests.compared_candles import OURS, THEIRS


@pytest.mark.parametrize("ours_first", [True, False])
def test_two_equal_candles_agree_whichever_comes_first(ours_first: bool) -> None:
    comparison = CandleComparison()
    if ours_first:
        assert comparison.take_ours(OURS) is None
        compared = comparison.take_theirs(THEIRS)
    else:
        assert comparison.take_theirs(THEIRS) is None
        compared = comparison.take_ours(OURS)
    assert compared is not None
    assert compared.differences == ()


@pytest.mark.parametrize(
    ("field", "value"), [("close", 2.5), ("high", 4.1), ("trade_count", 8), ("volume", 10.001)]
)
def test_a_figure_that_differs_is_named_with_both_values(field: str, value: Any) -> None:
    comparison = CandleComparison()
    comparison.take_ours(OURS)
    compared = comparison.take_theirs(replace(THEIRS, **{field: value}))
    assert compared is not None
    assert compared.differences == (Difference(field, getattr(OURS, field), value),)


def test_what_the_venue_does_not_say_is_not_compared_and_sums_may_be_rounded() -> None:
    comparison = CandleComparison()
    comparison.take_ours(OURS)
    theirs = replace(THEIRS, trade_count=None, quote_volume=None, volume=10.000000000001)
    compared = comparison.take_theirs(theirs)
    assert compared is not None
    assert compared.differences == ()


def test_an_open_candle_is_no_candle_yet() -> None:
    comparison = CandleComparison()
    comparison.take_ours(OURS)
    assert comparison.take_theirs(replace(THEIRS, closed=False, close=9.0)) is None


def test_without_a_word_on_closing_the_next_candle_closes_the_one_before() -> None:
    comparison = CandleComparison()
    comparison.take_ours(OURS)
    assert comparison.take_theirs(replace(THEIRS, closed=None, close=9.0)) is None
    assert comparison.take_theirs(replace(THEIRS, closed=None)) is None
    compared = comparison.take_theirs(replace(THEIRS, closed=None, open_time=120_000_000))
    assert compared is not None
    assert compared.differences == ()


def test_a_candle_that_misses_trades_is_not_compared_until_it_is_whole() -> None:
    comparison = CandleComparison()
    assert comparison.take_ours(replace(OURS, complete=False, trade_count=3)) is None
    assert comparison.take_theirs(THEIRS) is None
    compared = comparison.take_ours(replace(OURS, revision=1))
    assert compared is not None
    assert compared.differences == ()
