"""Indicators against TA-Lib, from its first defined value on."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from processors.indicator import Indicator
from schemas.records import Candle

CASES: list[tuple[str, str, Callable[..., Any], dict[str, int]]] = [
    (f"{name}({period})", f"{name}_{period}", oracle, {"timeperiod": period})
    for name, oracle in (("sma", talib.SMA), ("ema", talib.EMA), ("rsi", talib.RSI))
    for period in (2, 14, 20, 50)
]


def values_of(spec: str, label: str, closes: Sequence[float]) -> list[float]:
    """The indicator's only output, NaN where there is none."""
    indicator = Indicator.create(spec)
    assert indicator.label == label
    values = []
    for index, close in enumerate(closes):
        outputs = indicator.update(
            Candle(
                "v", "s", "1d", index, index + 1, close, close, close, close, 1, 0, 0, 1, None, None, 0, True
            )
        )
        values.append(outputs[indicator.name] if outputs else float("nan"))
    return values


def assert_equal_to_talib(
    case: tuple[str, str, Callable[..., Any], dict[str, int]], closes: list[float]
) -> None:
    spec, label, oracle, parameters = case
    expected = oracle(np.array(closes), **parameters)
    np.testing.assert_allclose(values_of(spec, label, closes), expected, rtol=1e-9, atol=0, equal_nan=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[1])
def test_equal_on_recorded_closes(
    case: tuple[str, str, Callable[..., Any], dict[str, int]], captures: Path
) -> None:
    with (captures / "equities" / "aapl_daily.csv").open() as file:
        closes = [float(row["AAPL.Close"]) for row in csv.DictReader(file)]
    assert len(closes) == 506
    assert_equal_to_talib(case, closes)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[1])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_equal_on_a_random_walk(
    case: tuple[str, str, Callable[..., Any], dict[str, int]], scale: float
) -> None:
    walk = np.exp(np.random.default_rng(11).normal(0, 0.01, 3_000).cumsum())
    assert_equal_to_talib(case, [round(float(x), 8) for x in walk * 60_000 * scale])


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=80), st.sampled_from(CASES))
def test_equal_on_any_prices(
    ticks: list[int], case: tuple[str, str, Callable[..., Any], dict[str, int]]
) -> None:
    assert_equal_to_talib(case, [tick / 100 for tick in ticks])


def test_a_huge_price_leaves_no_trace_in_a_moving_average() -> None:
    closes = [1e17, *([0.1] * 40)]
    assert values_of("sma(20)", "sma_20", closes)[-1] == pytest.approx(0.1, rel=1e-15)
