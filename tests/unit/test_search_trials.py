"""One run of a search, and the order of many."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from backtest.bars import ClosedCandle
from backtest.history import History
from backtest.search.ranking import METRICS, ranking
from backtest.search.sharing import in_columns
from backtest.search.trials import Outcome, Runner, Trial
from backtest.search.windows import Window
from backtest.statistics import FIGURES
from backtest.strategies.sma_cross import SmaCross
from backtest.strategy import Strategy
from schemas.errors import ValidationError
from tests.backtest_runs import BEGAN, MINUTE, Prices, bars_of, terms_of

HOUR = 60 * MINUTE


def walk(count: int) -> list[Prices]:
    random, price, found = Random(8), 100.0, []
    for _ in range(count):
        opened, price = price, price * random.uniform(0.98, 1.02)
        found.append((opened, max(opened, price), min(opened, price), price))
    return found


def told(strategy: Strategy, error: Exception) -> str:
    return f"{strategy.name}: {error}"


@pytest.fixture(scope="module")
def runner() -> Runner:
    return Runner(SmaCross, told, in_columns(History([bars_of(walk(500), length=HOUR)])), terms_of())


def test_what_is_judged_goes_on_from_what_has_chosen(runner: Runner) -> None:
    border, end = BEGAN + 300 * HOUR, BEGAN + 400 * HOUR
    inside = runner(Trial(0, {"fast": 2, "slow": 6}, Window(BEGAN, border), BEGAN))
    both = runner(Trial(0, {"fast": 2, "slow": 6}, Window(BEGAN, end), border))
    assert inside.stretch is not None
    assert both.stretch is not None
    assert both.stretch.before == inside.stretch.equity[-1]
    assert both.stretch.times.tolist() == [border + HOUR * (number + 1) for number in range(100)]
    whole = runner(Trial(0, {"fast": 2, "slow": 6}, None, BEGAN))
    assert whole.stretch is not None
    assert both.stretch.equity.tolist() == whole.stretch.equity[300:400].tolist()
    assert inside.statistics is not None
    assert both.statistics is not None
    assert both.statistics.trades - inside.statistics.trades == both.stretch.trades > 3


class _Fails(Strategy):
    """Raises what it is told to."""

    kind: str = "mine"

    def on_candle(self, candle: ClosedCandle) -> None:
        raise ValidationError("on purpose") if self.kind == "ours" else LookupError("by mistake")


@pytest.mark.parametrize(("kind", "error"), [("ours", "on purpose"), ("mine", "_fails: by mistake")])
def test_what_a_strategy_raises_is_told_in_the_outcome(kind: str, error: str) -> None:
    failing = Runner(_Fails, told, History([bars_of(walk(3))]), terms_of())
    found = failing(Trial(0, {"kind": kind}))
    assert (found.error, found.statistics, found.figure("sharpe")) == (error, None, None)


def test_ranks_go_by_the_figure_and_equal_ones_by_their_number(runner: Runner) -> None:
    sets = [(2, 6), (3, 9), (2, 6), (5, 20), (40, 490)]
    found = [runner(Trial(n, {"fast": fast, "slow": slow})) for n, (fast, slow) in enumerate(sets)]
    found.append(Outcome(Trial(7, {}), error="late"))
    found.append(Outcome(Trial(6, {}), error="early"))
    ranked = ranking(reversed(found), "sharpe")
    values = [each.figure("sharpe") for each in ranked.best]
    assert values == sorted(values, key=lambda value: -(value or 0.0))
    numbers = [each.trial.number for each in ranked.best]
    assert numbers.index(2) == numbers.index(0) + 1
    assert [each.trial.number for each in ranked.undefined] == [4]  # it never trades
    assert [each.error for each in ranked.failed] == ["early", "late"]
    lowest = ranking(found, "max_drawdown")
    depths = [each.figure("max_drawdown") or 0.0 for each in lowest.best]
    assert depths == sorted(depths)
    assert len(lowest.best) == 5


def test_luck_is_that_of_the_best_sharpe_ratio_whatever_ranks(runner: Runner) -> None:
    found = [runner(Trial(n, {"fast": fast, "slow": 30})) for n, fast in enumerate((2, 5, 9, 14))]
    ratios = [each.moments.sharpe for each in found if each.moments is not None]
    for metric in ("sharpe", "max_drawdown"):
        luck = ranking(found, metric).deflation
        assert luck is not None
        assert luck.sharpe == max(ratios)
        assert luck.trials == 4
        assert luck.variance == pytest.approx(np.var(ratios, ddof=1))
        best = max(found, key=lambda each: each.figure("sharpe") or 0.0)
        assert luck.sharpe * luck.yearly == pytest.approx(best.figure("sharpe"))
    still = [replace(each, moments=None) for each in found]
    assert ranking(still, "sharpe").deflation is None


def test_every_metric_is_a_figure() -> None:
    assert METRICS.keys() <= {figure.name for figure in FIGURES}
