"""How far a backtest is, by the clock of the run: looked at from beside it, which costs the run nothing."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

from backtest.desk import SimulatedDesk
from backtest.history import Books, History, Quotes, Trades
from backtest.strategy import Strategy
from kandle.jobs.progress import progress
from schemas.errors import ConfigurationError
from schemas.records import Micros

SILENT_S: Final = 2.0
"""What takes no longer shows nothing, s."""
EVERY_S: Final = 0.5


@contextlib.contextmanager
def progress_of(strategy: Strategy, history: History) -> Iterator[None]:
    """Show how far a strategy has come through a history meanwhile, or tell the job that this is."""
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(strategy, span_of(history), ended), daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()


def span_of(history: History) -> tuple[Micros, Micros]:
    """Times of the first and of the last row; two zeros where there is none."""
    firsts: list[int] = []
    lasts: list[int] = []
    for bars in history.bars:
        firsts.append(int(bars.open_times[0]))
        lasts.append(int(bars.open_times[-1]) + bars.length)
    each: tuple[Trades | Quotes | Books, ...] = (*history.trades, *history.quotes, *history.books)
    for rows in each:
        firsts.append(int(rows.times[0]))
        lasts.append(int(rows.times[-1]))
    return min(firsts, default=0), max(lasts, default=0)


def _watch(strategy: Strategy, span: tuple[Micros, Micros], ended: threading.Event) -> None:
    if ended.wait(SILENT_S):
        return
    first, last = span
    with progress(f"running {strategy.name}") as told:
        while not ended.wait(EVERY_S):
            with contextlib.suppress(ConfigurationError):  # it does not run yet
                desk = strategy.desk
                if isinstance(desk, SimulatedDesk) and desk.now > first:
                    told(min(desk.now, last) - first, last - first)
