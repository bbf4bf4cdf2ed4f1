"""What supervised processes use: CPU and memory, of each with its children."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil

from infra.embedded.endpoints import Resources


@dataclass(slots=True)
class Used:
    """What one name has used so far, over its restarts.

    Attributes:
        cpu_s: Seconds of CPU that were seen; what a process used after the last look is not in it.
        peak_bytes: Most memory at any look.
    """

    cpu_s: float = 0.0
    peak_bytes: int = 0


@dataclass(slots=True)
class _Seen:
    at: float
    cpu_s: dict[tuple[int, float], float] = field(default_factory=dict)
    """By process id and start time: ids come back."""


class Meter:
    """Looks at processes again and again.

    Not for several threads at once. The first look at a process counts its CPU since its start.
    """

    def __init__(self) -> None:
        self.last: dict[str, Resources] = {}
        """Of the last look, by name; who did not run then is not in it."""
        self.used: dict[str, Used] = {}
        """Since the first look, by name."""
        self._seen: dict[str, _Seen] = {}

    def look(self, pids: Mapping[str, int]) -> None:
        """Measure the processes that these names stand for now; some milliseconds each.

        Args:
            pids: Process id by name.
        """
        self.last = {
            name: resources
            for name, pid in pids.items()
            if (resources := self._look_at(name, pid)) is not None
        }

    def _look_at(self, name: str, pid: int) -> Resources | None:
        now = time.monotonic()
        cpu_s: dict[tuple[int, float], float] = {}
        memory = 0
        try:
            root = psutil.Process(pid)
            began = time.time() - root.create_time()
            for process in (root, *root.children(recursive=True)):
                try:
                    times = process.cpu_times()
                    memory += _memory_bytes(process)
                    cpu_s[process.pid, process.create_time()] = times.user + times.system
                except psutil.Error:
                    # It ended between two questions.
                    continue
        except psutil.Error:
            return None
        if not cpu_s:
            return None
        earlier = self._seen.get(name) or _Seen(now - began)
        self._seen[name] = _Seen(now, cpu_s)
        spent = sum(spent - earlier.cpu_s.get(key, 0.0) for key, spent in cpu_s.items())
        used = self.used.setdefault(name, Used())
        used.cpu_s += spent
        used.peak_bytes = max(used.peak_bytes, memory)
        percent = 100.0 * spent / max(now - earlier.at, 0.001)
        return Resources(cpu_percent=round(percent, 1), memory_bytes=memory)


def _memory_bytes(process: psutil.Process) -> int:
    """Its proportional share; where that cannot be read, all that it maps and that is resident."""
    try:
        share = process.memory_full_info()
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
    return int(getattr(share, "pss", 0) or share.rss)
