"""Ends a process whose event loop hangs: nothing that runs in the loop can tell."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
import threading
from typing import Final

TICK_S: Final = 0.5


class LoopWatch:
    """A thread that expects a sign of life of the event loop, now and then.

    What blocks the loop is shown on standard error, then the process ends, without winding up: whoever blocks
    cannot be asked to. A supervisor starts it again. Time in which the whole process slept (SIGSTOP, a
    suspended machine) does not count, since the thread counts its own turns and reads no clock.

    Args:
        timeout_s: The loop may be silent so long.
        exit_code: Of the process when it hangs.
    """

    def __init__(self, timeout_s: float, exit_code: int) -> None:
        self._timeout_s = timeout_s
        self._exit_code = exit_code
        self._beats = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._expect, name="loop watch", daemon=True)

    async def run(self) -> None:
        """Give signs of life until cancelled; the watch begins and ends with it."""
        self._thread.start()
        try:
            while True:
                self._beats += 1
                await asyncio.sleep(TICK_S)
        finally:
            self._stopped.set()

    def _expect(self) -> None:
        seen, silent_s = -1, 0.0
        while not self._stopped.wait(TICK_S):
            if self._beats != seen:
                seen, silent_s = self._beats, 0.0
                continue
            silent_s += TICK_S
            if silent_s >= self._timeout_s:
                self._end()

    def _end(self) -> None:
        # Written without the logger: whoever hangs may hold its lock.
        text = f"the worker hangs: its event loop has not moved for {self._timeout_s:g} s; it stands here:\n"
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, text.encode())
        faulthandler.dump_traceback(file=sys.__stderr__ or 2)
        os._exit(self._exit_code)
