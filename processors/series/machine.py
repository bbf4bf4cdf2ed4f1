"""Indicators and rules of one series, moved on by one candle at a time."""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import NamedTuple

from processors.indicator import Indicator, State
from processors.signal import Decision, SignalRule
from schemas.identity import candle_id, signal_id
from schemas.records import Candle, Signal

Failure = Callable[[str, Candle, Exception], None]
"""Told which indicator or rule, by label, has raised what at which candle; what it raises goes on."""


def raise_failure(label: str, candle: Candle, error: Exception) -> None:
    """Let the error of an indicator or a rule end the work."""
    raise error


class Firing(NamedTuple):
    """A rule has decided.

    Attributes:
        rule: Label of the rule.
        decision: What it says.
        sound: Whether all that it saw can be trusted, see `Machine`.
    """

    rule: str
    decision: Decision
    sound: bool

    def signal(self, candle: Candle) -> Signal:
        """The record of it, at the candle that it was decided at."""
        venue, symbol, interval, opened = candle.venue, candle.symbol, candle.interval, candle.open_time
        return Signal(
            id=signal_id(venue, symbol, interval, opened, self.rule),
            venue=venue,
            symbol=symbol,
            interval=interval,
            open_time=opened,
            event_time=candle.close_time,
            rule=self.rule,
            direction=self.decision.direction,
            strength=self.decision.strength,
            values=self.decision.values,
            candle_id=candle_id(venue, symbol, interval, opened, candle.revision),
            complete=self.sound,
        )


class Machine:
    """Indicators and rules of one series in one state.

    What a rule sees is sound unless

    - the candle or the one before it is incomplete: a rule compares the two; or
    - its input is stale: its indicators still rest on candles from before a hole in the series. A hole counts
      as the beginning of the series: the rule has to become warm again. A hole is an interval without a
      candle next to an incomplete candle, that is, where a feed was away; where every interval has a candle,
      each one that is missing is a hole. Else an interval without a candle is one without trades.

    An indicator or a rule that raises has no value, or no decision, for that candle; so does a value that is
    no finite number.

    Args:
        indicators: Prototypes, whose values are wanted.
        rules: Prototypes; what they need is computed beside.
        gapless: Whether every interval has a candle, be it without trades.
        failed: Told of what raises.
    """

    def __init__(
        self,
        indicators: Sequence[Indicator],
        rules: Sequence[SignalRule],
        *,
        gapless: bool = False,
        failed: Failure = raise_failure,
    ) -> None:
        own_rules = [rule.fresh() for rule in rules]
        wanted = [*indicators, *(indicator for rule in own_rules for indicator in rule.needs())]
        own = {indicator.label: indicator.fresh() for indicator in wanted}
        self._indicators = [(part.update, part.names(), label) for label, part in own.items()]
        self._rules = [
            (rule.update, tuple(name for part in rule.needs() for name in part.names().values()), rule.label)
            for rule in own_rules
        ]
        self._parts: list[Indicator | SignalRule] = [*own.values(), *own_rules]
        self._gapless = gapless
        self._failed = failed
        self._seen = self._hole_at = self._closed = 0
        self._complete = True
        self._warm = [0] * len(self._rules)  # candles seen when a rule was first asked; 0: not yet

    def update(self, candle: Candle) -> tuple[Mapping[str, float], Sequence[Firing]]:
        """Take the next candle: values by full name, and what was decided."""
        values: dict[str, float] = {}
        for update, names, label in self._indicators:
            try:
                outputs = update(candle)
                if outputs:
                    for output, value in outputs.items():
                        if isfinite(value):
                            values[names[output]] = value
            except Exception as error:
                self._failed(label, candle, error)
        complete = candle.complete and self._complete
        if candle.open_time > self._closed and self._seen and (self._gapless or not complete):
            self._hole_at = self._seen
        self._seen += 1
        self._complete, self._closed = candle.complete, candle.close_time
        fired: list[Firing] = []
        for index, (decide, needed, label) in enumerate(self._rules):
            try:
                seen = {name: values[name] for name in needed}
            except KeyError:
                continue
            warm = self._warm[index]
            if not warm:
                warm = self._warm[index] = self._seen
            try:
                decision = decide(candle, seen)
            except Exception as error:
                self._failed(label, candle, error)
                continue
            if decision is not None:
                fired.append(Firing(label, decision, complete and self._seen - self._hole_at >= warm))
        return values, fired

    @property
    def is_warm(self) -> bool:
        """Whether all that each rule needs has been defined at some candle."""
        return all(self._warm)

    def states(self) -> list[State]:
        """The whole state, a tuple of plain numbers for each part."""
        own = (self._seen, self._hole_at, self._closed, int(self._complete), *self._warm)
        return [own, *(part.snapshot() for part in self._parts)]

    def restore(self, states: Sequence[State]) -> None:
        """Take over a state in place of one's own."""
        own, *rest = states
        seen, hole_at, closed, complete, *warm = map(int, own)
        self._seen, self._hole_at, self._closed, self._complete = seen, hole_at, closed, bool(complete)
        self._warm = warm
        for part, state in zip(self._parts, rest, strict=True):
            part.restore(state)
