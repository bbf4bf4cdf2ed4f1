"""Candles that are open, candles without trades, trades under a known id, and all intervals at once."""

import math
from itertools import groupby
from random import Random

import pytest

from processors.agents.candle_messages import LiveMessages
from processors.candles.batches import Refusal
from processors.candles.builder import CandleBuilder
from processors.candles.rules import CandleRules
from processors.candles.words import MEMORY
from processors.intervals import INTERVALS
from schemas import rows
from schemas.errors import ConfigurationError
from schemas.records import Candle, Side, TimeMark, Trade
from tests.candle_stream import Item, KeyIds, Outcome, outcome_of, rows_from

SECOND = 1_000_000
NOON = 1_723_204_800 * SECOND
CARRY = CandleRules.of(live=("1m",), carry=True)


def trade(
    at: float, price: float = 100.0, sequence: int | None = None, side: Side = "buy", symbol: str = "BTC/USDT"
) -> Trade:
    return Trade("binance", symbol, "", sequence, price, 1.0, side, NOON + round(at * SECOND), 0)


def mark(at: float, *, final: bool = False, source: str = "a") -> TimeMark:
    return TimeMark("binance", source, NOON + round(at * SECOND), final, "run")


def outcome(*items: Item, rules: CandleRules = CARRY) -> Outcome:
    return outcome_of(CandleBuilder(rules), items, ())


def brief(candles: list[Candle], interval: str = "1s") -> list[tuple[float, float, int, int]]:
    return [
        ((c.open_time - NOON) / SECOND, c.close, c.trade_count, c.revision)
        for c in candles
        if c.interval == interval
    ]


@pytest.mark.parametrize("other", [trade(1.0, 101.0, 7), trade(1.0, 100.0, 7, "sell"), trade(1.1, 100.0, 7)])
def test_an_id_that_comes_again_with_other_values_is_refused(other: Trade) -> None:
    builder = CandleBuilder(CARRY)
    first = trade(1, 100.0, 7)
    found = outcome_of(builder, [mark(0), first, trade(1.5, sequence=9), first, other, mark(4)], ())
    assert found.refused == [(4, Refusal.OTHER_VALUES)]
    assert (found.candles[0].trade_count, builder.counts.repeats, builder.counts.conflicts) == (2, 1, 1)


def test_what_was_said_under_an_id_is_remembered_for_so_many_trades() -> None:
    builder = CandleBuilder(CandleRules.of())
    log: list[Item] = [mark(0), *(trade(1 + i / 1e6, 100.0, i) for i in range(MEMORY + 1))]
    found = outcome_of(builder, [*log, trade(1, 5.0, 0), trade(1, 5.0, 1)], range(0, MEMORY, 7_000))
    assert [refusal for _, refusal in found.refused] == [Refusal.OTHER_VALUES]
    assert builder.counts.repeats == 1


def test_more_symbols_remember_more_and_forget_nothing() -> None:
    symbols = [f"S{index}/USDT" for index in range(40)]
    log: list[Item] = [mark(0), *(trade(1, 100.0, 5, symbol=symbol) for symbol in symbols)]
    others = [trade(1, 99.0, 5, symbol=symbol) for symbol in symbols]
    found = outcome_of(CandleBuilder(CARRY), [*log, *others], ())
    assert [refusal for _, refusal in found.refused] == [Refusal.OTHER_VALUES] * 40


def test_open_candles_are_written_at_marks_when_they_have_changed() -> None:
    found = outcome(
        mark(0), trade(1), mark(1), mark(2), trade(2.5, 102.0), trade(4.2, 99.0), mark(4.2), mark(70)
    )
    assert [(c.interval, c.trade_count, c.high, c.close, (c.as_of - NOON) / SECOND) for c in found.live] == [
        ("1m", 1, 100.0, 100.0, 1.0),
        ("1m", 3, 102.0, 99.0, 4.2),
    ]


def test_open_candles_leave_as_records_under_a_key_of_their_interval() -> None:
    rules = CandleRules.of(("1s", "1m", "1h"), live=("1m", "1h"))
    log: list[Item] = [mark(0), trade(1), trade(1, symbol="A/B:C"), trade(61), mark(3)]
    folded = CandleBuilder(rules).fold(rows_from(log, 0, KeyIds()))
    outgoing = LiveMessages().of(folded.live)
    keys = [(outgoing.keys.value(row) or b"").decode() for row in range(len(outgoing))]
    assert keys == [f"binance:A/B:C:{i}" for i in ("1m", "1h")] + [
        f"binance:BTC/USDT:{i}" for i in ("1m", "1m", "1h")
    ]
    values = [outgoing.values.value(row) or b"" for row in range(len(outgoing))]
    assert [rows.decode(value) for value in values] == list(folded.live)


def test_live_intervals_that_are_not_built_are_passed_over_and_unknown_ones_refused() -> None:
    assert CandleRules.of(("1s",), live=("1m",)).live == ()
    with pytest.raises(ConfigurationError):
        CandleRules.of(live=("2m",))


def test_intervals_without_trades_carry_the_last_close() -> None:
    found = outcome(mark(0), trade(1, 101.0), trade(4, 99.0), mark(9))
    assert brief(found.candles) == [
        *((1, 101, 1, 0), (2, 101, 0, 0), (3, 101, 0, 0), (4, 99, 1, 0), (5, 99, 0, 0), (6, 99, 0, 0)),
    ]
    empty = found.candles[1]
    assert (empty.open, empty.high, empty.low, empty.volume, empty.vwap) == (101.0, 101.0, 101.0, 0.0, None)
    assert (empty.first_sequence, empty.last_sequence, empty.complete) == (None, None, True)


def test_a_longer_candle_without_trades_is_carried_and_one_with_trades_ignores_what_was() -> None:
    found = outcome(mark(0), trade(1, 200.0), trade(125, 50.0), mark(200))
    assert brief(found.candles, "1m") == [(0, 200, 1, 0), (60, 200, 0, 0), (120, 50, 1, 0)]
    assert found.candles[-1].high == 50.0


def test_a_late_trade_revises_what_carried_its_price() -> None:
    found = outcome(mark(0), trade(1, 101.0), mark(7), trade(2.5, 98.0), mark(7.5))
    assert brief(found.candles)[-3:] == [(2, 98, 1, 1), (3, 98, 0, 1), (4, 98, 0, 1)]


def test_nothing_is_carried_over_a_time_without_a_feed() -> None:
    found = outcome(
        mark(0), trade(1, 101.0), mark(3.5, final=True), mark(10), mark(14), mark(10, source="b"), mark(14)
    )
    assert brief(found.candles) == [(1, 101, 1, 0), (2, 101, 0, 0), (10, 101, 0, 0), (11, 101, 0, 0)]


def test_a_symbol_is_carried_when_its_last_candle_has_been_let_go() -> None:
    rules = CandleRules.of(("1s",), hold_s=0, grace_ms=0, carry=True)
    found = outcome(mark(0), trade(0.5, 7.0), *(mark(at) for at in range(1, 400)), rules=rules)
    assert brief(found.candles)[-1] == (398, 7, 0, 0)
    assert len(found.candles) == 399


def test_all_intervals_are_exact_roll_ups_of_one_another() -> None:
    random = Random(7)
    monday = 1_723_420_800 * SECOND
    span = 15 * 86_400 * SECOND
    times = sorted([0, span - 1, *(random.randrange(span) for _ in range(3_000))])
    trades = [
        Trade(
            *("binance", "BTC/USDT", "", index, random.randrange(1, 10**7) / 100),
            *(random.randrange(10**9) / 1e8, random.choice(("buy", "sell")), monday - 3 * SECOND + time, 0),
        )
        for index, time in enumerate(times)
    ]
    marks: list[Item] = [TimeMark("binance", "a", monday - 7 * 86_400 * SECOND, False, "")]
    log = [*marks, *trades, TimeMark("binance", "a", monday + 22 * 86_400 * SECOND, False, "")]
    rules = CandleRules.of(tuple(INTERVALS), lead_s=40 * 86_400)
    found = outcome(*log, rules=rules)
    assert found.refused == []
    for interval in INTERVALS.values():
        candles = [candle for candle in found.candles if candle.interval == interval.name]
        groups = groupby(trades, key=lambda t: interval.open_time(t.event_time))
        for candle, (opened, group) in zip(candles, groups, strict=True):
            inside = list(group)
            prices = [each.price for each in inside]
            assert (candle.open_time, candle.close_time - candle.open_time) == (opened, interval.length)
            assert (candle.open, candle.close) == (prices[0], prices[-1])
            assert (candle.high, candle.low, candle.trade_count) == (max(prices), min(prices), len(inside))
            assert (candle.first_sequence, candle.last_sequence) == (inside[0].sequence, inside[-1].sequence)
            assert math.isclose(candle.volume, math.fsum(t.size for t in inside), rel_tol=1e-12)
            value = math.fsum(t.price * t.size for t in inside)
            assert math.isclose(candle.quote_volume, value, rel_tol=1e-12)
            assert candle.complete
    weeks = [candle.open_time for candle in found.candles if candle.interval == "1w"]
    assert weeks == [monday + week * 7 * 86_400 * SECOND for week in (-1, 0, 1, 2)]


def test_a_late_candle_becomes_the_oldest_when_those_before_it_were_let_go_and_is_let_go_itself() -> None:
    builder = CandleBuilder(CandleRules.of(("1s",), hold_s=70))
    log: list[Item] = [mark(0), trade(1), trade(100), mark(110), trade(60, 5.0), mark(115)]
    assert brief(outcome_of(builder, log, ()).candles)[-1] == (60, 5, 1, 0)
    assert builder.held == 2, "of 60 and of 100"
    outcome_of(builder, [mark(400)], (), first_offset=len(log))
    assert builder.held == 0


def test_candles_that_were_written_before_are_counted_as_revisions() -> None:
    builder = CandleBuilder(CandleRules.of(("1s",)))
    written = outcome_of(builder, [mark(0), trade(1), trade(2), mark(9), trade(1.5), mark(10)], ()).candles
    assert [candle.revision for candle in written] == [0, 0, 1]
    assert (builder.counts.candles, builder.counts.revisions) == (3, 1)
