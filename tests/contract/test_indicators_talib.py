"""Indicators against TA-Lib, from the first defined value of each output on."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from tests.indicator_series import (
    MINUTE,
    Bar,
    Column,
    assert_equal,
    bars,
    column,
    outputs_of,
    recorded_days,
    recorded_seconds,
    walk,
)

Oracle = Callable[[Column, Column, Column, Column], dict[str, Column]]
BANDS = ("upper", "middle", "lower")
MACD = ("macd", "signal", "histogram")


def named(names: Sequence[str], values: Sequence[Any]) -> dict[str, Column]:
    return dict(zip(names, values, strict=True))


def directional(period: int) -> Oracle:
    functions = {"adx": talib.ADX, "plus_di": talib.PLUS_DI, "minus_di": talib.MINUS_DI}
    return lambda h, lo, c, v: {name: function(h, lo, c, period) for name, function in functions.items()}


def averages(name: str, function: Callable[..., Any]) -> dict[str, Oracle]:
    def oracle(period: int) -> Oracle:
        return lambda h, lo, c, v: {name: function(c, period)}

    return {f"{name}({period})": oracle(period) for period in (2, 14, 20, 50)}


CASES: dict[str, Oracle] = {
    **averages("sma", talib.SMA),
    **averages("ema", talib.EMA),
    **averages("wma", talib.WMA),
    **averages("rsi", talib.RSI),
    "macd": lambda h, lo, c, v: named(MACD, talib.MACD(c, 12, 26, 9)),
    "macd(3,5,1)": lambda h, lo, c, v: named(MACD, talib.MACD(c, 3, 5, 1)),
    "stochastic": lambda h, lo, c, v: named("kd", talib.STOCH(h, lo, c, 14, 3, 0, 3, 0)),
    "stochastic(5,1,1)": lambda h, lo, c, v: named("kd", talib.STOCH(h, lo, c, 5, 1, 0, 1, 0)),
    "stochastic(3,5,2)": lambda h, lo, c, v: named("kd", talib.STOCH(h, lo, c, 3, 5, 0, 2, 0)),
    "bollinger": lambda h, lo, c, v: named(BANDS, talib.BBANDS(c, 20, 2.0, 2.0, 0)),
    "bollinger(5,1.5)": lambda h, lo, c, v: named(BANDS, talib.BBANDS(c, 5, 1.5, 1.5, 0)),
    "atr": lambda h, lo, c, v: {"atr": talib.ATR(h, lo, c, 14)},
    "atr(1)": lambda h, lo, c, v: {"atr": talib.ATR(h, lo, c, 1)},
    "atr(2)": lambda h, lo, c, v: {"atr": talib.ATR(h, lo, c, 2)},
    "adx": directional(14),
    "adx(2)": directional(2),
    "obv": lambda h, lo, c, v: {"obv": talib.OBV(c, v)},
}
EVERY_CASE = pytest.mark.parametrize("spec", CASES)


def assert_equal_to_talib(spec: str, series: Sequence[Bar], atol: float = 0.0) -> None:
    columns = [column(series, field) for field in ("high", "low", "close", "volume")]
    assert_equal(outputs_of(spec, series), CASES[spec](*columns), atol=atol)


@EVERY_CASE
def test_equal_on_recorded_trades(spec: str, captures: Path) -> None:
    series = recorded_seconds(captures)
    assert len(series) > 500
    # Where the price is the lowest, TA-Lib's running sums leave 1e-13 of the places that add up to 0.
    assert_equal_to_talib(spec, series, atol=1e-12 if spec.startswith("stochastic") else 0.0)


@EVERY_CASE
def test_equal_on_recorded_days(spec: str, captures: Path) -> None:
    series = recorded_days(captures)
    assert len(series) == 506
    assert_equal_to_talib(spec, series)


@EVERY_CASE
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_equal_on_a_random_walk(spec: str, scale: float) -> None:
    assert_equal_to_talib(spec, walk(2_000, scale=60_000 * scale))


@pytest.mark.parametrize("spec", [spec for spec in CASES if spec == "ema(20)" or "(" not in spec])
def test_equal_on_a_long_series(spec: str) -> None:
    assert_equal_to_talib(spec, walk(30_000, seed=5, step=0.001))


@EVERY_CASE
@pytest.mark.parametrize("price", [0.1, 1.0, 63_127.37])
def test_equal_on_a_market_that_stands_still(spec: str, price: float) -> None:
    still = bars(range(0, 60 * MINUTE, MINUTE), *([[price] * 60] * 4), [3.0] * 60)
    assert_equal_to_talib(spec, still)


@EVERY_CASE
def test_equal_on_a_market_that_stands_still_for_long_and_moves_again(spec: str) -> None:
    moving = walk(60, scale=1.0)
    price = moving[-1].close
    still = [Bar(0, price, price, price, price, 0.0)] * 600
    assert_equal_to_talib(spec, [*moving, *still, *walk(60, scale=1.0, seed=2)], atol=1e-11)


ticks = st.integers(1, 10**6)
candles = st.tuples(ticks, ticks, ticks, ticks, st.integers(0, 10**6))


@given(st.lists(candles, min_size=1, max_size=80), st.sampled_from(list(CASES)))
def test_equal_on_any_candles(rows: list[tuple[int, int, int, int, int]], spec: str) -> None:
    series = []
    for index, (first, second, third, fourth, volume) in enumerate(rows):
        low, opened, close, high = sorted((first, second, third, fourth))
        series.append(Bar(index * MINUTE, opened / 100, high / 100, low / 100, close / 100, volume / 7))
    assert_equal_to_talib(spec, series, atol=1e-12 * 10_000)


def test_a_huge_price_leaves_no_trace_in_a_moving_average() -> None:
    closes = np.array([1e17, *([0.1] * 40)])
    series = bars(range(len(closes)), closes, closes, closes, closes, closes)
    for spec in ("sma(20)", "wma(20)", "bollinger(20)", "donchian(20)"):
        for name, values in outputs_of(spec, series).items():
            assert values[-1] == 0.1, (spec, name)
