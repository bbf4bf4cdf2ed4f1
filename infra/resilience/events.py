"""What the parts tell their callers, who publish it: infra knows no topic of events."""

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias


class ResilienceEvent(NamedTuple):
    """Something that operators want to know.

    Attributes:
        kind: Its event type: `rate_limit.hit`, `rate_limit.status`, `circuit_breaker.open` or
            `cache.invalidated`.
        severity: How much it matters.
        message: One sentence for people.
        data: Details by name.
    """

    kind: str
    severity: Literal["info", "warning", "error"]
    message: str
    data: dict[str, object]


OnEvent: TypeAlias = Callable[[ResilienceEvent], None]
"""Takes an event; must not block or raise."""


def ignore(event: ResilienceEvent) -> None:
    """For callers that publish no events."""
