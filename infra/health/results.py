"""What a check says, and what is kept of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from schemas.records import Micros

State: TypeAlias = Literal["unknown", "healthy", "unhealthy", "error"]
"""unknown: not checked yet, or too early to say; unhealthy: it says no; error: it raised or took too long."""

Details: TypeAlias = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says.

    Attributes:
        state: unknown where it is too early to say.
        message: For people; why it is not healthy, "" if it is.
        details: Figures by name.
    """

    state: Literal["unknown", "healthy", "unhealthy"]
    message: str = ""
    details: Details = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """A check that was made.

    Attributes:
        time: When it began, µs since the epoch.
        state: What came of it.
        response_s: How long it took, s.
        message: As in the verdict; what was raised.
        details: As in the verdict.
    """

    time: Micros
    state: State
    response_s: float
    message: str
    details: Details


Check: TypeAlias = Callable[[], Awaitable[Verdict]]
"""Looks at one service; must not block the loop. Whatever it raises makes the result an error."""


def healthy(**details: str | int | float | bool | None) -> Verdict:
    """It is as it should be."""
    return Verdict("healthy", "", details)


def unhealthy(message: str, **details: str | int | float | bool | None) -> Verdict:
    """It is not, and why."""
    return Verdict("unhealthy", message, details)


def unknown(message: str, **details: str | int | float | bool | None) -> Verdict:
    """It is too early to say, and why."""
    return Verdict("unknown", message, details)
