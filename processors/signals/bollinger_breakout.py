"""The close leaves the Bollinger bands."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import Meta

from processors.crossing import NOISE
from processors.indicator import Bar, Indicator, Period, State
from processors.indicators.bollinger import Bollinger
from processors.signal import Decision, SignalRule


class BollingerBreakout(SignalRule):
    """Fires long when the close rises above the upper band, short when it falls below the lower one.

    The reading of volatility breakouts (John Bollinger, Bollinger on Bollinger Bands, 2001). A close outside
    fires once: the next time only after one between the bands, or beyond the other. Bands without width, in
    a market that stands still, cannot be left.

    Strength is the part of the close's distance to the middle band that lies beyond the band.
    """

    period: Period = 20
    deviations: Annotated[float, Meta(gt=0)] = 2.0

    def start(self) -> None:
        """No close seen."""
        self._bands = Bollinger(self.period, self.deviations)
        self._upper, self._middle, self._lower = self._bands.names().values()
        self._side = self._seen = 0

    def needs(self) -> Sequence[Indicator]:
        """The bands."""
        return (self._bands,)

    def update(self, candle: Bar, values: Mapping[str, float]) -> Decision | None:
        """See `SignalRule.update`."""
        close, middle = candle.close, values[self._middle]
        reach = values[self._upper] - middle
        side = 0
        if reach > NOISE * abs(middle):
            side = (close > values[self._upper]) - (close < values[self._lower])
        before, self._side = self._side, side
        if not self._seen:
            self._seen = 1
            return None
        if side in (0, before):
            return None
        distance = abs(close - middle)
        return Decision(
            direction="long" if side > 0 else "short",
            strength=max(0.0, (distance - reach) / distance),
            values={"close": close, **values},
        )

    def snapshot(self) -> State:
        """Where the last close was, above (1), between (0) or below (-1) the bands; whether there was one."""
        return (self._side, self._seen)

    def restore(self, state: State) -> None:
        """See `SignalRule.restore`."""
        self._side, self._seen = int(state[0]), int(state[1])
