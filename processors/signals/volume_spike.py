"""Far more is traded than usual."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import Meta

from processors.fixed_point import BITS, UNITS
from processors.indicator import Bar, Indicator, Period, State
from processors.signal import Decision, SignalRule


class VolumeSpike(SignalRule):
    """Fires when the volume exceeds `factor` times the average of the `period` candles before.

    Long if the candle rose (close above open), short if it fell, else neutral. Candles that go on exceeding
    fire no more: it takes one that does not. Where nothing was traded before, there is nothing to compare
    with.

    Strength is the part of the volume beyond the threshold: 1 - factor * average / volume.
    """

    period: Period = 20
    factor: Annotated[float, Meta(ge=1)] = 3.0

    def start(self) -> None:
        """No candles seen."""
        self._volumes: deque[float] = deque(maxlen=self.period)
        self._sum = 0  # fixed point
        self._spikes = False

    def needs(self) -> Sequence[Indicator]:
        """Nothing but candles."""
        return ()

    def update(self, candle: Bar, values: Mapping[str, float]) -> Decision | None:
        """See `SignalRule.update`."""
        volume, volumes = candle.volume, self._volumes
        is_full = len(volumes) == self.period
        average = self._sum / (self.period << BITS)
        self._sum += int(volume * UNITS)
        if is_full:
            self._sum -= int(volumes[0] * UNITS)
        volumes.append(volume)
        spiked, self._spikes = self._spikes, is_full and 0.0 < self.factor * average < volume
        if spiked or not self._spikes:
            return None
        rise = candle.close - candle.open
        return Decision(
            direction="long" if rise > 0.0 else "short" if rise < 0.0 else "neutral",
            strength=1.0 - self.factor * average / volume,
            values={"volume": volume, "average_volume": average},
        )

    def snapshot(self) -> State:
        """Whether the last candle exceeded, and the volumes; their sum follows from them."""
        return (int(self._spikes), *self._volumes)

    def restore(self, state: State) -> None:
        """See `SignalRule.restore`."""
        self._spikes = bool(state[0])
        self._volumes = deque(state[1:], maxlen=self.period)
        self._sum = sum(int(volume * UNITS) for volume in self._volumes)
