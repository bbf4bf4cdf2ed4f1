"""What the last HTTP answer of a call was, beside what ccxt makes of it."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(slots=True)
class HttpAnswer:
    """The newest answer to one attempt of a call.

    Attributes:
        status: HTTP status; None before any answer.
        headers: Names in lower case.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


current: ContextVar[HttpAnswer] = ContextVar("kandle_http_answer")
"""Of the attempt that runs now: calls that run at the same time have one each."""
