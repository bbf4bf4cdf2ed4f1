"""Figures of a run, against plain recomputations."""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from math import isfinite, sqrt
from statistics import mean, stdev
from typing import Any

import numpy as np
import pytest

from backtest.bars import DAY_US, usual_step
from backtest.history import Funding, History
from backtest.statistics import FIGURES, figures_of, market_figures_of, statistics_by_market, statistics_of
from backtest.statistics.drawdown import Drawdown, falls_of
from schemas.errors import ValidationError
from tests.backtest_events import buy, play_events, sell
from tests.backtest_figures import expected_figures
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


@pytest.mark.parametrize("began", [BEGAN, BEGAN + 5 * HOUR])
def test_figures_equal_those_recomputed_from_their_definitions(began: int) -> None:
    run = traded(began=began)
    found = figures_of(statistics_of(run))
    assert len(run.trades) == 19
    for name, value in expected_figures(run).items():
        assert found[name] == (pytest.approx(value) if isinstance(value, float) else value), name


def test_several_markets_are_held_in_equal_parts_from_their_first_candles_on() -> None:
    run = two_markets()
    found = figures_of(statistics_of(run))
    for name, value in expected_figures(run).items():
        assert found[name] == (pytest.approx(value) if isinstance(value, float) else value), name


def test_what_the_markets_have_added_is_what_the_equity_has_grown() -> None:
    run = two_markets()
    markets = statistics_by_market(run)
    assert [each.market for each in markets] == [MARKET, "test:C/B"]
    assert sum(each.profit for each in markets) == pytest.approx(float(run.final_equity - run.terms.capital))
    assert sum(each.fees for each in markets) == pytest.approx(float(run.fees))
    assert sum(each.closed.count for each in markets) == len(run.trades)
    # Bought at the open of its ninth candle, after the 21st of both, and held to the end.
    second = market_figures_of(markets[1])
    assert (second["exposure"], second["trades"], second["win_rate"]) == (32 / 40, 0, None)
    assert second["buy_and_hold"] == pytest.approx(run.bars[1].closes[-1] / run.bars[1].opens[0] - 1)


def two_markets() -> Any:
    """A market that is traded, and one that begins five hours later and is bought and held."""
    other = "test:C/B"
    acts = {
        3: lambda strategy: strategy.buy(MARKET, 20),
        20: lambda strategy: strategy.buy(other, 7),
        31: lambda strategy: strategy.close(MARKET),
        40: lambda strategy: strategy.sell(MARKET, 10),
        66: lambda strategy: strategy.close(MARKET),
        87: lambda strategy: strategy.buy(MARKET, 10),
        94: lambda strategy: strategy.close(MARKET),
    }
    first = bars_of([(c, c + 2, c - 2, c + 1) for c in CLOSES[:60]], length=HOUR)
    second = bars_of([(c, c + 2, c - 2, c - 1) for c in CLOSES[100:140]], other, HOUR, BEGAN + 5 * HOUR)
    run, _ = play([first, second], acts, terms_of(fee="0.001"))
    return run


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


def test_figures_of_a_run_are_sums_over_its_fills_and_candles() -> None:
    run = traded()
    found = statistics_of(run)
    value = sum(float(fill.size * fill.price) for fill in run.fills)
    assert found.turnover == pytest.approx(value / mean(run.equity))
    assert found.fees == pytest.approx(value * 0.001)
    held = sum(round((trade.exit_time - trade.entry_time) / HOUR) for trade in run.trades)
    assert found.exposure == held / 400
    (market,) = statistics_by_market(run)
    assert market.exposure == held / 400
    assert market.traded == pytest.approx(value)
    assert market.fills == len(run.fills)


def test_a_run_of_seven_days_by_hand() -> None:
    # Ten units from 100 on; two days each at the closes below. Days are from Monday on, closed at midnight.
    closes = [100, 100, 110, 99, 99, 121, 110]
    acts = {0: lambda strategy: strategy.buy(MARKET, 10), 5: lambda strategy: strategy.close(MARKET)}
    run, _ = play([bars_of([(c, c, c, c) for c in closes], length=DAY_US)], acts, terms_of(capital=1000))
    found = figures_of(statistics_of(run))
    # 1000, 1000, 1100, 990, 990, 1210, and out at the open of 110: 1100.
    assert run.equity.tolist() == [1000, 1000, 1100, 990, 990, 1210, 1100]
    assert (found["trades"], found["return"], found["expectancy"]) == (1, pytest.approx(0.1), 100)
    assert (found["max_drawdown"], found["max_drawdown_s"]) == (pytest.approx(0.1), 3 * 86_400)
    assert found["max_drawdown_peak"] == BEGAN + 3 * DAY_US
    assert found["max_drawdown_bottom"] == BEGAN + 4 * DAY_US
    assert found["max_drawdown_recovered"] == BEGAN + 6 * DAY_US
    assert found["under_water"] == 3 / 7
    assert (found["best_day"], found["worst_day"]) == (pytest.approx(22 / 99), pytest.approx(-0.1))
    assert found["best_month"] == found["worst_month"] == pytest.approx(0.1)
    # Held over five closes of seven; bought for 1000 and sold for 1100, at a mean equity of 7390 / 7.
    assert (found["exposure"], found["turnover"]) == (5 / 7, pytest.approx(2100 * 7 / 7390))
    # It held what buy and hold holds, with all that it had, on all days on which anything moved.
    assert (found["beta"], found["alpha"]) == (pytest.approx(1), pytest.approx(0, abs=1e-12))
    assert (found["wins_in_a_row"], found["losses_in_a_row"], found["profit_factor"]) == (1, 0, None)


def test_a_drawdown_has_its_dates() -> None:
    #            peak             bottom       recovered       below again
    equity = np.array([110.0, 104.0, 99.0, 108.0, 110.0, 109.0, 107.0])
    times = np.arange(1, 8) * 10
    found = falls_of(equity, times, 100.0, 0)
    assert (found.deepest, found.longest) == (Drawdown(0.1, 10, 30, 50, 40), 40)
    going_on = falls_of(equity[:4], times[:4], 100.0, 0)
    assert (going_on.deepest.recovered, going_on.deepest.length, going_on.longest) == (None, 30, 30)


def test_a_fall_begins_at_the_last_moment_at_its_peak() -> None:
    found = falls_of(np.array([100.0, 100.0, 90.0, 100.0]), np.array([10, 20, 30, 40]), 100.0, 5)
    assert found.deepest == Drawdown(0.1, 20, 30, 40, 20)
    assert found.under_water == 1 / 4


def test_a_fall_from_the_capital_is_a_drawdown() -> None:
    found = falls_of(np.array([90.0, 95.0]), np.array([10, 20]), 100.0, 5)
    assert (found.deepest, found.longest) == (Drawdown(0.1, 5, 10, None, 15), 15)


def test_a_curve_that_only_rises_has_none() -> None:
    found = falls_of(np.array([101.0, 102.0]), np.array([10, 20]), 100.0, 5)
    assert (found.deepest, found.longest, found.under_water) == (Drawdown(0.0, 5, 5, None, 0), 0, 0)


def test_what_is_not_defined_without_trades_is_null() -> None:
    run, _ = play(flat(100, 100, 100), {})
    found = figures_of(statistics_of(run))
    for name in (
        "sharpe",
        "sortino",
        "calmar",
        "win_rate",
        "profit_factor",
        "expectancy",
        "best_trade",
        "alpha",
    ):
        assert found[name] is None
    assert (found["trades"], found["final_equity"], found["max_drawdown"]) == (0, 10_000, 0)
    assert (found["max_drawdown_recovered"], found["losses_in_a_row"], found["turnover"]) == (None, 0, 0)


def test_every_run_has_a_json_without_nan() -> None:
    held = {0: lambda strategy: strategy.buy(MARKET)}
    for run in (
        play(flat(100, 100), {})[0],
        play([(100, 110, 90, 105)], {})[0],
        play([bars_of(flat(100, 100, 100, 100), length=DAY_US)], held)[0],
        play([bars_of(flat(100, 100, 30, 50, 20), length=DAY_US)], held, terms_of(leverage=2))[0],
    ):
        found = figures_of(statistics_of(run))
        for market in statistics_by_market(run):
            found |= market_figures_of(market)
        assert all(not isinstance(value, float) or isfinite(value) for value in found.values())
        assert {each.name for each in FIGURES} <= found.keys()


def test_returns_that_are_all_the_same_have_no_ratio() -> None:
    # A tenth of a percent every day, but for the rounding of doubles.
    closes = [100.0]
    for _ in range(30):
        closes.append(closes[-1] * 1.001)
    run, _ = play([bars_of(flat(*closes), length=DAY_US)], {})
    steady = replace(run, equity=np.array(closes), times=run.times, terms=terms_of(capital=100 / 1.001))
    found = figures_of(statistics_of(steady))
    assert (found["sharpe"], found["sortino"], found["volatility"]) == (None, None, 0)


def test_days_after_all_was_lost_have_no_return() -> None:
    run, _ = play([bars_of(flat(*[100] * 6), length=DAY_US)], {})
    lost = replace(run, equity=np.array([10_000.0, 10_000, -4_000, 0, 2_000, 3_200]))
    found = statistics_of(lost)
    # 0, 0, -140 %, then none from -4,000 and from 0, at last 60 %.
    days = [0, 0, -1.4, 0.6]
    assert found.sharpe == pytest.approx(mean(days) / stdev(days) * sqrt(365))
    assert found.drawdown.depth == pytest.approx(1.4)
    assert found.worst_day == pytest.approx(-1.4)


def test_costs_besides_fees_are_told_and_counted_to_their_market() -> None:
    bars = bars_of([(100, 101, 99, 100)] * 4 + [(100, 100, 20, 20)] * 2, length=DAY_US)
    rates = Funding(MARKET, np.array([BEGAN + 36 * HOUR]), np.array([0.01]), np.array([100.0]))
    history = History([bars], funding=[rates])
    # At the close of the first day ten units, which pay 1 % of 1,000; then ten short for a day; then a fall
    # to 20 with a hundred and fifty units, of which 5,000 were borrowed.
    acts = {86_400.0: buy(10), 2 * 86_400.0: sell(20), 3 * 86_400.0: buy(160)}
    run, _ = play_events(history, acts, terms_of(leverage=2), borrowing=Decimal("0.73"))
    found = figures_of(statistics_of(run))
    assert found["funding"] == -10
    assert found["interest"] == pytest.approx(1000 * 0.73 / 365)
    assert found["liquidations"] == 1
    (market,) = statistics_by_market(run)
    assert market.funding == -10
    assert market.profit == pytest.approx(float(run.final_equity) - 10_000)


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
