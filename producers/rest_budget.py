"""What the headers of a venue's answers say of its budget."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from infra.resilience.token_bucket import MINUTE_S

USED_WEIGHT: Final = "x-mbx-used-weight-1m"
"""Weight used in the present minute (Binance and its variants)."""
REQUESTS_LEFT: Final = "x-gate-ratelimit-requests-remain"
REQUESTS_RESET: Final = "x-gate-ratelimit-reset-timestamp"
"""Requests left in the present window, and its end, s since the epoch (Gate.io)."""


class Budget(NamedTuple):
    """What a venue says may still be spent.

    Attributes:
        remaining: Weight.
        reset_in_s: Seconds until its window ends.
    """

    remaining: float
    reset_in_s: float


def budget_of(headers: Mapping[str, str], weight_per_minute: float, now_s: float) -> Budget | None:
    """The budget that an answer tells; None where it tells none.

    Args:
        headers: Names in lower case.
        weight_per_minute: The venue's limit, for headers that say what was used.
        now_s: Wall clock, s since the epoch: windows of a minute begin with the minute.
    """
    used = headers.get(USED_WEIGHT, "")
    if used.isascii() and used.isdigit():
        return Budget(weight_per_minute - int(used), MINUTE_S - now_s % MINUTE_S)
    left, reset = headers.get(REQUESTS_LEFT, ""), headers.get(REQUESTS_RESET, "")
    if left.isascii() and left.isdigit() and reset.isascii() and reset.isdigit():
        return Budget(float(left), max(0.0, int(reset) - now_s))
    return None
