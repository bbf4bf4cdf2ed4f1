"""An indicator of your own: how many candles in a row the close has risen or fallen.

It imports only `kandle`. How to run it, from this folder:

    export KANDLE_PROCESSORS__PLUGINS=own_indicator
    kandle indicators --list | grep streak
    kandle indicators --candles candles.csv --indicator streak         # over a file
    KANDLE_PROCESSORS__INDICATORS='streak@1s' kandle up                # in the stream
    kandle sql "SELECT * FROM indicators WHERE name = 'streak_20' ORDER BY time DESC LIMIT 5"
"""

from collections.abc import Mapping

from kandle import Bar, Indicator, Period, State


class Streak(Indicator):
    """Closes in a row that rose (3: the last three) or fell (-3), at most `limit`; 0 after an equal one."""

    limit: Period = 20

    def start(self) -> None:
        """Nothing seen. Called once the parameters are in force."""
        self._close: float | None = None
        self._count = 0

    def update(self, candle: Bar) -> Mapping[str, float] | None:
        """Take the next closed candle; None until there is a right value, never a wrong one."""
        before, self._close = self._close, candle.close
        if before is None:
            return None
        step = (candle.close > before) - (candle.close < before)
        goes_on = step * self._count > 0
        self._count = step * min(abs(self._count) + 1, self.limit) if goes_on else step
        return {self.name: float(self._count)}

    def snapshot(self) -> State:
        """All that a fresh instance needs to go on: workers restart, and revisions rewind."""
        return () if self._close is None else (self._close, self._count)

    def restore(self, state: State) -> None:
        """Take over a state."""
        self._close, self._count = (state[0], int(state[1])) if state else (None, 0)
