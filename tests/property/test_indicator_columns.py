"""Indicators over columns give what they give candle by candle, bit for bit, whatever the candles are."""

from math import nan
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.indicator import Indicator
from tests.indicator_series import Bar

SPECS = {
    "sma": ("sma({0})",),
    "ema": ("ema({0})",),
    "rsi": ("rsi({1})",),
    "atr": ("atr({0})",),
    "adx": ("adx({1})",),
    "macd": ("macd({0},{2},{1})",),
    "bollinger": ("bollinger({0},2)", "bollinger({1},0.7)"),
    "donchian": ("donchian({0})",),
    "keltner": ("keltner({0},{1},1.5)", "keltner({1},{0},1.5)"),
    "supertrend": ("supertrend({0},0.5)", "supertrend({1},2)"),
    "obv": ("obv",),
}
"""Of each indicator that has columns, with some of three rising periods."""

CENTS = st.integers(100, 9_000).map(lambda cents: cents / 100)
FINE = st.floats(1.0, 90.0)
FEW = st.sampled_from([10.0, 10.0 + 2**-49, 11.0])
STILL = st.just(0.3)
ROWS = st.one_of(
    *(st.lists(st.tuples(price, price, price, st.floats(0, 1e12)), max_size=70) for price in (CENTS, FINE)),
    *(st.lists(st.tuples(price, price, price, st.floats(0, 1e3)), max_size=70) for price in (FEW, STILL)),
)


def series_of(rows: list[tuple[float, float, float, float]], scale: float) -> list[Bar]:
    found = []
    for number, (one, two, close, volume) in enumerate(rows):
        prices = sorted(price * scale for price in (one, two, close))
        found.append(Bar(number, one * scale, prices[2], prices[0], close * scale, volume))
    return found


def test_every_indicator_with_columns_is_looked_at() -> None:
    kinds = Indicator.known().items()
    assert {name for name, kind in kinds if kind.over is not Indicator.over} == SPECS.keys()


@pytest.mark.parametrize("name", SPECS)
@given(ROWS, st.integers(1, 12), st.integers(1, 9), st.integers(1, 9), st.integers(-90, 200))
def test_columns_give_what_updates_give(
    name: str, rows: list[tuple[float, float, float, float]], first: int, more: int, much: int, power: int
) -> None:
    series = series_of(rows, 2.0**power)
    fields = ("open", "high", "low", "close", "volume")
    columns = SimpleNamespace(**{f"{each}s": [getattr(bar, each) for bar in series] for each in fields})
    for spec in SPECS[name]:
        text = spec.format(first, first + more, first + more + much)
        found = Indicator.create(text).over(columns)
        assert found is not None
        one = Indicator.create(text)
        values = [one.update(bar) or {} for bar in series]
        assert found.keys() == set(one.outputs or (one.name,))
        for output, column in found.items():
            assert list(map(repr, column)) == [repr(value.get(output, nan)) for value in values], text


@pytest.mark.parametrize("spec", ["sma(3)", "bollinger(3)"])
def test_what_columns_cannot_hold_is_left_to_updates(spec: str) -> None:
    for values in ([1.0, 2.0, 0.0], [1.0, 1e6, 1.0], [1.0, nan, 1.0]):
        assert Indicator.create(spec).over(SimpleNamespace(closes=values)) is None
    assert Indicator.create("bollinger(513)").over(SimpleNamespace(closes=[1.0] * 600)) is None
