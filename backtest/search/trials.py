"""One run of a search: a set of parameters over the shared data, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from backtest.engine import Run, run
from backtest.history import History
from backtest.search.deflation import Moments, moments_of
from backtest.search.sharing import Shared
from backtest.search.space import Value
from backtest.search.windows import Window, cut
from backtest.statistics import Statistics, figures_of, statistics_of
from backtest.statistics.drawdown import Floats, Times
from backtest.statistics.returns import changes, days_of
from backtest.strategy import Strategy
from backtest.terms import Terms
from schemas.errors import KandleError
from schemas.records import Micros


@dataclass(frozen=True, slots=True)
class Trial:
    """What is to be run.

    Attributes:
        number: Running number in the search, from 0.
        parameters: Of the strategy; others have their defaults.
        window: What of the data it runs over; None: all.
        since: If given, the equity from then on is wanted, µs.
    """

    number: int
    parameters: Mapping[str, Value]
    window: Window | None = None
    since: Micros | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """The equity of a run from some time on.

    Attributes:
        start: That time, µs.
        before: Equity then.
        times: int64[n]: close times of the candles since, µs.
        equity: float64[n]: equity at each.
        trades: How many were closed since.
    """

    start: Micros
    before: float
    times: Times
    equity: Floats
    trades: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trial: figures, or an error.

    Attributes:
        trial: Which.
        statistics: As of any run; None of one that failed.
        moments: Of its returns of days.
        stretch: If wanted.
        error: Why it failed, for people; empty if it did not.
    """

    trial: Trial
    statistics: Statistics | None = None
    moments: Moments | None = None
    stretch: Stretch | None = None
    error: str = ""

    def figure(self, name: str) -> float | None:
        """A figure by its name in JSON; None if it is not defined."""
        if self.statistics is None:
            return None
        value: float | None = figures_of(self.statistics)[name]
        return value


@dataclass(frozen=True, slots=True)
class Job:
    """All that a process needs for trials; can be sent to one.

    Attributes:
        kind: Finds the class of the strategy, in whatever process.
        told: What to say of an exception that came out of a strategy.
        history: The data.
        terms: Under which all trials trade.
    """

    kind: Callable[[], type[Strategy]]
    told: Callable[[Strategy, Exception], str]
    history: Shared[History]
    terms: Terms

    def __call__(self) -> Callable[[Trial], Outcome]:
        """Called once in a process; returns what runs its trials."""
        return Runner(self.kind(), self.told, self.history.open(), self.terms)


class Runner:
    """Runs trials, one after the other.

    Args:
        kind: Class of the strategy.
        told: See `Job`.
        history: The data.
        terms: Under which they trade.
    """

    def __init__(
        self,
        kind: type[Strategy],
        told: Callable[[Strategy, Exception], str],
        history: History,
        terms: Terms,
    ) -> None:
        self._kind, self._told, self._history, self._terms = kind, told, history, terms

    def __call__(self, trial: Trial) -> Outcome:
        """Run one; what a strategy raises is told in the outcome."""
        strategy = self._kind(**trial.parameters)
        history = self._history if trial.window is None else cut(self._history, trial.window)
        try:
            found = run(strategy, history, self._terms)
            stretch = None if trial.since is None else _stretch(found, trial.since)
            return Outcome(trial, statistics_of(found), _moments(found), stretch)
        except KandleError as error:
            return Outcome(trial, error=str(error))
        except Exception as error:
            return Outcome(trial, error=self._told(strategy, error))


def _moments(found: Run) -> Moments:
    days = days_of(found.times)
    daily = changes(found.equity[days.last], float(found.terms.capital))
    return moments_of(daily[~np.isnan(daily)], days.per_year)


def _stretch(found: Run, since: Micros) -> Stretch:
    first = int(np.searchsorted(found.times, since, "right"))
    before = float(found.equity[first - 1]) if first else float(found.terms.capital)
    closed = sum(trade.exit_time >= since for trade in found.trades)
    return Stretch(since, before, found.times[first:], found.equity[first:], closed)
