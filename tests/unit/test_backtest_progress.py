"""A long backtest tells its job how far it is."""

import time

import pytest

from backtest.engine import run
from backtest.history import History
from backtest.strategy import ClosedCandle, Strategy
from backtest.terms import Terms
from kandle.backtests import progress
from kandle.backtests.progress import progress_of, span_of
from kandle.jobs.progress import as_job
from tests.backtest_runs import BEGAN, MINUTE, bars_of, flat


class _Slow(Strategy):
    """Takes its time in the middle."""

    def on_candle(self, candle: ClosedCandle) -> None:
        """Wait at the fifth candle."""
        if candle.open_time == BEGAN + 4 * MINUTE:
            time.sleep(0.3)


def test_a_job_hears_of_the_time_that_the_run_has_come_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SILENT_S", 0.01)
    monkeypatch.setattr(progress, "EVERY_S", 0.05)
    history = History([bars_of(flat(*[100.0] * 10))])
    assert span_of(history) == (BEGAN, BEGAN + 10 * MINUTE)
    strategy = _Slow()
    heard: list[tuple[int, int]] = []
    with (
        as_job(lambda done, total: heard.append((done, total)), lambda rows: None),
        progress_of(strategy, history),
    ):
        run(strategy, history, Terms())
    assert heard[0] == (5 * MINUTE, 10 * MINUTE)


def test_what_is_over_soon_shows_nothing() -> None:
    history = History([bars_of(flat(*[100.0] * 10))])
    heard: list[tuple[int, int]] = []
    with (
        as_job(lambda done, total: heard.append((done, total)), lambda rows: None),
        progress_of(_Slow(), history),
    ):
        pass
    assert heard == []
    assert span_of(History()) == (0, 0)
