"""Where a line crosses another."""

from processors.indicator import State
from schemas.records import Direction

NOISE = 1e-12
"""Of the scale: a difference as small as this comes from rounding and has no side."""


class Crossing:
    """The side on which a difference stands, and when it changes.

    Lines that only touch do not cross; the side on which they begin is no crossing.
    """

    def __init__(self) -> None:
        self._side = 0
        self._difference = 0.0

    def update(self, difference: float, scale: float) -> tuple[Direction, float] | None:
        """Take the next difference.

        Args:
            difference: First line less second line.
            scale: What the lines are made of, a price for one; it says which differences are rounding.

        Returns:
            Direction (long: the first line has come to stand above) and strength, if the lines have crossed.
            With d the difference and d0 the one before, strength = |d| / (|d| + |d0|): the part of the last
            step that lies beyond the crossing.
        """
        before, self._difference = self._difference, difference
        if abs(difference) <= NOISE * abs(scale):
            return None
        side = 1 if difference > 0.0 else -1
        crossed, self._side = self._side == -side, side
        if not crossed:
            return None
        return "long" if side > 0 else "short", abs(difference) / (abs(difference) + abs(before))

    def snapshot(self) -> State:
        """Side of the last crossing and last difference."""
        return (self._side, self._difference)

    def restore(self, state: State) -> None:
        """Take over a state in place of one's own."""
        self._side, self._difference = int(state[0]), state[1]
