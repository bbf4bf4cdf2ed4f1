"""How long to wait before the next attempt: exponential backoff with full jitter."""

import random
from collections.abc import Callable

DEFAULT_BASE_S = 1.0
DEFAULT_CAP_S = 30.0
_LARGEST_EXPONENT = 62
"""2 ** 62 times any base is beyond any cap; a larger exponent would only overflow after days of failures."""


class FullJitter:
    """Delays drawn evenly from 0 to a ceiling that doubles with each failure up to a cap.

    Full jitter keeps clients that lost the same server from coming back in step (Brooker, "Exponential
    Backoff And Jitter", AWS Architecture Blog, 2015). There is no last attempt: the caller decides when
    to give up, and a feed never does.

    Args:
        base_s: Ceiling of the first delay, in seconds.
        cap_s: Highest ceiling, in seconds.
        draw: Source of evenly distributed numbers in [0, 1).
    """

    def __init__(
        self,
        base_s: float = DEFAULT_BASE_S,
        cap_s: float = DEFAULT_CAP_S,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._draw = draw
        self.attempts = 0
        """Delays given since the last success."""

    def next_delay_s(self) -> float:
        """The delay before the next attempt, in seconds; raises the ceiling for the one after."""
        ceiling = min(self._cap_s, self._base_s * 2.0 ** min(self.attempts, _LARGEST_EXPONENT))
        self.attempts += 1
        return self._draw() * ceiling

    def reset(self) -> None:
        """Start again from the lowest ceiling: the last attempt has succeeded."""
        self.attempts = 0
