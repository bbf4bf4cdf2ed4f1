"""Metrics of the stages, read over HTTP and added up across their restarts."""

import asyncio
import contextlib
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

TIMEOUT_S = 1.0

Sample = tuple[str, tuple[tuple[str, str], ...]]
"""Name of a series and its labels, sorted."""


@dataclass(slots=True)
class _Counter:
    """A count that starts again at nought with each process, and goes on here."""

    before: float = 0.0
    last: float = 0.0

    def observe(self, value: float) -> None:
        if value < self.last:
            self.before += self.last
        self.last = value

    @property
    def total(self) -> float:
        return self.before + self.last


@dataclass(slots=True)
class Scrape:
    """Totals of all stages since the run began.

    A process that is killed takes along what it counted since the last scrape; what must be exact is
    therefore read from the database and the log, not from here.
    """

    _counters: dict[str, dict[Sample, _Counter]] = field(default_factory=lambda: defaultdict(dict))
    _gauges: dict[str, dict[Sample, float]] = field(default_factory=dict)

    async def read(self, ports: dict[str, int]) -> None:
        """Ask every stage once, at the same time; a stage that does not answer keeps its last values."""
        answers = await asyncio.gather(*(asyncio.to_thread(_get, port) for port in ports.values()))
        for stage, text in zip(ports, answers, strict=True):
            if text is not None:
                self._take(stage, text)
            else:
                self._gauges.pop(stage, None)

    def read_last(self, stage: str, file: Path) -> None:
        """Take what a stage left when it ended; nothing if it was killed."""
        with contextlib.suppress(OSError):
            self._take(stage, file.read_text())
            file.unlink()

    def _take(self, stage: str, text: str) -> None:
        gauges: dict[Sample, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key: Sample = (sample.name, tuple(sorted(sample.labels.items())))
                if family.type == "gauge":
                    gauges[key] = sample.value
                elif not sample.name.endswith("_created"):
                    self._counters[stage].setdefault(key, _Counter()).observe(sample.value)
        self._gauges[stage] = gauges

    def total(self, name: str, **labels: str) -> float:
        """Sum of a counter over stages and over the labels that are not given."""
        return sum(
            counter.total
            for series in self._counters.values()
            for key, counter in series.items()
            if _matches(key, name, labels)
        )

    def gauge(self, name: str, **labels: str) -> float | None:
        """Sum of a gauge over the stages that answered; None when none has it."""
        found = [
            value
            for series in self._gauges.values()
            for key, value in series.items()
            if _matches(key, name, labels)
        ]
        return sum(found) if found else None

    def quantile(self, name: str, share: float) -> float | None:
        """A quantile of a histogram in its own unit, interpolated within a bucket; None when it is empty."""
        buckets = sorted(self._buckets(f"{name}_bucket").items())
        if not buckets or buckets[-1][1] == 0:
            return None
        wanted = share * buckets[-1][1]
        lower, below = 0.0, 0.0
        for upper, count in buckets:
            if count >= wanted and count > below:
                if upper == float("inf"):
                    return lower
                return lower + (upper - lower) * (wanted - below) / (count - below)
            lower, below = upper, count
        return lower

    def _buckets(self, name: str) -> dict[float, float]:
        sums: dict[float, float] = defaultdict(float)
        for series in self._counters.values():
            for (found, labels), counter in series.items():
                if found == name:
                    sums[float(dict(labels)["le"])] += counter.total
        return sums


def _matches(key: Sample, name: str, labels: dict[str, str]) -> bool:
    return key[0] == name and labels.items() <= dict(key[1]).items()


def _get(port: int, path: str = "/metrics") -> str | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=TIMEOUT_S) as answer:
            return str(answer.read(), "utf-8")
    except (OSError, urllib.error.URLError):
        return None


def ports_of(stages: Iterator[tuple[str, int]]) -> dict[str, int]:
    """The stages that serve metrics."""
    return {name: port for name, port in stages if port}


def says_ready(port: int) -> bool:
    """Whether the stage with this metrics port says now that it does its work; blocks for 1 s at most."""
    return _get(port, "/readyz") is not None
