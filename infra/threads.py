"""Threads of an event loop for which the end of the process does not wait."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Thread
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class UnawaitedThreads(ThreadPoolExecutor):
    """The default executor of a loop whose threads ask servers that may be away.

    Neither a client that waits for its broker nor the look-up of a host's name can be called back. With the
    executor that asyncio makes itself, the process ends when the last of them has given up, 15 s later; and
    where a few of them wait, nothing else gets a thread. Here each piece of work has a thread of its own,
    which ends with the process. What must be done before the end is waited for by whoever has begun it.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Begin at once."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        Thread(
            target=_fulfil, args=(future, lambda: fn(*args, **kwargs)), name="unawaited", daemon=True
        ).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for nobody."""


def _fulfil(future: "Future[Any]", work: Callable[[], Any]) -> None:
    try:
        result = work()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
