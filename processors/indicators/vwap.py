"""Volume-weighted average price of a session."""

from collections.abc import Mapping

from processors.indicator import Bar, Indicator, State
from processors.intervals import INTERVALS
from processors.long_sum import LongSum
from schemas.errors import ConfigurationError


class Vwap(Indicator):
    """Mean of the typical prices (high + low + close) / 3 since the session began, weighted by volume.

    A session is an interval: `1d` begins at 00:00 UTC, `1w` on Monday. A candle belongs to the session of
    its open time; the first session counts from the first candle of the series. No value before the first
    volume of a session (S. A. Berkowitz, D. E. Logue, E. A. Noser, The Total Cost of Transactions on the
    NYSE, 1988).
    """

    session: str = "1d"

    def start(self) -> None:
        """No session.

        Raises:
            ConfigurationError: The session is no interval.
        """
        if self.session not in INTERVALS:
            raise ConfigurationError(
                f"{self.name} needs a session of {', '.join(INTERVALS)}; got {self.session!r}"
            )
        self._interval = INTERVALS[self.session]
        self._end = -(2**63)
        self._traded, self._volume = LongSum(), LongSum()

    def update(self, candle: Bar) -> Mapping[str, float] | None:
        """See `Indicator.update`."""
        if candle.open_time >= self._end:
            self._end = self._interval.open_time(candle.open_time) + self._interval.length
            self._traded, self._volume = LongSum(), LongSum()
        volume = candle.volume
        traded = self._traded.add((candle.high + candle.low + candle.close) / 3.0 * volume)
        total = self._volume.add(volume)
        return {self.name: traded / total} if total else None

    def snapshot(self) -> State:
        """End of the session, µs; sums of price times volume and of volume."""
        return (self._end, *self._traded.snapshot(), *self._volume.snapshot())

    def restore(self, state: State) -> None:
        """See `Indicator.restore`."""
        self._end = int(state[0])
        self._traded.restore(*state[1:3])
        self._volume.restore(*state[3:])
