"""Processes that share a list of tasks."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from backtest.history import History
from backtest.search.sharing import in_columns, share
from backtest.search.workers import Workers, WorkersError
from tests.backtest_runs import bars_of, flat

DEADLY, FAILING, LEAVING = -1, "no work", "leaves"


@dataclass(frozen=True)
class _Square:
    """Work that kills its process at one task."""

    fails: str = ""

    def __call__(self) -> Callable[[int], tuple[int, int]]:
        if self.fails == LEAVING:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fails:
            raise ValueError(self.fails)
        return _square


def _square(task: int) -> tuple[int, int]:
    if task == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    return task * task, os.getpid()


def _watch() -> Callable[[int], tuple[int, bool]]:
    return _shielded


def _shielded(_: int) -> tuple[int, bool]:
    return os.getpid(), signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


_FIRST_OF_ITS_PARENT = """
from tests.unit.test_search_workers import Workers, _watch

if __name__ == "__main__":
    with Workers(2, _watch) as workers:
        found = dict(result for _, result in workers.run(range(2)))
    print(len(found), all(found.values()))
"""


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh interpreter finds this file by the paths of this one."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2])


def test_tasks_are_shared_and_a_death_costs_one_task() -> None:
    with Workers[int, tuple[int, int]](2, _Square()) as workers:
        found = dict(workers.run([3, DEADLY, 4, 5, 6]))
        assert found.pop(DEADLY) is None
        squares = {task: result[0] for task, result in found.items() if result}
        assert squares == {3: 9, 4: 16, 5: 25, 6: 36}
        assert os.getpid() not in {result[1] for result in found.values() if result}
        again = dict(workers.run([7]))
        assert again[7] is not None
        assert again[7][0] == 49
    assert multiprocessing.active_children() == []


def test_an_interrupt_reaches_no_process_not_even_the_first(tmp_path: Path) -> None:
    # In a fresh parent, whose first process starts the helpers of multiprocessing too.
    script = tmp_path / "parent.py"
    script.write_text(_FIRST_OF_ITS_PARENT)
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == ["2", "True"]


def test_what_a_broken_off_call_still_answers_belongs_to_no_later_one() -> None:
    with Workers[int, tuple[int, int]](2, _Square()) as workers:
        begun = workers.run(range(2, 20))
        next(begun)
        begun.close()  # type: ignore[attr-defined]
        found = {task: result[0] for task, result in workers.run([50, 60, 70]) if result}
    assert found == {50: 2_500, 60: 3_600, 70: 4_900}
    assert multiprocessing.active_children() == []


def test_one_worker_is_this_process() -> None:
    with Workers[int, tuple[int, int]](1, _Square()) as workers:
        assert list(workers.run([2, 3])) == [(2, (4, os.getpid())), (3, (9, os.getpid()))]


def test_work_that_cannot_begin_is_told_and_nothing_is_left() -> None:
    workers = Workers[int, tuple[int, int]](2, _Square(FAILING))
    with pytest.raises(WorkersError, match="cannot begin: ValueError: no work"), workers:
        list(workers.run([1, 2, 3]))
    assert multiprocessing.active_children() == []


def test_a_process_that_ends_at_once_is_told() -> None:
    workers = Workers[int, tuple[int, int]](2, _Square(LEAVING))
    with pytest.raises(WorkersError, match="ended before it could begin"), workers:
        list(workers.run([1, 2, 3]))


def test_shared_data_are_equal_and_their_arrays_stand_in_the_file_alone(tmp_path: Path) -> None:
    bars = bars_of([*flat(*map(float, range(1, 5_000)))])
    history = in_columns(History([bars]))
    shared = share(history, tmp_path / "columns")
    assert len(shared.head) < 1_000
    assert (tmp_path / "columns").stat().st_size >= 6 * 8 * len(bars)
    (found,) = shared.open().bars
    assert list(found) == list(bars)
    closes = found.closes
    assert isinstance(closes, np.ndarray)
    assert not closes.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        closes[0] = 2.0


def test_nothing_to_share_is_no_error(tmp_path: Path) -> None:
    assert share(History(), tmp_path / "columns").open() == History()
