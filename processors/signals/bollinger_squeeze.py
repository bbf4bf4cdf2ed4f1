"""The Bollinger bands draw together, and open again."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import Meta

from processors.extremes import Extremes
from processors.indicator import Bar, Indicator, Period, State
from processors.indicators.bollinger import Bollinger
from processors.signal import Decision, SignalRule

FLAT = 1e-9
"""A bandwidth below this counts as 0."""


class BollingerSqueeze(SignalRule):
    """Fires neutral when the bands are narrower than for long, with a direction when they open again.

    A squeeze: the bandwidth, (upper - lower) / middle, is lower than at each of the `within` candles before.
    Its release: the bandwidth is `release` times the lowest of the squeeze; long if the close is above the
    middle band, short if below. Low volatility is followed by high volatility; a squeeze alone does not say
    which way (John Bollinger, Bollinger on Bollinger Bands, 2001: the lowest bandwidth of six months).

    Strength of a squeeze is 1 - bandwidth / widest one of those candles; of a release, 1 - lowest bandwidth /
    bandwidth.
    """

    period: Period = 20
    deviations: Annotated[float, Meta(gt=0)] = 2.0
    within: Period = 125
    release: Annotated[float, Meta(gt=1)] = 1.5

    def start(self) -> None:
        """No squeeze, no bandwidth known."""
        self._bands = Bollinger(self.period, self.deviations)
        self._upper, self._middle, self._lower = self._bands.names().values()
        self._widths = Extremes(self.within)
        self._full = self._squeezed = 0
        self._lowest = 0.0

    def needs(self) -> Sequence[Indicator]:
        """The bands."""
        return (self._bands,)

    def update(self, candle: Bar, values: Mapping[str, float]) -> Decision | None:
        """See `SignalRule.update`."""
        middle = values[self._middle]
        width = (values[self._upper] - values[self._lower]) / abs(middle) if middle else 0.0
        if width < FLAT:
            width = 0.0
        is_lowest, widest = bool(self._full) and width < self._widths.lowest, self._widths.highest
        self._full = int(self._widths.push(width, width))
        if not self._squeezed:
            if not is_lowest:
                return None
            self._squeezed, self._lowest = 1, width
            return Decision("neutral", 1.0 - width / widest, self._seen(width, values))
        self._lowest = min(self._lowest, width)
        if width == 0.0 or width < self.release * self._lowest:
            return None
        self._squeezed = 0
        direction = (candle.close > middle) - (candle.close < middle)
        return Decision(
            direction=("neutral", "long", "short")[direction],
            strength=1.0 - self._lowest / width,
            values={**self._seen(width, values), "lowest_bandwidth": self._lowest, "close": candle.close},
        )

    def _seen(self, width: float, values: Mapping[str, float]) -> dict[str, float]:
        return {"bandwidth": width, **values}

    def snapshot(self) -> State:
        """Whether there are enough bandwidths, whether squeezed, the lowest of the squeeze; bandwidths."""
        return (self._full, self._squeezed, self._lowest, *self._widths.snapshot())

    def restore(self, state: State) -> None:
        """See `SignalRule.restore`."""
        self._full, self._squeezed, self._lowest = int(state[0]), int(state[1]), state[2]
        self._widths.restore(state[3:])
