"""Values of an indicator as a strategy sees them: the newest, and those before."""

from __future__ import annotations

from collections import deque
from math import nan
from typing import Final

from schemas.errors import ValidationError

KEPT: Final = 1024
"""Values that a line remembers; who wants more keeps them."""


class Line:
    """A row of values that ends now: `line[0]` is of the newest candle, `line[1]` of the one before.

    A value that is not defined yet, as of an average over too few candles, is nan.
    """

    __slots__ = ("_values", "add")

    def __init__(self) -> None:
        self._values: deque[float] = deque((nan, nan), maxlen=KEPT)
        self.add = self._values.appendleft
        """Called by what runs the strategy, once a candle."""

    def __getitem__(self, ago: int) -> float:
        if ago < 0:
            raise ValidationError(f"line[{ago}] lies in the future; line[0] is the newest value")
        try:
            return self._values[ago]
        except IndexError:
            return nan

    def crossed(self, other: Line) -> int:
        """1 if it has crossed the other upwards with the newest candle, -1 if downwards, else 0.

        Crossed is what stood on one side a candle ago and stands on the other now: who comes to stand exactly
        on the other has not crossed it, nor who leaves it from there.
        """
        ours, theirs = self._values, other._values
        if ours[0] > theirs[0]:
            return 1 if ours[1] < theirs[1] else 0
        return -1 if ours[0] < theirs[0] and ours[1] > theirs[1] else 0

    def crossed_above(self, other: Line) -> bool:
        """Whether it stood below the other one candle ago, and stands above it now."""
        return self.crossed(other) > 0

    def crossed_below(self, other: Line) -> bool:
        """Whether it stood above the other one candle ago, and stands below it now."""
        return self.crossed(other) < 0
