"""Figures of whatever curves equal those recomputed from their definitions."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from backtest.bars import DAY_US
from backtest.statistics import figures_of, statistics_of
from tests.backtest_figures import expected_curve_figures
from tests.backtest_runs import bars_of, flat, play

VALUES = st.integers(1, 40).map(lambda value: 500.0 * value)


@given(
    st.lists(st.tuples(VALUES, st.integers(50, 150)), min_size=3, max_size=60),
    st.sampled_from([DAY_US // 24, DAY_US // 4, DAY_US, 5 * DAY_US]),
    st.integers(0, 6),
)
def test_figures_of_any_curve_are_those_of_the_definitions(
    points: list[tuple[float, int]], length: int, days: int
) -> None:
    equity, prices = zip(*points, strict=True)
    began = 1_704_067_200_000_000 + days * DAY_US
    run, _ = play([bars_of(flat(*prices), length=length, began=began)], {})
    curve = replace(run, equity=np.array(equity, np.float64), final_equity=Decimal(str(equity[-1])))
    try:
        expected = expected_curve_figures(curve)
    except ArithmeticError:
        # Equity or prices that never move, minutes that would be endless wealth in a year.
        reject()
    found = figures_of(statistics_of(curve))
    for name, value in expected.items():
        same = pytest.approx(value, rel=1e-6, abs=1e-9) if isinstance(value, float) else value
        assert found[name] == same, name
