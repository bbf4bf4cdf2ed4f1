"""Processes that share a list of tasks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar, cast

from schemas.errors import KandleError

Task = TypeVar("Task")
Result = TypeVar("Result")
Job = Callable[[], Callable[[Task], Result]]

STOP_TIMEOUT_S: Final = 5.0
"""After which a process that was asked to end is killed."""


class WorkersError(KandleError):
    """A process cannot begin its work."""

    code = "WORKERS"


class Workers(Generic[Task, Result]):
    """Runs tasks in processes of their own, each a fresh interpreter; a single one is this process.

    What tasks print goes to standard error.

    A process that dies, as by lack of memory, takes its task with it and is replaced. An interrupt from the
    keyboard reaches this process alone: leaving the context ends the others.

    Args:
        count: How many processes.
        job: Called once in each; what it returns is called with every task and never gives None. It is
            pickled, as are tasks and results.
    """

    def __init__(self, count: int, job: Job[Task, Result]) -> None:
        self._count, self._job = count, job
        self._processes: dict[Connection, BaseProcess] = {}
        self._fresh: set[Connection] = set()
        """Those that have not said yet whether they can begin."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end([*self._processes])

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Result | None]]:
        """The results, in the order in which they are ready; None where the process has died. Blocks.

        Raises:
            WorkersError: The job fails before the first task.
        """
        if self._count == 1:
            work = self._job()
            for task in tasks:
                with redirect_stdout(sys.stderr):
                    result = work(task)
                yield task, result
            return
        busy: dict[Connection, Task] = {}
        try:
            yield from self._run(iter(tasks), busy)
        finally:
            self._end([*busy])  # what they still answer belongs to no later call

    def _run(
        self, waiting: Iterator[Task], busy: dict[Connection, Task]
    ) -> Iterator[tuple[Task, Result | None]]:
        while len(self._processes) < self._count:
            self._start()
        for connection in [*self._processes]:
            self._give(connection, waiting, busy)
        while busy:
            for ready in wait([*busy]):
                connection = cast("Connection", ready)
                try:
                    result = connection.recv()
                except (EOFError, OSError):
                    if connection in self._fresh:
                        raise WorkersError("a process has ended before it could begin") from None
                    result = None
                if connection in self._fresh:
                    self._fresh.remove(connection)
                    if result is not None:
                        raise WorkersError(result)
                    continue
                task = busy.pop(connection)
                if result is None:
                    connection = self._replaced(connection)
                yield task, result
                self._give(connection, waiting, busy)

    def _give(self, connection: Connection, waiting: Iterator[Task], busy: dict[Connection, Task]) -> None:
        for task in waiting:
            try:
                connection.send(task)
            except OSError:
                connection = self._replaced(connection)
                connection.send(task)
            busy[connection] = task
            return

    def _replaced(self, connection: Connection) -> Connection:
        self._end([connection])
        return self._start()

    def _end(self, connections: Sequence[Connection]) -> None:
        ended = [self._processes.pop(each) for each in connections]
        for connection, process in zip(connections, ended, strict=True):
            self._fresh.discard(connection)
            connection.close()
            process.terminate()
        for process in ended:
            process.join(STOP_TIMEOUT_S)
            if process.is_alive():
                process.kill()
                process.join()

    def _start(self) -> Connection:
        # Fresh interpreters: a fork would copy locks that other threads hold, and macOS has none to offer.
        context = multiprocessing.get_context("spawn")
        resource_tracker.ensure_running()  # else the first process would start it, which unblocks the signal
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._job), daemon=True)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited, and never unblocked
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._processes[ours] = process
        self._fresh.add(ours)
        return ours


def _serve(connection: Connection, job: Callable[[], Callable[[Any], Any]]) -> None:
    """The life of a process: says first whether it can begin, then answers tasks, until nobody asks."""
    sys.stdout = sys.stderr  # what a strategy prints is not the answer of the command
    try:
        work = job()
    except Exception as error:
        connection.send(f"a process cannot begin: {type(error).__name__}: {error}")
        return
    try:
        connection.send(None)
        while True:
            connection.send(work(connection.recv()))
    except (EOFError, OSError):
        return


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
