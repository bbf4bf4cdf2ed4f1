"""The contract of an indicator: one class, one file, registered by being defined.

    class Momentum(Indicator):
        \"\"\"Close less the close `period` candles ago.\"\"\"

        period: Period = 10

        def start(self) -> None:
            self._closes: deque[float] = deque(maxlen=self.period + 1)

        def update(self, candle: Bar) -> Mapping[str, float] | None:
            self._closes.append(candle.close)
            if len(self._closes) <= self.period:
                return None
            return {self.name: candle.close - self._closes[0]}

        def snapshot(self) -> State:
            return tuple(self._closes)

        def restore(self, state: State) -> None:
            self._closes = deque(state, maxlen=self.period + 1)

Time must be amortised O(1) a candle, memory bounded by the parameters.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

from processors.parameters import Number, Parametrised, Period

__all__ = ["Bar", "Indicator", "Period", "State"]

State = tuple[Number, ...]
"""What an indicator or a rule knows, as plain numbers; doubles keep every bit."""


class Bar(Protocol):
    """What of a candle an indicator may look at; prices in quote currency, volumes in base units."""

    @property
    def open_time(self) -> int:
        """Microseconds since the epoch, UTC."""

    @property
    def open(self) -> float:
        """First price."""

    @property
    def high(self) -> float:
        """Highest price."""

    @property
    def low(self) -> float:
        """Lowest price."""

    @property
    def close(self) -> float:
        """Last price."""

    @property
    def volume(self) -> float:
        """Sum of sizes."""


class Columns(Protocol):
    """Candles of one series by columns, all of one length, oldest first."""

    @property
    def opens(self) -> Sequence[float]:
        """First prices."""

    @property
    def highs(self) -> Sequence[float]:
        """Highest prices."""

    @property
    def lows(self) -> Sequence[float]:
        """Lowest prices."""

    @property
    def closes(self) -> Sequence[float]:
        """Last prices."""

    @property
    def volumes(self) -> Sequence[float]:
        """Sums of sizes."""


class Indicator(Parametrised, ABC, kind="indicator", package="processors.indicators"):
    """A value, or a few, of a series of closed candles.

    Attributes:
        outputs: Names of its values; empty: there is one, with the indicator's own name.
    """

    outputs: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def update(self, candle: Bar) -> Mapping[str, float] | None:
        """Take the next candle; called once for each, in order of open time. Must not block.

        Returns:
            The values by output name; None while there are too few candles for a right number.
        """

    def over(self, columns: Columns) -> Mapping[str, Sequence[float]] | None:
        """The values at all candles of a series, for who has them at once; the state is not looked at.

        Worth it where columns are much faster than `update`, to which the values must be equal bit for bit.

        Returns:
            By output name, a value a candle, nan where `update` has none; None: go by `update`.
        """
        return None

    @abstractmethod
    def snapshot(self) -> State:
        """The state: an instance with the same parameters that restores it goes on bit for bit."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Take over a state in place of one's own."""

    def names(self) -> dict[str, str]:
        """Full names of the outputs as in topics and tables: `sma_20`, `macd_12_26_9.signal`."""
        if not self.outputs:
            return {self.name: self.label}
        return {output: f"{self.label}.{output}" for output in self.outputs}
