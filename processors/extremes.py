"""The highest and the lowest price of the last candles."""

from collections import deque

from processors.parameters import Number


class Extremes:
    """Highest high and lowest low of a window, in amortised O(1).

    Besides the window it keeps the highs that no later one exceeds, in falling order: the first of them is
    the highest, and it leaves when it leaves the window. Lows likewise.

    Args:
        period: Candles in the window.

    Attributes:
        highest: The highest high of the window; meaningless before the first candle.
        lowest: The lowest low.
    """

    def __init__(self, period: int) -> None:
        self._period = period
        self._highs: deque[float] = deque(maxlen=period)
        self._lows: deque[float] = deque(maxlen=period)
        self._tops: deque[float] = deque()
        self._bottoms: deque[float] = deque()
        self.highest = self.lowest = 0.0

    def push(self, high: float, low: float) -> bool:
        """Move the window by a candle; returns whether it is full."""
        highs, lows, tops, bottoms = self._highs, self._lows, self._tops, self._bottoms
        if len(highs) == self._period:
            if highs[0] == tops[0]:
                tops.popleft()
            if lows[0] == bottoms[0]:
                bottoms.popleft()
        highs.append(high)
        lows.append(low)
        while tops and tops[-1] < high:
            tops.pop()
        tops.append(high)
        while bottoms and bottoms[-1] > low:
            bottoms.pop()
        bottoms.append(low)
        self.highest, self.lowest = tops[0], bottoms[0]
        return len(highs) == self._period

    def snapshot(self) -> tuple[Number, ...]:
        """Highs, then as many lows."""
        return (*self._highs, *self._lows)

    def restore(self, state: tuple[Number, ...]) -> None:
        """Take over a window."""
        for values in (self._highs, self._lows, self._tops, self._bottoms):
            values.clear()
        half = len(state) // 2
        for high, low in zip(state[:half], state[half:], strict=True):
            self.push(high, low)
