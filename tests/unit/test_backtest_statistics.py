"""Figures of a run, against plain recomputations."""

from dataclasses import replace
from itertools import pairwise
from math import sqrt
from statistics import mean, stdev
from typing import Any

import numpy as np
import pytest

from backtest.bars import DAY_US, usual_step
from backtest.statistics import deepest_drawdown, longest_drawdown, statistics_of
from kandle.backtest_report import figures_of
from schemas.errors import ValidationError
from tests.backtest_runs import BEGAN, MARKET, bars_of, flat, play, terms_of

HOUR = DAY_US // 24
CLOSES = [100 + (number * 37) % 23 - (number * 11) % 7 for number in range(400)]


def traded(length: int = HOUR, began: int = BEGAN) -> Any:
    """A run over hours that buys and sells now and then."""
    acts = {}
    for number in range(3, 380, 20):
        acts[number] = lambda strategy: strategy.buy(MARKET, 40)
        acts[number + 9] = lambda strategy: strategy.close(MARKET)
    prices = [(close, close + 2, close - 2, close + 1) for close in CLOSES]
    run, _ = play([bars_of(prices, length=length, began=began)], acts, terms_of(fee="0.001"))
    return run


def test_ratios_are_those_of_the_returns_of_days() -> None:
    run = traded()
    found = statistics_of(run)
    # 16 days and a part
    ends = [10_000.0, *(run.equity[number] for number in range(23, 400, 24)), run.equity[-1]]
    days = [after / before - 1 for before, after in pairwise(ends)]
    assert len(days) == 17
    assert found.volatility == pytest.approx(stdev(days) * sqrt(365))
    assert found.sharpe == pytest.approx(mean(days) / stdev(days) * sqrt(365))
    below = sqrt(mean(min(day, 0.0) ** 2 for day in days))
    assert found.sortino == pytest.approx(mean(days) / below * sqrt(365))
    years = 400 / 24 / 365.25
    assert found.cagr == pytest.approx((run.equity[-1] / 10_000) ** (1 / years) - 1)
    assert found.calmar == pytest.approx(found.cagr / found.drawdown.depth)


def test_a_year_without_weekends_has_252_days() -> None:
    acts = {0: lambda strategy: strategy.buy(MARKET, 40)}
    prices = flat(*CLOSES[:12])
    for last, per_year in ((15, 252), (19, 365)):  # a Tuesday, a Saturday; candles of Fridays close on one
        bars = bars_of(prices, length=DAY_US)
        times = [BEGAN + DAY_US * 7 * (number // 5) + DAY_US * (number % 5) for number in range(12)]
        times[-1] = BEGAN + DAY_US * last
        run, _ = play([replace(bars, open_times=times)], acts)
        days = [after / before - 1 for before, after in pairwise([10_000.0, *run.equity])]
        assert statistics_of(run).volatility == pytest.approx(stdev(days) * sqrt(per_year))


def test_figures_of_trades_are_sums_over_them() -> None:
    run = traded()
    found = statistics_of(run)
    profits = [float(trade.profit) for trade in run.trades]
    assert len(profits) == found.trades == 19
    assert found.win_rate == sum(profit > 0 for profit in profits) / 19
    assert found.expectancy == pytest.approx(mean(profits))
    gains, losses = (sum(abs(p) for p in profits if (p > 0) is side) for side in (True, False))
    assert found.profit_factor == pytest.approx(gains / losses)
    parts = [float(trade.exit_price / trade.entry_price) - 1 for trade in run.trades]
    fees = [float(trade.fee / trade.size / trade.entry_price) for trade in run.trades]
    assert found.best == pytest.approx(max(part - fee for part, fee in zip(parts, fees, strict=True)))
    assert found.worst == pytest.approx(min(part - fee for part, fee in zip(parts, fees, strict=True)))
    value = sum(float(fill.size * fill.price) for fill in run.fills)
    assert found.turnover == pytest.approx(value / mean(run.equity))
    assert found.fees == pytest.approx(value * 0.001)
    assert found.buy_and_hold == pytest.approx((CLOSES[-1] + 1) / CLOSES[0] - 1)
    assert found.total_return == pytest.approx(sum(profits) / 10_000)
    held = sum(round((trade.exit_time - trade.entry_time) / HOUR) for trade in run.trades)
    assert found.exposure == held / 400


def test_a_drawdown_has_its_dates() -> None:
    #            peak             bottom       recovered       below again
    equity = np.array([110.0, 104.0, 99.0, 108.0, 110.0, 109.0, 107.0])
    times = np.arange(1, 8) * 10
    found = deepest_drawdown(equity, times, 100.0, 0)
    assert (found.depth, found.peak, found.bottom, found.recovered) == (0.1, 10, 30, 50)
    assert longest_drawdown(equity, times, 100.0, 0) == 40
    assert longest_drawdown(equity[:4], times[:4], 100.0, 0) == 30  # goes on at the end


def test_a_fall_from_the_capital_is_a_drawdown() -> None:
    found = deepest_drawdown(np.array([90.0, 95.0]), np.array([10, 20]), 100.0, 5)
    assert (found.depth, found.peak, found.bottom, found.recovered) == (0.1, 5, 10, None)
    assert longest_drawdown(np.array([90.0, 95.0]), np.array([10, 20]), 100.0, 5) == 15


def test_a_curve_that_only_rises_has_none() -> None:
    equity, times = np.array([101.0, 102.0]), np.array([10, 20])
    assert deepest_drawdown(equity, times, 100.0, 5).depth == 0
    assert longest_drawdown(equity, times, 100.0, 5) == 0


def test_drawdowns_equal_a_walk_over_every_pair() -> None:
    run = traded()
    curve = [10_000.0, *run.equity]
    depth = max(1 - low / high for at, high in enumerate(curve) for low in curve[at:])
    found = statistics_of(run)
    assert found.drawdown.depth == pytest.approx(depth)
    below = [equity < max(curve[: at + 1]) for at, equity in enumerate(curve)][1:]
    assert found.under_water == pytest.approx(sum(below) / 400)


def test_what_is_not_defined_without_trades_is_null() -> None:
    run, _ = play(flat(100, 100, 100), {})
    found = figures_of(statistics_of(run))
    for name in ("sharpe", "sortino", "calmar", "win_rate", "profit_factor", "expectancy", "best_trade"):
        assert found[name] is None
    assert (found["trades"], found["final_equity"], found["max_drawdown"]) == (0, 10_000, 0)


def test_minutes_that_would_be_endless_wealth_in_a_year_are_no_figure() -> None:
    run, _ = play(flat(100, 100, 200), {0: lambda strategy: strategy.buy(MARKET)})
    assert figures_of(statistics_of(run))["cagr"] is None
    lost, _ = play(flat(100, 100, 30), {0: lambda strategy: strategy.buy(MARKET)}, terms_of(leverage=2))
    assert (statistics_of(lost).cagr, lost.final_equity) == (-1.0, -4_000)


def test_the_interval_is_the_most_frequent_step() -> None:
    assert usual_step([0, 60, 120, 300, 360]) == 60
    assert usual_step([0, 60, 180]) == 60
    with pytest.raises(ValidationError):
        usual_step([0])
