"""A sum that only grows longer, in twice the precision of a double."""

from processors.parameters import Number


class LongSum:
    """A running sum as a pair of doubles: what does not fit into the first is kept in the second.

    The error of an addition is about 1e-32 of the sum, so that a million of them leave nothing to be seen
    (T. J. Dekker, A floating-point technique for extending the available precision, 1971).

    Attributes:
        value: The sum, rounded.
    """

    def __init__(self) -> None:
        self.value = 0.0
        self._rest = 0.0

    def add(self, value: float) -> float:
        """Add a value; returns the sum."""
        before = self.value
        total = before + value
        part = total - before
        rest = (before - (total - part)) + (value - part) + self._rest
        self.value = total + rest
        self._rest = rest - (self.value - total)
        return self.value

    def snapshot(self) -> tuple[Number, ...]:
        """Both parts."""
        return (self.value, self._rest)

    def restore(self, value: Number, rest: Number) -> None:
        """Take over both parts."""
        self.value, self._rest = value, rest
