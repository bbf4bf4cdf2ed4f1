"""A signal rule of your own: a streak of closes ends.

It uses the indicator of own_indicator.py. How to run it, from this folder:

    export KANDLE_PROCESSORS__PLUGINS=own_indicator,own_signal
    kandle signals --candles candles.csv --rule streak_end --param length=4    # over a file
    KANDLE_PROCESSORS__SIGNALS='streak_end(4)@1s' kandle up                    # in the stream
    kandle tail market.signals.v1
"""

from collections.abc import Mapping, Sequence

from kandle import Bar, ConfigurationError, Decision, Indicator, Period, SignalRule, State


class StreakEnd(SignalRule):
    """Long when `length` falling closes or more end with a rise, short when as many rising ones end."""

    length: Period = 4

    def start(self) -> None:
        """Nothing seen; parameters that make no sense are refused here."""
        if self.length > 20:
            raise ConfigurationError(f"streaks are counted to 20; got length={self.length}")
        self._streak = Indicator.create("streak(20)")
        self._before = 0.0

    def needs(self) -> Sequence[Indicator]:
        """Indicators whose values `update` gets."""
        return (self._streak,)

    def update(self, candle: Bar, values: Mapping[str, float]) -> Decision | None:
        """Called for each closed candle. Fire on the event, not while it lasts."""
        before, self._before = self._before, values[self._streak.label]
        if abs(before) < self.length or self._before * before >= 0:
            return None
        # The strength is a ratio: it must not depend on the scale of the price.
        return Decision("long" if before < 0 else "short", abs(before) / 20, {"streak": before})

    def snapshot(self) -> State:
        """All that a fresh instance needs to go on."""
        return (self._before,)

    def restore(self, state: State) -> None:
        """Take over a state."""
        self._before = float(state[0])
