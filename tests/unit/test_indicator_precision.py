"""Sums of indicators after many candles, of values over many magnitudes, against exact arithmetic."""

import math
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.extremes import Extremes
from processors.indicator import Indicator
from processors.long_sum import LongSum
from tests.indicator_series import MINUTE, Bar

PERIOD = 20
MONDAY = 4 * 1_440
"""Minutes from the epoch, a Thursday, to the first week."""
finite = st.floats(-1e12, 1e12)


def bar_of(close: float, index: int = 0, volume: float = 1.0) -> Bar:
    return Bar(index * MINUTE, close, close, close, close, volume)


def wild(count: int, seed: int) -> Iterator[float]:
    """Prices from 1e-12 to 1e12, each as likely as the next."""
    random = Random(seed)
    return (10.0 ** random.uniform(-12, 12) for _ in range(count))


def exact(name: str, closes: list[Fraction]) -> dict[str, float]:
    """The value of a window, rounded once."""
    mean = sum(closes) / len(closes)
    if name == "wma":
        weights = range(1, len(closes) + 1)
        weighted = sum(weight * close for weight, close in zip(weights, closes, strict=True))
        return {name: float(weighted / sum(weights))}
    if name == "sma":
        return {name: float(mean)}
    reach = 2 * math.sqrt(sum((close - mean) ** 2 for close in closes) / len(closes))
    return {"upper": float(mean) + reach, "middle": float(mean), "lower": float(mean) - reach}


@pytest.mark.parametrize("name", ["sma", "wma", "bollinger"])
def test_windows_of_wild_prices_stay_exact_after_many_candles(name: str) -> None:
    indicator = Indicator.create(f"{name}({PERIOD})")
    window: deque[float] = deque(maxlen=PERIOD)
    for index, close in enumerate(wild(30_000, seed=1)):
        window.append(close)
        values = indicator.update(bar_of(close))
        if index > 29_000:
            assert values == pytest.approx(exact(name, [Fraction(each) for each in window]), rel=1e-14)


@pytest.mark.parametrize("name", ["sma", "wma", "bollinger"])
@given(st.lists(finite, max_size=30), st.lists(finite, min_size=5, max_size=5))
def test_the_value_of_a_window_does_not_depend_on_what_was_before(
    name: str, past: list[float], window: list[float]
) -> None:
    aged, young = Indicator.create(f"{name}(5)"), Indicator.create(f"{name}(5)")
    for close in past:
        aged.update(bar_of(close))
    assert [aged.update(bar_of(close)) for close in window][-1] == [
        young.update(bar_of(close)) for close in window
    ][-1]


@pytest.mark.parametrize("price", [1e-8, 1.0, 63_127.37, 1e9])
def test_bands_of_a_market_that_hardly_moves_are_right(price: float) -> None:
    random = Random(3)
    indicator = Indicator.create(f"bollinger({PERIOD})")
    window: deque[float] = deque(maxlen=PERIOD)
    for _ in range(500):
        close = price * (1.0 + random.uniform(-1e-12, 1e-12))
        window.append(close)
        values = indicator.update(bar_of(close))
    assert values is not None
    closes = [Fraction(close) for close in window]
    mean = sum(closes) / PERIOD
    variance = sum((close - mean) ** 2 for close in closes) / PERIOD
    # A band cannot be told closer than to a unit in the last place of the price.
    assert values["upper"] - values["lower"] == pytest.approx(
        4 * math.sqrt(variance), abs=4 * math.ulp(price)
    )


@pytest.mark.parametrize("name", ["sma", "wma", "bollinger", "donchian", "supertrend"])
@pytest.mark.parametrize("price", [0.1, 1 / 3, 63_127.37, 1e-7])
def test_a_price_that_rests_is_its_own_average_to_the_last_bit(name: str, price: float) -> None:
    indicator = Indicator.create(name)
    found = [indicator.update(bar_of(price)) for _ in range(100)][-1]
    assert found is not None
    assert set(found.values()) - {-1.0} == {price}


@pytest.mark.parametrize("name", ["ema", "atr"])
def test_a_period_of_one_takes_the_newest_alone(name: str) -> None:
    indicator = Indicator.create(f"{name}(1)")
    for bar in (Bar(0, 1, 1, 1, 1, 1), Bar(1, 1e17, 2e17, 1e16, 1, 1)):
        indicator.update(bar)
    assert indicator.update(Bar(2, 0.1, 0.2, 0.1, 0.1, 1)) == {name: 0.1 if name == "ema" else 0.9}


def test_cumulated_volumes_do_not_drift() -> None:
    random = Random(5)
    obv, vwap = Indicator.create("obv"), Indicator.create("vwap(1w)")
    volumes, traded, signed = [], [], []
    before = 0.0
    for index in range(9_000):  # minutes of one week
        close, volume = random.choice((1.0, 1.5, 1e6)), 10.0 ** random.uniform(-12, 12)
        volumes.append(volume)
        traded.append(close * volume)
        signed.append(volume if close > before or not index else -volume if close < before else 0.0)
        before = close
        bar = bar_of(close, MONDAY + index, volume)
        found = {**(obv.update(bar) or {}), **(vwap.update(bar) or {})}
    assert found["obv"] == math.fsum(signed)
    assert found["vwap"] == pytest.approx(math.fsum(traded) / math.fsum(volumes), rel=1e-15)


@given(st.lists(finite, min_size=1, max_size=60))
def test_a_long_sum_is_the_sum_rounded_once(values: list[float]) -> None:
    total = LongSum()
    for value in values:
        total.add(value)
    size = math.fsum(map(abs, values))
    assert total.value == pytest.approx(math.fsum(values), rel=1e-15, abs=size * 1e-28)
    other = LongSum()
    other.restore(*total.snapshot())
    assert (other.value, other.add(0.1)) == (total.value, total.add(0.1))


pairs = st.tuples(st.integers(0, 9), st.integers(0, 9))


@given(st.lists(pairs, max_size=60), st.integers(1, 7), st.integers(0, 60))
def test_extremes_are_those_of_the_window(prices: list[tuple[int, int]], period: int, cut: int) -> None:
    extremes = Extremes(period)
    for index, (high, low) in enumerate(prices):
        if index == cut:
            restored = Extremes(period)
            restored.push(5, 5)
            restored.restore(extremes.snapshot())
            extremes = restored
        full = extremes.push(high, low)
        window = prices[max(0, index + 1 - period) : index + 1]
        assert full == (len(window) == period)
        assert extremes.highest == max(high for high, _ in window)
        assert extremes.lowest == min(low for _, low in window)
        assert extremes.snapshot() == (*(high for high, _ in window), *(low for _, low in window))
