"""Indicators that TA-Lib lacks, against plain recomputations over the whole history."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from processors.intervals import INTERVALS
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

Reference = Callable[[Sequence[Bar]], dict[str, Column]]


def nothing(series: Sequence[Bar]) -> Column:
    return np.full(len(series), np.nan)


def donchian(period: int) -> Reference:
    def reference(series: Sequence[Bar]) -> dict[str, Column]:
        upper, lower = nothing(series), nothing(series)
        for end in range(period, len(series) + 1):
            window = series[end - period : end]
            upper[end - 1] = max(bar.high for bar in window)
            lower[end - 1] = min(bar.low for bar in window)
        return {"upper": upper, "middle": (upper + lower) / 2, "lower": lower}

    return reference


def keltner(ema: int, atr: int, multiplier: float) -> Reference:
    def reference(series: Sequence[Bar]) -> dict[str, Column]:
        high, low, close = (column(series, field) for field in ("high", "low", "close"))
        middle, reach = talib.EMA(close, ema), multiplier * talib.ATR(high, low, close, atr)
        middle = np.where(np.isnan(reach), np.nan, middle)
        return {"upper": middle + reach, "middle": middle, "lower": middle - reach}

    return reference


def supertrend(period: int, multiplier: float) -> Reference:
    def reference(series: Sequence[Bar]) -> dict[str, Column]:
        high, low, close = (column(series, field) for field in ("high", "low", "close"))
        reach = multiplier * talib.ATR(high, low, close, period)
        upper, lower = (high + low) / 2 + reach, (high + low) / 2 - reach
        line, direction = nothing(series), nothing(series)
        for at in range(period, len(series)):
            if at == period:
                direction[at] = -1
            else:
                if not (upper[at] < upper[at - 1] or close[at - 1] > upper[at - 1]):
                    upper[at] = upper[at - 1]
                if not (lower[at] > lower[at - 1] or close[at - 1] < lower[at - 1]):
                    lower[at] = lower[at - 1]
                if direction[at - 1] < 0:
                    direction[at] = 1 if close[at] > upper[at] else -1
                else:
                    direction[at] = -1 if close[at] < lower[at] else 1
            line[at] = lower[at] if direction[at] > 0 else upper[at]
        return {"line": line, "direction": direction}

    return reference


def vwap(session: str) -> Reference:
    def reference(series: Sequence[Bar]) -> dict[str, Column]:
        values = nothing(series)
        sessions = [INTERVALS[session].open_time(bar.open_time) for bar in series]
        for at, bar in enumerate(series):
            inside = series[sessions.index(INTERVALS[session].open_time(bar.open_time)) : at + 1]
            volume = math.fsum(each.volume for each in inside)
            traded = math.fsum((each.high + each.low + each.close) / 3 * each.volume for each in inside)
            values[at] = traded / volume if volume else np.nan
        return {"vwap": values}

    return reference


def volume_profile(period: int, bins: int) -> Reference:
    def reference(series: Sequence[Bar]) -> dict[str, Column]:
        found = {name: nothing(series) for name in ("poc", "vah", "val")}
        for end in range(period, len(series) + 1):
            for name, value in _profile(series[end - period : end], bins).items():
                found[name][end - 1] = value
        return found

    return reference


def _profile(window: Sequence[Bar], bins: int) -> dict[str, float]:
    low, high, volume = (column(window, field) for field in ("low", "high", "volume"))
    edges = np.linspace(low.min(), high.max(), bins + 1)
    rows = np.zeros(bins)
    for first, last, size in zip(low, high, volume, strict=True):
        shares = np.clip(np.minimum(edges[1:], last) - np.maximum(edges[:-1], first), 0, None)
        if last > first:
            rows += size * shares / (last - first)
        else:
            rows[
                min(int(np.searchsorted(edges - (edges[1] - edges[0]) * 1e-6, first, "right")) - 1, bins - 1)
            ] += size
    if not rows.sum():
        return {}
    slack = rows.max() / 2**20
    fullest = np.flatnonzero(rows >= rows.max() - slack)
    top = bottom = int(min(fullest, key=lambda row: abs(2 * row - (bins - 1))))
    control = (edges[top] + edges[top + 1]) / 2
    while rows[bottom : top + 1].sum() + slack < 0.7 * rows.sum():
        above = rows[top + 1] if top + 1 < bins else -math.inf
        below = rows[bottom - 1] if bottom else -math.inf
        top, bottom = (top + 1, bottom) if above + slack >= below else (top, bottom - 1)
    return {"poc": control, "vah": edges[top + 1], "val": edges[bottom]}


CASES: dict[str, Reference] = {
    "donchian": donchian(20),
    "donchian(1)": donchian(1),
    "keltner": keltner(20, 10, 2.0),
    "keltner(5,14,1.5)": keltner(5, 14, 1.5),
    "supertrend": supertrend(10, 3.0),
    "supertrend(3,1)": supertrend(3, 1.0),
    "vwap": vwap("1d"),
    "vwap(1h)": vwap("1h"),
    "vwap(1w)": vwap("1w"),
    "volume_profile": volume_profile(20, 24),
    "volume_profile(7,10)": volume_profile(7, 10),
}
EVERY_CASE = pytest.mark.parametrize("spec", CASES)


@EVERY_CASE
def test_equal_on_recorded_trades(spec: str, captures: Path) -> None:
    series = recorded_seconds(captures)
    assert_equal(outputs_of(spec, series), CASES[spec](series))


@EVERY_CASE
def test_equal_on_recorded_days(spec: str, captures: Path) -> None:
    series = recorded_days(captures)
    assert_equal(outputs_of(spec, series), CASES[spec](series))


@EVERY_CASE
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e7])
def test_equal_on_a_random_walk(spec: str, scale: float) -> None:
    series = walk(700, scale=scale, seed=3)
    assert_equal(outputs_of(spec, series), CASES[spec](series))


@EVERY_CASE
def test_equal_on_a_market_that_stands_still(spec: str) -> None:
    still = bars(range(0, 60 * MINUTE, MINUTE), *([[0.1] * 60] * 4), [3.0] * 60)
    found = outputs_of(spec, still)
    if not spec.startswith("volume_profile"):
        assert_equal(found, CASES[spec](still))
        return
    for values in found.values():  # nothing to be cut into rows: all at the price
        assert values[-1] == 0.1


prices = st.integers(1, 1_000)
candles = st.tuples(prices, prices, prices, prices, st.integers(0, 1_000))


@given(
    st.lists(candles, min_size=1, max_size=60),
    st.sampled_from(["donchian(4)", "supertrend(3,1)", "vwap(1h)"]),
)
def test_equal_on_any_candles(rows: list[tuple[int, int, int, int, int]], spec: str) -> None:
    series = []
    for index, (first, second, third, fourth, volume) in enumerate(rows):
        low, opened, close, high = map(float, sorted((first, second, third, fourth)))
        series.append(Bar(index * 7 * MINUTE, opened, high, low, close, float(volume)))
    reference = {"donchian(4)": donchian(4), **CASES}[spec]
    assert_equal(outputs_of(spec, series), reference(series), atol=1e-9)


@pytest.mark.parametrize("name", ["vwap", "volume_profile"])
def test_nothing_is_said_of_the_prices_of_no_volume(name: str) -> None:
    silent = [bar._replace(volume=0.0) for bar in walk(100)]
    assert all(np.isnan(values).all() for values in outputs_of(name, silent).values())
    for values in outputs_of(name, [*silent, *walk(100)]).values():
        assert not np.isnan(values[-1])


def test_a_session_begins_at_its_start_in_utc() -> None:
    day = 1_440 * MINUTE
    before, after = Bar(3 * day - 1, 1, 1, 1, 1, 5), Bar(3 * day, 7, 9, 3, 6, 2)
    assert outputs_of("vwap", [before, after])["vwap"].tolist() == [1.0, 6.0]
    assert outputs_of("vwap(1w)", [before, after])["vwap"].tolist() == [1.0, pytest.approx(17 / 7)]
    monday = after._replace(open_time=4 * day)
    assert outputs_of("vwap(1w)", [before, monday])["vwap"].tolist() == [1.0, 6.0]


def test_the_point_of_control_stands_where_the_volume_is() -> None:
    series = [Bar(at, price, price + 1, price - 1, price, 1.0) for at, price in enumerate(range(100, 140, 2))]
    series[15] = Bar(15, 130.0, 130.5, 129.5, 130.0, 1_000.0)
    found = outputs_of("volume_profile(20, 40)", series)
    assert abs(found["poc"][-1] - 130.0) <= 0.5
    assert found["val"][-1] <= found["poc"][-1] <= found["vah"][-1]
    assert found["vah"][-1] - found["val"][-1] <= 2.0


def test_a_supertrend_turns_at_closes_beyond_its_line_alone() -> None:
    found = outputs_of("supertrend(3, 1)", series := walk(2_000, seed=9))
    direction, line, close = found["direction"][3:], found["line"][3:], column(series, "close")[3:]
    turns = np.flatnonzero(np.diff(direction)) + 1
    assert len(turns) > 50
    assert np.all((close - line)[turns] * direction[turns] > 0)
    held = np.diff(direction) == 0
    assert np.all((np.diff(line) * direction[1:])[held] >= 0)
