"""Runs whose pages are tried in a browser: busy ones, empty ones, and one that loses everything."""

from itertools import pairwise
from math import sin
from typing import Any

from backtest.report.page import page_of
from backtest.statistics import statistics_of
from tests.backtest_runs import MARKET, MINUTE, bars_of, flat, play, terms_of

Prices = tuple[float, float, float, float]
HOUR = 60 * MINUTE


def waves(count: int, height: float = 20.0, began: int = 0) -> list[Prices]:
    """Candles that rise and fall, each opening where the one before has closed."""
    closes = [
        100 + height * sin((number + began) / 9) + (number * 7919 % 13) / 10 for number in range(count + 1)
    ]
    return [
        (opened, max(opened, closed) + 0.5, min(opened, closed) - 0.5, closed)
        for opened, closed in pairwise(closes)
    ]


def traded(count: int, every: int = 10, markets: int = 1, length: int = MINUTE) -> tuple[Any, Any]:
    """A run that buys and sells in the first market all the time."""
    acts: dict[int, Any] = {}
    for number in range(1, count * markets - every, every):
        acts[number] = lambda strategy: strategy.buy(MARKET, 1)
        acts[number + every // 2] = lambda strategy: strategy.close(MARKET)
    bars = [bars_of(waves(count), length=length)]
    bars += [bars_of(waves(count, 5, each), f"test:C{each}/B", length) for each in range(1, markets)]
    return play(bars, acts, terms_of(fee="0.001"))


def busy_run() -> tuple[Any, Any]:
    """A day of minutes and more, 200 trades."""
    return traded(2_006)


def markets_run() -> tuple[Any, Any]:
    """Three markets over hours of weeks."""
    return traded(400, every=60, markets=3, length=HOUR)


def empty_run() -> tuple[Any, Any]:
    """Two candles and no trade."""
    return play(flat(100, 101), {})


def bankrupt_run() -> tuple[Any, Any]:
    """Twice the capital in something that falls to a fifth."""
    held = {0: lambda strategy: strategy.buy(MARKET)}
    return play(flat(100, 100, 30, 50, 20, 20), held, terms_of(leverage=2))


def page(run: Any, strategy: Any) -> str:
    """The page of a run."""
    return page_of(strategy, run, statistics_of(run), "ab" * 32)
