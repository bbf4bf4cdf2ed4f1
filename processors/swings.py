"""The lows and highs between which a price swings, known once enough candles have followed."""

from collections import deque
from typing import NamedTuple

from processors.indicator import State


class Swing(NamedTuple):
    """A turning point.

    Attributes:
        price: The low, or the high.
        value: What an indicator said at that candle.
    """

    price: float
    value: float


class Swings:
    """Finds the candles whose low, or high, stands out.

    A swing low is lower than the lows of the `left` candles before, and those of the `right` candles after
    are not lower than it; a swing high likewise.

    A queue of the prices that may still become the lowest of the window makes a candle cost O(1), amortised.

    Args:
        left: Candles before.
        right: Candles after: a swing is known so many candles late.
        side: 1 for lows, -1 for highs.
    """

    def __init__(self, left: int, right: int, side: int) -> None:
        self._right = right
        self._side = side
        self._size = left + 1 + right
        self._window: deque[Swing] = deque(maxlen=self._size)
        self._seen = 0
        self._lowest: deque[tuple[int, float]] = deque()

    def update(self, price: float, value: float) -> Swing | None:
        """Take the next candle.

        Args:
            price: Its low, or its high.
            value: What the indicator says there.

        Returns:
            The swing `right` candles ago, if there was one.
        """
        self._window.append(Swing(price, value))
        self._push(price)
        at = self._seen - 1 - self._right
        if len(self._window) < self._size or self._lowest[0][0] != at:
            return None
        return self._window[-1 - self._right]

    def _push(self, price: float) -> None:
        lowest, height = self._lowest, self._side * price
        while lowest and lowest[-1][1] > height:
            lowest.pop()
        lowest.append((self._seen, height))
        self._seen += 1
        if lowest[0][0] < self._seen - self._size:
            lowest.popleft()

    def snapshot(self) -> State:
        """The window."""
        return tuple(number for swing in self._window for number in swing)

    def restore(self, state: State) -> None:
        """Take over a state in place of one's own."""
        self._window = deque(map(Swing, state[::2], state[1::2]), maxlen=self._size)
        self._seen = 0
        self._lowest.clear()
        for swing in self._window:
            self._push(swing.price)
