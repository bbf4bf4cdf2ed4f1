"""Closed candles to indicator values and signals, for all series of one partition.

Pure: values in, values out. A series is one venue, symbol and interval. Each keeps its indicators twice: as
they were before its newest candle, and after it. A revision of that candle is so applied to the state before
it; an older revision is only counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from processors.indicator import Indicator, State
from processors.series_plan import STATE_VERSION, SeriesPlan
from processors.signal import Decision, SignalRule
from processors.snapshots import read_snapshot, write_snapshot
from schemas.identity import candle_id, market_key, signal_id
from schemas.records import Candle, IndicatorValue, Signal


@dataclass(slots=True)
class SeriesCounts:
    """What has happened to the candles of a partition since this object was made.

    Attributes:
        applied: Taken as the newest of their series.
        revised: Revisions of the newest candle, applied.
        repeats: Seen before, dropped.
        too_old: Revisions of older candles, or candles from before the newest one: not applied.
    """

    applied: int = 0
    revised: int = 0
    repeats: int = 0
    too_old: int = 0


class _Saved(msgspec.Struct, array_like=True):
    """A series in a snapshot: its newest candle, the rules that fired at it, and the state before it."""

    newest: Candle
    fired: list[str]
    states: list[tuple[str, State]]


class _Book(msgspec.Struct, array_like=True):
    series: list[_Saved]


class _Machine:
    """Indicators and rules of one series in one state."""

    def __init__(self, indicators: Sequence[Indicator], rules: Sequence[SignalRule]) -> None:
        self.rules = [rule.fresh() for rule in rules]
        self._needed = [[name for i in rule.needs() for name in i.names().values()] for rule in self.rules]
        wanted = [*indicators, *(indicator for rule in self.rules for indicator in rule.needs())]
        self._indicators = {indicator.label: indicator.fresh() for indicator in wanted}
        self._names = {label: indicator.names() for label, indicator in self._indicators.items()}
        self._parts: list[Indicator | SignalRule] = [*self._indicators.values(), *self.rules]

    def update(self, candle: Candle) -> tuple[Mapping[str, float], list[tuple[SignalRule, Decision]]]:
        """Values by full name, and what was decided."""
        values: dict[str, float] = {}
        for label, indicator in self._indicators.items():
            outputs = indicator.update(candle)
            if outputs:
                names = self._names[label]
                for output, value in outputs.items():
                    values[names[output]] = value
        decided: list[tuple[SignalRule, Decision]] = []
        for rule, needed in zip(self.rules, self._needed, strict=True):
            if all(name in values for name in needed):
                decision = rule.update(candle, {name: values[name] for name in needed})
                if decision is not None:
                    decided.append((rule, decision))
        return values, decided

    def states(self) -> list[tuple[str, State]]:
        return [(part.label, part.snapshot()) for part in self._parts]

    def restore(self, states: Sequence[tuple[str, State]]) -> None:
        for part, (_, state) in zip(self._parts, states, strict=True):
            part.restore(state)


class Series:
    """The state of one series."""

    def __init__(self, plan: SeriesPlan, key: str, interval: str) -> None:
        indicators = [c.prototype for c in plan.indicators if c.covers(key, interval)]
        rules = [c.prototype for c in plan.rules if c.covers(key, interval)]
        self._on_incomplete = plan.on_incomplete
        self._published = [name for indicator in indicators for name in indicator.names().values()]
        self._before = _Machine(indicators, rules)
        self._after = _Machine(indicators, rules)
        self._newest: Candle | None = None
        self._fired: set[str] = set()

    def take(self, candle: Candle, counts: SeriesCounts) -> list[IndicatorValue | Signal]:
        """Values and signals of a candle; none if it is a repeat or too old."""
        newest = self._newest
        if newest is None or candle.open_time > newest.open_time:
            if newest is not None:
                self._before.update(newest)
            self._fired.clear()
            counts.applied += 1
        elif candle.open_time < newest.open_time:
            if candle.revision > 0:
                counts.too_old += 1
            else:
                counts.repeats += 1
            return []
        elif candle.revision <= newest.revision:
            counts.repeats += 1
            return []
        else:
            self._after.restore(self._before.states())
            counts.revised += 1
        self._newest = candle
        return self._records(candle, *self._after.update(candle))

    def _records(
        self, candle: Candle, values: Mapping[str, float], decided: Sequence[tuple[SignalRule, Decision]]
    ) -> list[IndicatorValue | Signal]:
        venue, symbol, interval, opened = candle.venue, candle.symbol, candle.interval, candle.open_time
        records: list[IndicatorValue | Signal] = [
            IndicatorValue(
                venue, symbol, interval, opened, name, values[name], candle.revision, candle.complete
            )
            for name in self._published
            if name in values
        ]
        for rule, decision in decided:
            if rule.label in self._fired or not (candle.complete or self._on_incomplete):
                continue
            self._fired.add(rule.label)
            signal = Signal(
                id=signal_id(venue, symbol, interval, opened, rule.label),
                venue=venue,
                symbol=symbol,
                interval=interval,
                open_time=opened,
                event_time=candle.close_time,
                rule=rule.label,
                direction=decision.direction,
                strength=decision.strength,
                values=decision.values,
                candle_id=candle_id(venue, symbol, interval, opened, candle.revision),
                complete=candle.complete,
            )
            records.append(signal)
        return records

    def save(self) -> _Saved | None:
        """What a snapshot holds of it; None before the first candle."""
        if self._newest is None:
            return None
        return _Saved(self._newest, sorted(self._fired), self._before.states())

    def load(self, saved: _Saved) -> None:
        """Take over what a snapshot holds."""
        self._before.restore(saved.states)
        self._after.restore(saved.states)
        self._after.update(saved.newest)
        self._newest, self._fired = saved.newest, set(saved.fired)


class SeriesBook:
    """Folds the closed candles of one partition into indicator values and signals.

    Candles of a series come in order of open time, as the builder writes them; repeats are dropped. Not safe
    for two threads at once.

    Args:
        plan: What is computed.
    """

    def __init__(self, plan: SeriesPlan) -> None:
        self.plan = plan
        self.counts = SeriesCounts()
        self._series: dict[tuple[str, str, str], Series] = {}

    def fold(self, candle: Candle) -> list[IndicatorValue | Signal]:
        """Values in the order of the plan, then signals."""
        name = (candle.venue, candle.symbol, candle.interval)
        series = self._series.get(name)
        if series is None:
            series = self._series[name] = self._empty(candle)
        return series.take(candle, self.counts)

    def _empty(self, candle: Candle) -> Series:
        return Series(self.plan, market_key(candle.venue, candle.symbol), candle.interval)

    def snapshot(self) -> bytes:
        """The whole state; equal states give equal bytes."""
        saved = [series.save() for _, series in sorted(self._series.items())]
        book = _Book([series for series in saved if series is not None])
        return write_snapshot(STATE_VERSION, self.plan.digest, {}, book)

    def restore(self, snapshot: bytes) -> None:
        """Replace the state by that of a snapshot.

        Raises:
            ForeignSnapshotError: It is of another version or another plan, or damaged; the state is
            unchanged.
        """
        _, book = read_snapshot(STATE_VERSION, self.plan.digest, (), _Book, snapshot)
        restored: dict[tuple[str, str, str], Series] = {}
        for saved in book.series:
            newest = saved.newest
            series = restored[newest.venue, newest.symbol, newest.interval] = self._empty(newest)
            series.load(saved)
        self._series = restored
