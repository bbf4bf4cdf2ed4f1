"""The price makes a new low or high that the relative strength index does not confirm."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from msgspec import Meta

from processors.indicator import Bar, Indicator, Period, State
from processors.indicators.rsi import Rsi
from processors.signal import Decision, SignalRule
from processors.swings import Swing, Swings

NOISE = 1e-9
"""Indices that differ by no more are equal but for rounding."""


class RsiDivergence(SignalRule):
    """Fires where swings of the price and of the index disagree: a sign that the trend turns.

    Long: a lower low of the price at a higher index. Short: a higher high at a lower index (regular
    divergence; J. Welles Wilder, New Concepts in Technical Trading Systems, 1978). A swing is compared with
    the one before it, at most `within` candles earlier. It is known, and the rule fires, once `right` candles
    have followed it (`Swings`).

    Strength is the distance of the two indices as a part of their range: |difference| / 100. Where a candle
    confirms a low and a high at once, the stronger one counts.
    """

    hidden: ClassVar[bool] = False

    period: Annotated[int, Meta(ge=2)] = 14
    left: Period = 5
    right: Period = 5
    within: Period = 60

    def start(self) -> None:
        """No swings known."""
        self._rsi = Rsi(self.period)
        self._sides = (_Side(self, 1), _Side(self, -1))

    def needs(self) -> Sequence[Indicator]:
        """The index."""
        return (self._rsi,)

    def update(self, candle: Bar, values: Mapping[str, float]) -> Decision | None:
        """See `SignalRule.update`."""
        rsi = values[self._rsi.label]
        lows, highs = self._sides
        found = (lows.update(candle.low, rsi), highs.update(candle.high, rsi))
        return max((one for one in found if one is not None), key=_strength, default=None)

    def snapshot(self) -> State:
        """Of lows, then of highs: the last swing, its age and the window."""
        lows, highs = (side.snapshot() for side in self._sides)
        return (len(lows), *lows, *highs)

    def restore(self, state: State) -> None:
        """See `SignalRule.restore`."""
        cut = 1 + int(state[0])
        lows, highs = self._sides
        lows.restore(state[1:cut])
        highs.restore(state[cut:])


class _Side:
    """Lows (side 1), or highs (-1)."""

    def __init__(self, rule: RsiDivergence, side: int) -> None:
        self._hidden, self._within, self._label = rule.hidden, rule.within, rule.needs()[0].label
        self._side = side
        self._swings = Swings(rule.left, rule.right, side)
        self._last = Swing(0.0, 0.0)
        self._age = rule.within + 1  # too old to be compared with

    def update(self, price: float, rsi: float) -> Decision | None:
        self._age = min(self._age + 1, self._within + 1)
        swing = self._swings.update(price, rsi)
        if swing is None:
            return None
        last, age = self._last, self._age
        self._last, self._age = swing, 0
        # Signs as for lows; those of highs are mirrored.
        lower = self._side * (last.price - swing.price)
        weaker = self._side * (last.value - swing.value)
        diverges = lower < 0.0 and weaker > NOISE if self._hidden else lower > 0.0 and weaker < -NOISE
        if age > self._within or not diverges:
            return None
        price_name = "low" if self._side > 0 else "high"
        return Decision(
            direction="long" if self._side > 0 else "short",
            strength=abs(weaker) / 100.0,
            values={
                self._label: swing.value,
                f"{self._label}.before": last.value,
                price_name: swing.price,
                f"{price_name}.before": last.price,
                "candles_between": float(age),
            },
        )

    def snapshot(self) -> State:
        return (self._age, *self._last, *self._swings.snapshot())

    def restore(self, state: State) -> None:
        self._age, self._last = int(state[0]), Swing(state[1], state[2])
        self._swings.restore(state[3:])


def _strength(decision: Decision) -> float:
    return decision.strength
