"""Series against a model that keeps all candles and computes everything anew at each of them."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.series.book import SeriesBook
from processors.series.machine import Machine
from processors.series.plan import SeriesPlan
from processors.signal import SignalRule
from schemas.identity import ce_id
from schemas.records import Candle, IndicatorValue, Signal
from tests.saved_pages import saved
from tests.signal_candles import candle

RULES = ("moving_average_crossover(1,3)", "rsi_level(2,40,60)", "volume_spike(3,2)")
PLAN = SeriesPlan.of(["sma(2)", "ema(3)", "bollinger(3)"], RULES)
OPEN = SeriesPlan.of(["sma(2)", "ema(3)", "bollinger(3)"], RULES, on_incomplete=True)


class Model:
    """One series."""

    def __init__(self, plan: SeriesPlan) -> None:
        self.plan = plan
        self.candles: list[Candle] = []
        self.signals: set[str] = set()

    def fold(self, candle: Candle) -> list[IndicatorValue | Signal]:
        newest = self.candles[-1] if self.candles else None
        if newest is not None and candle.open_time <= newest.open_time:
            is_later = candle.revision > newest.revision or newest.backfilled
            if candle.backfilled or candle.open_time < newest.open_time or not is_later:
                return []
            self.candles.pop()
        self.candles.append(candle)
        machine = Machine(
            [choice.prototype for choice in self.plan.indicators],
            [choice.prototype for choice in self.plan.rules],
        )
        for each in self.candles:
            values, fired = machine.update(each)
        names = [name for choice in self.plan.indicators for name in choice.prototype.names().values()]
        market = (candle.venue, candle.symbol, candle.interval, candle.open_time)
        records: list[IndicatorValue | Signal] = [
            IndicatorValue(*market, name, values[name], candle.revision, candle.complete)
            for name in names
            if name in values
        ]
        for rule, decision, sound in fired:
            name = "/".join(("signal", *map(str, market), rule))
            if name in self.signals or candle.backfilled or not (sound or self.plan.on_incomplete):
                continue
            self.signals.add(name)
            said = (decision.direction, decision.strength, decision.values)
            records.append(Signal(name, *market, candle.close_time, rule, *said, ce_id(candle), sound))
        return records


@st.composite
def streams(draw: st.DrawFn) -> list[Candle]:
    at, stream = 0, []
    for _ in range(draw(st.integers(0, 60))):
        step = draw(st.sampled_from((1, 1, 1, 1, 1, 1, 0, 0, -1, 3)))
        at += max(step, 0)
        index = max(0, at + min(step, 0))
        close, volume = draw(st.integers(1, 40)) / 4, draw(st.integers(1, 9)) / 2
        stream.append(
            msgspec.structs.replace(
                candle(index, close, close, close, close, volume),
                revision=draw(st.sampled_from((0, 0, 1, 2))),
                complete=draw(st.sampled_from((True, True, True, True, True, False))),
                backfilled=draw(st.sampled_from((False, False, False, True))),
            )
        )
    return stream


def test_the_model_has_all_rules_to_choose_from() -> None:
    assert {SignalRule.create(rule).name for rule in RULES} <= SignalRule.known().keys()


@settings(max_examples=60)
@given(streams(), st.sampled_from((PLAN, OPEN)), st.sets(st.integers(0, 60)))
def test_records_are_those_of_the_model_wherever_the_state_is_saved_or_restored(
    stream: list[Candle], plan: SeriesPlan, saves: set[int]
) -> None:
    model, book, restored = Model(plan), SeriesBook(plan), SeriesBook(plan)
    for number, each in enumerate(stream):
        expected: Any = model.fold(each)
        assert book.fold(each) == expected
        assert restored.fold(each) == expected
        if number in saves:
            restored = moved(restored, plan)
    assert saved(moved(restored, plan)) == saved(book)


def moved(book: SeriesBook, plan: SeriesPlan) -> SeriesBook:
    other = SeriesBook(plan)
    other.load(saved(book))
    return other
