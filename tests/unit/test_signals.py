"""Series of closed candles to indicator values and signals."""

import math
from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.engine.snapshots import ForeignSnapshotError
from processors.indicator import Indicator
from processors.indicators.sma import Sma
from processors.series.book import SeriesBook
from processors.series.plan import SeriesPlan
from processors.signal import SignalRule
from schemas.errors import ConfigurationError
from schemas.identity import ce_id
from schemas.records import Candle, IndicatorValue, Signal
from tests.saved_pages import saved

MINUTE = 60_000_000
PLAN = SeriesPlan.of(["sma(2)", "ema(3)", "rsi(2)"], ["moving_average_crossover(1,3)"])


def candle(
    index: int,
    close: float,
    *,
    revision: int = 0,
    complete: bool = True,
    symbol: str = "BTC/USDT",
    interval: str = "1m",
) -> Candle:
    times = (index * MINUTE, (index + 1) * MINUTE)
    prices = (close, close, close, close)
    market = ("binance", symbol, interval)
    return Candle(*market, *times, *prices, 1.0, close, 0.5, 3, None, None, revision, complete)


def series(closes: Iterable[float]) -> list[Candle]:
    return [candle(index, close) for index, close in enumerate(closes)]


def fold(candles: Sequence[Candle], plan: SeriesPlan = PLAN) -> list[IndicatorValue | Signal]:
    book = SeriesBook(plan)
    return [record for candle in candles for record in book.fold(candle)]


def signals(records: Iterable[IndicatorValue | Signal]) -> list[Signal]:
    return [record for record in records if isinstance(record, Signal)]


def test_values_come_from_the_first_defined_one_on_and_carry_the_candles_revision() -> None:
    records = fold([candle(0, 10), candle(1, 11, revision=2, complete=False)])
    assert records == [
        IndicatorValue("binance", "BTC/USDT", "1m", MINUTE, "sma_2", 10.5, 2, False),
    ]


def test_a_crossover_fires_once_with_direction_strength_and_what_it_saw() -> None:
    (short, long) = signals(fold(series([1, 2, 6, 4, 1, 1, 1, 2])))
    assert (short.direction, short.open_time, short.event_time) == ("short", 4 * MINUTE, 5 * MINUTE)
    assert short.values == {"sma_1": 1.0, "sma_3": 11 / 3}
    assert short.strength == 1.0  # the averages touched at the candle before
    assert short.rule == "moving_average_crossover_1_3"
    assert short.id == "signal/binance/BTC/USDT/1m/240000000/moving_average_crossover_1_3"
    assert short.candle_id == "candle/binance/BTC/USDT/1m/240000000/0"
    assert (long.direction, long.open_time) == ("long", 7 * MINUTE)


def test_strength_is_the_part_of_the_step_beyond_the_crossing_at_any_scale() -> None:
    rule = SignalRule.create("moving_average_crossover(1,3)")
    for scale in (1e-9, 1.0, 1e9):
        crossing = rule.fresh()
        crossing.update(candle(0, 1), {"sma_1": 1 * scale, "sma_3": 4 * scale})
        decision = crossing.update(candle(1, 1), {"sma_1": 5 * scale, "sma_3": 4 * scale})
        assert decision is not None
        assert decision.strength == pytest.approx(0.25, rel=1e-12)


def test_averages_that_touch_do_not_cross() -> None:
    assert signals(fold(series([1, 2, 3, 3, 3, 4, 4, 4, 5]))) == []


def test_a_revision_of_the_newest_candle_is_applied_from_the_state_before_it() -> None:
    closes = [5.0, 6, 7, 6, 5, 4, 6]
    revised = [
        *series(closes[:-1]),
        candle(6, 99),
        candle(6, 1, revision=1),
        candle(6, closes[-1], revision=2),
    ]
    book, plain = SeriesBook(PLAN), SeriesBook(PLAN)
    for item in revised:
        last = book.fold(item)
    for item in series(closes):
        expected = plain.fold(item)
    values = [r.value for r in last if isinstance(r, IndicatorValue)]
    assert values == [r.value for r in expected if isinstance(r, IndicatorValue)]
    assert (book.counts.applied, book.counts.revised) == (7, 2)
    follow = candle(7, 3)
    assert book.fold(follow) == plain.fold(follow)


def test_a_rule_never_fires_twice_for_one_candle() -> None:
    candles = series([9, 9, 3, 3, 3, 20])
    fired = signals(fold(candles))
    assert [signal.direction for signal in fired] == ["long"]
    again = [candle(5, 1, revision=1), candle(5, 20, revision=2), candle(5, 30, revision=3)]
    assert signals(fold([*candles, *again])) == fired


def test_a_rule_may_fire_first_at_a_revision() -> None:
    (signal,) = signals(fold([*series([9, 9, 3, 3, 3, 3]), candle(5, 20, revision=1)]))
    assert signal.candle_id.endswith("/1")


def test_repeats_and_old_revisions_are_dropped_and_counted() -> None:
    book = SeriesBook(PLAN)
    candles = series([1, 2, 3, 4])
    for item in candles:
        book.fold(item)
    for item in (*candles, candle(2, 50, revision=1), candle(1, 7)):
        assert book.fold(item) == []
    assert (book.counts.repeats, book.counts.too_old) == (5, 1)


@pytest.mark.parametrize("allowed", [False, True])
def test_no_signal_comes_from_an_incomplete_candle_unless_allowed_and_then_it_is_marked(
    allowed: bool,
) -> None:
    plan = SeriesPlan.of([], ["moving_average_crossover(1,3)"], on_incomplete=allowed)
    found = signals(fold([*series([9, 9, 3, 3, 3]), candle(5, 20, complete=False), candle(6, 21)], plan))
    assert [signal.complete for signal in found] == ([False] if allowed else [])


def test_choices_say_where_they_run() -> None:
    plan = SeriesPlan.of(["sma(1)@1m", "sma(2)@1s|1h@binance:BTC/*", "ema(1)@*@gateio:*"], [])

    def names(symbol: str, interval: str) -> list[str]:
        candles = [candle(index, 1.0, symbol=symbol, interval=interval) for index in (0, 1)]
        return [record.name for record in fold(candles, plan) if isinstance(record, IndicatorValue)]

    assert names("BTC/USDT", "1m") == ["sma_1", "sma_1"]
    assert names("BTC/USDT", "1h") == ["sma_2"]
    assert names("ETH/USDT", "1h") == []


def test_a_rules_own_indicators_are_not_published() -> None:
    assert not [r for r in fold(series(range(1, 20))) if isinstance(r, IndicatorValue) and r.name == "sma_3"]


def test_series_do_not_touch_each_other() -> None:
    closes = [5.0, 7, 6, 3, 9, 2, 8]
    alone = fold(series(closes))
    mixed = [
        c
        for i, close in enumerate(closes)
        for c in (candle(i, 1 / close, symbol="ETH/USDT"), candle(i, close))
    ]
    assert [record for record in fold(mixed) if record.symbol == "BTC/USDT"] == alone


@st.composite
def candle_streams(draw: st.DrawFn) -> list[Candle]:
    newest = dict.fromkeys(("BTC/USDT", "ETH/USDT"), 0)
    stream = []
    for _ in range(draw(st.integers(0, 60))):
        symbol = draw(st.sampled_from(sorted(newest)))
        step = draw(st.sampled_from((1, 1, 1, 1, 0, -1, 2)))
        newest[symbol] = max(newest[symbol], newest[symbol] + step)
        close = draw(st.integers(1, 40)) / 4
        revision = draw(st.sampled_from((0, 0, 0, 1, 2)))
        complete = draw(st.sampled_from((True, True, True, False)))
        at = max(0, newest[symbol] + min(step, 0))
        stream.append(candle(at, close, revision=revision, complete=complete, symbol=symbol))
    return stream


@settings(max_examples=50)
@given(candle_streams(), st.data())
def test_a_restored_book_goes_on_as_the_one_that_never_stopped(
    stream: list[Candle], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(stream)))
    whole, first, second = SeriesBook(PLAN), SeriesBook(PLAN), SeriesBook(PLAN)
    expected = [record for item in stream for record in whole.fold(item)]
    before = [record for item in stream[:cut] for record in first.fold(item)]
    second.load(saved(first))
    assert saved(second) == saved(first)
    after = [record for item in stream[cut:] for record in second.fold(item)]
    assert before + after == expected
    assert saved(second) == saved(whole)
    ids = [ce_id(record) for record in expected]
    assert len(ids) == len(set(ids))
    assert all(math.isfinite(r.value) for r in expected if isinstance(r, IndicatorValue))


def test_a_snapshot_of_another_plan_is_refused_and_changes_nothing() -> None:
    book, other = SeriesBook(PLAN), SeriesBook(SeriesPlan.of(["sma(3)"], []))
    for item in series([1, 2, 3]):
        book.fold(item)
        other.fold(item)
    before = saved(book)
    with pytest.raises(ForeignSnapshotError):
        book.load(saved(other))
    assert saved(book) == before


def test_wrong_choices_are_refused_when_the_plan_is_made() -> None:
    with pytest.raises(ConfigurationError, match=f"known: {', '.join(sorted(Indicator.known()))}$"):
        SeriesPlan.of(["smma(3)@1m"])


def test_parameters_cannot_be_changed() -> None:
    parameters: object = Sma(5).parameters
    with pytest.raises(TypeError):
        parameters["period"] = 6  # type: ignore[index]
    assert msgspec.json.encode(dict(Sma(5).parameters)) == b'{"period":5}'
