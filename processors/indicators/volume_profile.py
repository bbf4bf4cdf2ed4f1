"""Volume profile."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Annotated

from msgspec import Meta

from processors.extremes import Extremes
from processors.fixed_point import UNITS
from processors.indicator import Bar, Indicator, Period, State

_ON_EDGE = 1e-6
"""Of a row: a price that is so little below an edge stands on it, and belongs to the row above."""


class VolumeProfile(Indicator):
    """At which prices the volume of the last `period` candles was traded.

    The range from their lowest to their highest price is cut into `bins` rows of equal height, and the volume
    of each candle is spread evenly over its own range. `poc`, the point of control, is the middle of the
    fullest row (of several, the one nearest to the middle of the range, the lower of two). Around it grows
    the value area, by the fuller of the rows next to it (the upper if they are equal), until it holds 70 % of
    the volume: `vah` and `val` are its edges (J. P. Steidlmayer's market profile, by volume). No value for a
    window without volume.

    Rows are whole numbers (`processors/fixed_point.py`), so that a candle takes away exactly what it brought.
    A step costs O(bins); when the highest or lowest price of the window changes, all rows are counted anew.
    """

    outputs = ("poc", "vah", "val")
    period: Period = 20
    bins: Annotated[int, Meta(ge=2)] = 24

    def start(self) -> None:
        """An empty window."""
        self._window: deque[tuple[float, float, float]] = deque(maxlen=self.period)
        self._extremes = Extremes(self.period)
        self._low = self._high = 0.0  # the range that the rows were cut from
        self._rows: list[int] = []

    def update(self, candle: Bar) -> Mapping[str, float] | None:
        """See `Indicator.update`."""
        newest = (candle.high, candle.low, candle.volume)
        oldest = self._window[0] if self._window else newest
        self._window.append(newest)
        if not self._extremes.push(candle.high, candle.low):
            return None
        low, high = self._extremes.lowest, self._extremes.highest
        if self._rows and low == self._low and high == self._high:
            self._spread((oldest,), -1)
            self._spread((newest,), 1)
        else:
            self._low, self._high = low, high
            self._rows = [0] * self.bins
            self._spread(self._window, 1)
        return self._levels()

    def _spread(self, candles: Iterable[tuple[float, float, float]], sign: int) -> None:
        base, rows, top = self._low, self._rows, self.bins - 1
        height = (self._high - base) / self.bins
        if height <= 0.0:
            rows[0] += sign * sum(int(volume * UNITS) for _, _, volume in candles)
            return
        for high, low, volume in candles:
            units = volume * UNITS
            first, last = int((low - base) / height), int((high - base) / height)
            if last > top:
                last = top
            if first < last:
                density = units / (high - low)
                rows[first] += sign * int(density * (base + (first + 1) * height - low))
                rows[last] += sign * int(density * (high - (base + last * height)))
                if last - first > 1:
                    whole = sign * int(density * height)
                    for row in range(first + 1, last):
                        rows[row] += whole
            else:
                if high == low:
                    first = int((low - base) / height + _ON_EDGE)
                rows[first if first < top else top] += sign * int(units)

    def _levels(self) -> Mapping[str, float] | None:
        rows, last = self._rows, self.bins - 1
        total = sum(rows)
        if total <= 0:
            return None
        fullest = max(rows)
        slack = fullest >> 20  # rows that only rounding tells apart are equal
        least = fullest - slack
        candidates = [row for row, volume in enumerate(rows) if volume >= least]
        top = bottom = min(candidates, key=lambda row: abs(2 * row - last))
        height = (self._high - self._low) / self.bins
        control = self._low + (top + 0.5) * height
        inside = rows[top]
        while 10 * (inside + slack) < 7 * total:
            if bottom == 0 or (top < last and rows[top + 1] + slack >= rows[bottom - 1]):
                top += 1
                inside += rows[top]
            else:
                bottom -= 1
                inside += rows[bottom]
        return {
            "poc": control,
            "vah": self._low + (top + 1) * height,
            "val": self._low + bottom * height,
        }

    def snapshot(self) -> State:
        """High, low and volume of each candle; the rows follow from them."""
        return tuple(value for bar in self._window for value in bar)

    def restore(self, state: State) -> None:
        """See `Indicator.restore`."""
        self.start()
        values = iter(state)
        for high, low, volume in zip(values, values, values, strict=True):
            self._window.append((high, low, volume))
            self._extremes.push(high, low)
