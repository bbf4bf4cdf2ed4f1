"""One service under watch: its results, its streak of failures, and what is worth telling."""

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

from infra.health.results import Check, Result, State
from schemas.records import Micros

KEPT: Final = 1_000
"""Results of a service that are kept."""
ALERT_AFTER: Final = 3
"""So many failures in a row of a critical service are an alert."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people should know of a service.

    Attributes:
        kind: failed: each failed check; alert: a critical service failed often enough, once a streak;
            recovered: it is healthy again after failures.
        service: Its name.
        critical: Whether the whole depends on it.
        result: The check that says so.
        failures: Failed checks in a row; of a recovery, those that it ends.
    """

    kind: Literal["failed", "alert", "recovered"]
    service: str
    critical: bool
    result: Result
    failures: int

    @property
    def was_alerted(self) -> bool:
        """Whether an alert was raised in this streak."""
        return self.critical and self.failures >= ALERT_AFTER


class Service:
    """Keeps the results of one service.

    Args:
        name: Unique in its monitor.
        check: Looks at it.
        critical: Whether the whole depends on it.

    Attributes:
        results: The last ones, oldest first.
        state: That of the last result; unknown before the first.
        since: When the first result of this state in a row was made, µs since the epoch; None before it.
        failures: Failed checks in a row. A check that cannot say neither adds to them nor ends them.
    """

    def __init__(self, name: str, check: Check, critical: bool) -> None:
        self.name = name
        self.check = check
        self.critical = critical
        self.results: deque[Result] = deque(maxlen=KEPT)
        self.state: State = "unknown"
        self.since: Micros | None = None
        self.failures = 0

    def take(self, result: Result) -> list[Notice]:
        """Keep a result; returns what is to be told of it."""
        if self.since is None or result.state != self.state:
            self.since = result.time
        self.state = result.state
        self.results.append(result)
        if result.state == "unknown":
            return []
        if result.state == "healthy":
            ended, self.failures = self.failures, 0
            return [Notice("recovered", self.name, self.critical, result, ended)] if ended else []
        self.failures += 1
        told = [Notice("failed", self.name, self.critical, result, self.failures)]
        if self.critical and self.failures == ALERT_AFTER:
            told.append(Notice("alert", self.name, self.critical, result, self.failures))
        return told
