"""Whether this process works: its checks, its start and the beat of its event loop."""

import asyncio
import threading
import time
from typing import Final

NOT_YET: Final = "not yet"
BEAT_S: Final = 1.0


class Readiness:
    """What a process answers to probes; stages tell it, from any thread, the server of probes asks it.

    A process is ready while every check that is expected of it passes; without any it is not. It has started
    once it was ready for the first time.
    """

    def __init__(self) -> None:
        self._reasons: dict[str, str | None] = {}
        self._lock = threading.Lock()
        self._beat_s: float | None = None
        self.has_started = False
        """Whether the process was ready once."""

    def expect(self, *names: str) -> None:
        """Checks that must pass, and have not yet."""
        with self._lock:
            for name in names:
                self._reasons.setdefault(name, NOT_YET)

    def set(self, name: str, reason: str | None = None) -> None:
        """What a check has found; call as often as it is looked at.

        Args:
            name: Of the check.
            reason: Why the process cannot do its work, in words for people and without secrets; None: it can.
        """
        with self._lock:
            self._reasons[name] = reason
            self.has_started |= self._passes()

    def forget(self, name: str) -> None:
        """A check does not matter any more."""
        with self._lock:
            self._reasons.pop(name, None)

    @property
    def checks(self) -> dict[str, str]:
        """Of each check `ok`, or why it fails."""
        with self._lock:
            return {name: "ok" if reason is None else reason for name, reason in self._reasons.items()}

    @property
    def is_ready(self) -> bool:
        """Whether every check passes."""
        with self._lock:
            return self._passes()

    @property
    def silent_s(self) -> float:
        """Since the event loop has moved last, s; 0 before it has for the first time."""
        return 0.0 if self._beat_s is None else time.monotonic() - self._beat_s

    async def beat(self) -> None:
        """Show that the event loop moves, until cancelled."""
        while True:
            self._beat_s = time.monotonic()
            await asyncio.sleep(BEAT_S)

    def _passes(self) -> bool:
        return bool(self._reasons) and not any(self._reasons.values())
