"""An indicator and a rule as a user writes them: they import nothing but `kandle`."""

import json
from collections.abc import Mapping
from pathlib import Path

INDICATOR = '''
from collections import deque

from kandle import Bar, Indicator, Period, State


class Momentum(Indicator):
    """Close less the close `period` candles ago."""

    period: Period = 10

    def start(self):
        self._closes = deque(maxlen=self.period + 1)

    def update(self, candle: Bar):
        self._closes.append(candle.close)
        if len(self._closes) <= self.period:
            return None
        return {self.name: candle.close - self._closes[0]}

    def snapshot(self) -> State:
        return tuple(self._closes)

    def restore(self, state: State) -> None:
        self._closes = deque(state, maxlen=self.period + 1)
'''
RULE = '''
from kandle import ConfigurationError, Crossing, Decision, Indicator, Period, SignalRule


class MomentumTurn(SignalRule):
    """The momentum changes its sign."""

    period: Period = 10

    def start(self):
        self._momentum = Indicator.create(f"momentum({self.period})")
        self._crossing = Crossing()
        if self.period > 100:
            raise ConfigurationError("too slow to be of use")

    def needs(self):
        return (self._momentum,)

    def update(self, candle, values):
        momentum = values[self._momentum.label]
        crossed = self._crossing.update(momentum, candle.close)
        return None if crossed is None else Decision(*crossed, {"momentum": momentum})

    def snapshot(self):
        return self._crossing.snapshot()

    def restore(self, state):
        self._crossing.restore(state)
'''


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def settings_of(*plugins: str) -> str:
    return f"""[processors]
plugins = {json.dumps(plugins)}
indicators = ["momentum(2)@1m"]
signals = ["momentum_turn(1)"]
"""
