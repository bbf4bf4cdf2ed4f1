"""The relative strength index leaves an extreme."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import Meta

from processors.indicator import Bar, Indicator, State
from processors.indicators.rsi import Rsi
from processors.signal import Decision, SignalRule
from schemas.errors import ConfigurationError

Level = Annotated[float, Meta(gt=0, lt=100)]


class RsiLevel(SignalRule):
    """Fires long when the index rises above `oversold` again, short when it falls below `overbought` again.

    The reading of J. Welles Wilder (New Concepts in Technical Trading Systems, 1978): in the extreme a trend
    may go on for long; leaving it says that the trend has tired. An extreme is entered by a move of the
    price: a market that stands still has an index of 0 and is not oversold.

    Strength is how deep into the extreme the index went: (oversold - lowest) / oversold, or
    (highest - overbought) / (100 - overbought).
    """

    period: Annotated[int, Meta(ge=2)] = 14
    oversold: Level = 30.0
    overbought: Level = 70.0

    def start(self) -> None:
        """In no extreme, no price known.

        Raises:
            ConfigurationError: The levels are in the wrong order.
        """
        if self.oversold >= self.overbought:
            raise ConfigurationError(
                f"{self.name} needs oversold < overbought, got {self.oversold:g} and {self.overbought:g}"
            )
        self._rsi = Rsi(self.period)
        self._zone = self._seen = 0
        self._extreme = self._close = 0.0

    def needs(self) -> Sequence[Indicator]:
        """The index."""
        return (self._rsi,)

    def update(self, candle: Bar, values: Mapping[str, float]) -> Decision | None:
        """See `SignalRule.update`."""
        rsi, change = values[self._rsi.label], candle.close - self._close
        self._close = candle.close
        decision = self._leave(rsi)
        if not self._seen:
            self._seen = 1
        elif rsi < self.oversold and (change < 0.0 or self._zone < 0):
            self._extreme = min(rsi, self._extreme) if self._zone < 0 else rsi
            self._zone = -1
        elif rsi > self.overbought and (change > 0.0 or self._zone > 0):
            self._extreme = max(rsi, self._extreme) if self._zone > 0 else rsi
            self._zone = 1
        return decision

    def _leave(self, rsi: float) -> Decision | None:
        name, extreme = self._rsi.label, self._extreme
        if self._zone < 0 and rsi > self.oversold:
            self._zone = 0
            depth = (self.oversold - extreme) / self.oversold
            return Decision("long", depth, {name: rsi, f"{name}.lowest": extreme})
        if self._zone > 0 and rsi < self.overbought:
            self._zone = 0
            depth = (extreme - self.overbought) / (100.0 - self.overbought)
            return Decision("short", depth, {name: rsi, f"{name}.highest": extreme})
        return None

    def snapshot(self) -> State:
        """The extreme the index is in, the farthest it went, whether a close was seen, and the last one."""
        return (self._zone, self._extreme, self._seen, self._close)

    def restore(self, state: State) -> None:
        """See `SignalRule.restore`."""
        self._zone, self._seen = int(state[0]), int(state[2])
        self._extreme, self._close = state[1], state[3]
