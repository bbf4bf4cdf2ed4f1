"""How far a command is: to the terminal, or, where it runs as a job, to whoever asks for the job."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

Told = Callable[[int, int], None]
"""Called with what is done and all there is to do, in one unit."""
EVERY_S: Final = 0.5
"""A job says no more often how far it is."""

_job: list[Told] = []
_rows: list[Callable[[int], None]] = []


@contextlib.contextmanager
def progress(what: str) -> Iterator[Told]:
    """Show how far something is, as it is told; on standard error, and only where a person looks at it."""
    if _job:
        yield _job[-1]
    elif not sys.stderr.isatty():
        yield lambda done, total: None
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as shown:
            task = shown.add_task(what, total=None)
            yield lambda done, total: shown.update(task, completed=done, total=total)


def note_done(done: int, total: int) -> None:
    """Say how far a job is; of no effect in a terminal."""
    for told in _job:
        told(done, total)


def note_rows(count: int) -> None:
    """Say how many rows a job has brought; of no effect in a terminal."""
    for noted in _rows:
        noted(count)


@contextlib.contextmanager
def as_job(told: Told, rows: Callable[[int], None]) -> Iterator[None]:
    """Let what is done meanwhile report to a job."""
    last = 0.0

    def seldom(done: int, total: int) -> None:
        nonlocal last
        if done >= total or time.monotonic() - last >= EVERY_S:
            last = time.monotonic()
            told(done, total)

    _job.append(seldom)
    _rows.append(rows)
    try:
        yield
    finally:
        _job.pop()
        _rows.pop()
