"""A grid of parameters over the same candles, in one process and in two, in turns."""

import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from backtest.bars import Bars
from backtest.history import History
from backtest.search.search import Search
from backtest.search.sharing import in_columns, share
from backtest.search.trials import Job, Outcome, Trial
from backtest.search.workers import Workers
from backtest.strategies.sma_cross import SmaCross
from backtest.strategy import Strategy
from backtest.terms import Terms

FAST: Final = range(5, 45)
SLOW: Final = range(50, 300, 10)
CAPITAL: Final = Decimal(1_000_000)


def _kind() -> type[Strategy]:
    return SmaCross


def _told(strategy: Strategy, error: Exception) -> str:
    return f"{strategy.name}: {error}"


def grid_ratio(bars: Bars, sets: int) -> dict[str, Any]:
    """How much faster two processes are than one; their start and sharing the data belong to the time.

    Half of the sets, then the other half: first one process, then two, then the other way round, so that
    what else the machine does falls on both.
    """
    chosen = [{"fast": fast, "slow": slow} for slow in SLOW for fast in FAST][:sets]
    halves = [chosen[::2], chosen[1::2]]
    took = {1: 0.0, 2: 0.0}
    best: dict[int, list[float]] = {1: [], 2: []}
    for half, order in zip(halves, ((1, 2), (2, 1)), strict=True):
        for count in order:
            began = time.perf_counter()
            best[count].append(_searched(bars, half, count))
            took[count] += time.perf_counter() - began
    return {
        "grid_sets": len(chosen),
        "grid_candles": len(bars),
        "grid_seconds_one_process": round(took[1], 2),
        "grid_seconds_two_processes": round(took[2], 2),
        "grid_ratio": round(took[1] / took[2], 3),
        "grid_runs_per_s": round(len(chosen) / took[2], 1),
        "grid_same_result": best[1] == best[2],
    }


def _searched(bars: Bars, sets: list[dict[str, int]], count: int) -> float:
    """The best return of a search."""
    search = Search(sets, "return")
    with tempfile.TemporaryDirectory(prefix="kandle-bench-") as folder:
        shared = share(in_columns(History([bars])), Path(folder) / "columns")
        with Workers[Trial, Outcome](count, Job(_kind, _told, shared, Terms(CAPITAL))) as workers:
            search.play(workers, lambda _: None)
    assert len(search.found) == len(sets)
    assert not any(each.error for each in search.found), search.found[0].error
    found = search.ranking().best[0].figure("return")
    assert found is not None
    return found
