"""Scenarios of the candle builder, one rule each."""

import math

import numpy as np
import pytest

from processors.candles.batches import CandleRows, Refusal, RowKind
from processors.candles.builder import MOST_WAITING, CandleBuilder
from processors.candles.columns import rows_from_columns
from processors.candles.rules import CandleRules
from processors.engine.snapshots import ForeignSnapshotError
from processors.intervals import INTERVALS, intervals_of
from schemas import rows
from schemas.columns import ColumnReader
from schemas.errors import ConfigurationError
from schemas.records import Candle, Gap, Side, TimeMark, Trade
from tests.candle_stream import Item, KeyIds, fold_in_batches, rows_from
from tests.saved_pages import saved

SECOND = 1_000_000
NOON = 1_723_204_800 * SECOND


def trade(
    at: float,
    price: float = 100.0,
    size: float = 1.0,
    sequence: int | None = None,
    side: Side = "buy",
    *,
    venue: str = "binance",
    symbol: str = "BTC/USDT",
) -> Trade:
    return Trade(venue, symbol, "", sequence, price, size, side, NOON + round(at * SECOND), 0)


def mark(at: float, *, final: bool = False, venue: str = "binance", source: str = "a") -> TimeMark:
    return TimeMark(venue, source, NOON + round(at * SECOND), final, "run")


def gap(since: float, until: float) -> Gap:
    span = (NOON + round(since * SECOND), NOON + round(until * SECOND))
    return Gap("binance", "BTC/USDT", "a", "given_up", None, None, *span, "shed")


def fold(*items: Item, rules: CandleRules | None = None) -> tuple[list[Candle], list[tuple[int, Refusal]]]:
    return fold_in_batches(CandleBuilder(rules or CandleRules.of()), items, ())


def brief(candles: list[Candle]) -> list[tuple[str, float, int, bool]]:
    return [(c.interval, (c.open_time - NOON) / SECOND, c.revision, c.complete) for c in candles]


def test_a_candle_holds_first_highest_lowest_last_and_the_sums() -> None:
    candles, _ = fold(
        mark(0),
        trade(1.5, 102.0, 0.5, 7, "sell"),
        trade(1.2, 101.0, 0.25, 5),
        trade(1.2, 99.0, 0.125, 6),
        trade(1.9, 100.5, 1.0, 8, "unknown"),
        mark(4),
    )
    assert candles == [
        Candle(
            venue="binance",
            symbol="BTC/USDT",
            interval="1s",
            open_time=NOON + SECOND,
            close_time=NOON + 2 * SECOND,
            open=101.0,
            high=102.0,
            low=99.0,
            close=100.5,
            volume=1.875,
            quote_volume=51.0 + 25.25 + 12.375 + 100.5,
            taker_buy_volume=0.375,
            trade_count=4,
            first_sequence=5,
            last_sequence=8,
            revision=0,
            complete=True,
            vwap=189.125 / 1.875,
        )
    ]


def test_a_candle_closes_when_the_watermark_passes_its_end_by_the_grace_and_not_before() -> None:
    assert fold(mark(0), trade(1), mark(3.999999))[0] == []
    assert brief(fold(mark(0), trade(1), mark(4.0))[0]) == [("1s", 1, 0, True)]


def test_trades_alone_never_close_a_candle() -> None:
    assert fold(mark(0), trade(1), trade(100), trade(200))[0] == []


def test_the_slowest_source_holds_the_watermark_until_it_leaves() -> None:
    items: list[Item] = [mark(0), mark(0, source="b"), trade(1), mark(9)]
    assert fold(*items)[0] == []
    assert brief(fold(*items, mark(0.5, source="b", final=True))[0]) == [("1s", 1, 0, True)]


def test_the_watermark_never_goes_back_when_a_source_joins_behind_it() -> None:
    candles, _ = fold(mark(0), trade(1), mark(10), mark(2, source="b"), trade(1.5), mark(10.5))
    assert brief(candles) == [("1s", 1, 0, True), ("1s", 1, 1, True)]


def test_another_venues_mark_moves_nothing() -> None:
    assert fold(mark(0), trade(1), mark(0, venue="gateio"), mark(99, venue="gateio"))[0] == []


def test_candles_of_one_mark_leave_by_key_interval_and_open_time() -> None:
    symbols = ("ß/USDT", "A/USDT", "A/USDT:USDT", "Z/USDT")
    items: list[Item] = [trade(at, symbol=symbol) for at in (61.0, 1.0, 30.0) for symbol in symbols]
    candles, _ = fold(mark(-60), *items, mark(130))
    expected = [
        (symbol, interval, at)
        for symbol in sorted(symbols, key=str.encode)
        for interval, at in (("1s", 1), ("1s", 30), ("1s", 61), ("1m", 0), ("1m", 60))
    ]
    assert [(c.symbol, c.interval, (c.open_time - NOON) / SECOND) for c in candles] == expected


def test_the_feeds_end_closes_everything_and_what_lies_open_is_incomplete() -> None:
    candles, _ = fold(mark(-60), trade(1), trade(2.5), mark(3, final=True))
    assert brief(candles) == [("1s", 1, 0, True), ("1s", 2, 0, True), ("1m", 0, 0, False)]


def test_candles_that_the_feed_began_inside_are_incomplete() -> None:
    candles, _ = fold(trade(0.5), mark(0.5), trade(1), mark(62.0))
    assert brief(candles) == [("1s", 0, 0, False), ("1s", 1, 0, True), ("1m", 0, 0, False)]


def test_a_feed_that_comes_back_revises_once_what_its_end_had_closed() -> None:
    items: list[Item] = [
        mark(0),
        trade(1),
        mark(10, final=True),
        trade(20),
        mark(20),
        trade(21),
        mark(25),
        mark(62),
    ]
    minutes = [entry for entry in brief(fold(*items)[0]) if entry[0] == "1m"]
    assert minutes == [("1m", 0, 0, False), ("1m", 0, 1, False)]


def test_a_repeated_last_word_of_a_source_changes_nothing() -> None:
    items: list[Item] = [mark(0), mark(0, source="b"), mark(9, final=True), trade(9.5), mark(9, final=True)]
    assert brief(fold(*items, mark(20, source="b"))[0]) == [("1s", 9, 0, False)]


def test_a_gap_makes_the_candles_it_touches_incomplete() -> None:
    candles, _ = fold(mark(0), trade(1), trade(2), gap(2.2, 3.1), trade(3.5), trade(4), mark(8))
    assert [entry[3] for entry in brief(candles)] == [True, False, False, True]


def test_a_gap_in_a_closed_candle_revises_it() -> None:
    candles, _ = fold(mark(0), trade(1), mark(4), gap(1.5, 1.6), mark(4.5), gap(1.5, 1.7), mark(5))
    assert brief(candles) == [("1s", 1, 0, True), ("1s", 1, 1, False)]


@pytest.mark.parametrize("status", ["opened", "filled"])
def test_gaps_that_were_not_given_up_spoil_nothing(status: str) -> None:
    filled = Gap("binance", "BTC/USDT", "a", status, 1, 2, NOON, NOON + 9 * SECOND, "x")  # type: ignore[arg-type]
    assert brief(fold(mark(0), trade(1), filled, mark(4))[0]) == [("1s", 1, 0, True)]


def test_late_trades_revise_all_intervals_once_a_mark() -> None:
    items: list[Item] = [
        mark(0),
        trade(1, sequence=1),
        mark(62),
        trade(2, sequence=2),
        trade(1.5, 9.0, sequence=3),
        mark(63),
    ]
    candles, _ = fold(*items)
    assert brief(candles) == [
        ("1s", 1, 0, True),
        ("1m", 0, 0, True),
        ("1s", 1, 1, True),
        ("1s", 2, 0, True),
        ("1m", 0, 1, True),
    ]
    assert (candles[-1].trade_count, candles[-1].close, candles[-1].low) == (3, 100.0, 9.0)


def test_a_trade_is_too_late_once_its_shortest_candle_is_let_go() -> None:
    start: list[Item] = [mark(0), trade(1)]
    candles, refused = fold(*start, mark(303.999999), trade(1.5), mark(304))
    assert (len(candles), refused) == (4, [])
    candles, refused = fold(*start, mark(304), trade(1.5), trade(2.0), mark(305))
    assert refused == [(3, Refusal.TOO_LATE)]
    assert brief(candles)[-2:] == [("1s", 2, 0, True), ("1m", 0, 1, True)]


def test_repeats_are_dropped_whatever_order_they_come_in() -> None:
    sequences = (5, 6, 9, 6, 7, 5, 8, 9, 7, 4, 4, 10, 20, 15, 15, 20)
    builder = CandleBuilder(CandleRules.of())
    items: list[Item] = [mark(0), *(trade(1 + s / 100, sequence=s) for s in sequences), mark(4)]
    candles, refused = fold_in_batches(builder, items, ())
    assert (candles[0].trade_count, builder.counts.repeats) == (len(set(sequences)), 7)
    assert (candles[0].first_sequence, candles[0].last_sequence, refused) == (4, 20, [])


def test_the_same_feed_again_writes_nothing() -> None:
    feed: list[Item] = [
        mark(0),
        *(trade(i, sequence=i) for i in range(90)),
        *(mark(i) for i in range(90)),
        mark(90, final=True),
    ]
    builder = CandleBuilder(CandleRules.of())
    assert len(fold_in_batches(builder, feed, ())[0]) == 92
    assert fold_in_batches(builder, feed, ()) == ([], [])
    assert builder.counts.repeats == 90


def test_memory_of_sparse_sequences_is_bounded_by_the_hold() -> None:
    builder = CandleBuilder(CandleRules.of(hold_s=10))
    for start in range(0, 5_000, 50):
        items: list[Item] = [trade(start + i, sequence=(start + i) * 7) for i in range(50)]
        fold_in_batches(builder, [*items, mark(start + 50)], ())
    assert builder.held < 100
    assert sum(map(len, saved(builder).values())) < 500_000


def test_a_range_of_sequences_is_remembered_for_its_newest_trade() -> None:
    builder = CandleBuilder(CandleRules.of(hold_s=10))
    old: list[Item] = [mark(0), trade(1, sequence=10), trade(1, sequence=20), mark(215)]
    grown: list[Item] = [trade(210 + i, sequence=s) for i, s in enumerate((11, 30, 40, 50, 60))]
    fold_in_batches(builder, [*old, *grown, trade(210, sequence=11)], ())
    assert builder.counts.repeats == 1


def test_a_trade_far_ahead_waits_for_the_next_mark() -> None:
    ahead = trade(400, sequence=2)
    candles, refused = fold(mark(0), trade(1, sequence=1), ahead, mark(400), mark(403))
    assert refused == []
    assert brief(candles)[-1] == ("1s", 400, 0, True)
    candles, refused = fold(
        mark(0), trade(86_400, sequence=2), trade(1, sequence=1), mark(1), mark(500), ahead
    )
    assert refused == [(1, Refusal.TOO_FAR_AHEAD)]
    assert [c.trade_count for c in candles] == [1, 1]


def test_only_so_many_trades_wait() -> None:
    builder = CandleBuilder(CandleRules.of())
    flood = [trade(86_400, sequence=i) for i in range(MOST_WAITING + 5)]
    _, refused = fold_in_batches(builder, [mark(0), *flood], ())
    assert len(refused) == builder.counts.ahead_refused == 5
    _, refused = fold_in_batches(builder, [mark(1)], (), first_offset=2_000)
    assert len(refused) == MOST_WAITING


@pytest.mark.parametrize(
    ("price", "size"), [(math.nan, 1), (0, 1), (-1, 1), (math.inf, 1), (1, -1), (1, math.nan)]
)
def test_numbers_that_no_market_has_are_refused(price: float, size: float) -> None:
    candles, refused = fold(mark(0), trade(1, price, size), trade(1, 5.0, 0.0), mark(4))
    assert refused == [(1, Refusal.BAD_NUMBER)]
    assert candles[0].trade_count == 1


def test_a_key_that_is_none_is_refused_and_stops_nothing() -> None:
    ids = KeyIds()
    batch = rows_from([mark(0), trade(1), trade(1, venue="x"), mark(4)], 0, ids)
    ids.keys[1] = "nocolon"
    batch.key_ids[1] = -1
    folded = CandleBuilder(CandleRules.of()).fold(batch)
    assert [(entry.row, entry.key, entry.refusal) for entry in folded.refused] == [
        (1, "", Refusal.BAD_KEY),
        (2, "nocolon", Refusal.BAD_KEY),
    ]
    assert all(refusal.reason for refusal in Refusal)


def test_sums_do_not_depend_on_the_order_of_the_trades() -> None:
    sizes = [0.1, 1e9, 1e-8, 0.3, 123.456, 1e-8] * 50
    expected = math.fsum(sizes)
    for order in (sizes, sizes[::-1], sorted(sizes)):
        candles, _ = fold(
            mark(0), *(trade(1 + i / 1e4, 1.0, s) for i, s in enumerate(order)), mark(60), mark(62)
        )
        assert [candle.volume for candle in candles] == [expected, expected]


def test_many_candles_at_one_mark_and_many_symbols_grow_the_tables() -> None:
    items: list[Item] = [trade(i / 10, symbol=f"S{i % 700}/USDT", sequence=i) for i in range(3_000)]
    builder = CandleBuilder(CandleRules.of())
    candles, _ = fold_in_batches(builder, [mark(0), *items, mark(1_000)], (500,))
    assert sum(c.trade_count for c in candles if c.interval == "1s") == 3_000
    assert sum(c.trade_count for c in candles if c.interval == "1m") == 3_000
    assert builder.held == 0
    assert builder.watermark("binance") == NOON + 1_000 * SECOND
    assert builder.watermark("gateio") is None
    assert builder.watermarks == {"binance": NOON + 1_000 * SECOND}
    fold_in_batches(builder, [mark(1_001, final=True)], (500,))
    assert builder.watermarks == {}, "a feed that has ended is not behind"


def test_snapshots_of_other_rules_or_damaged_ones_are_refused_and_change_nothing() -> None:
    builder = CandleBuilder(CandleRules.of())
    fold_in_batches(builder, [mark(0), trade(1, sequence=1)], ())
    before = saved(builder)
    others = saved(CandleBuilder(CandleRules.of(grace_ms=1)))
    damaged: list[dict[str, bytes]] = [others, {}]
    for name, page in before.items():
        damaged += [{**before, name: b"x" * 99}, {**before, name: page[:-9]}]
    damaged += [
        {name: page for name, page in before.items() if name != gone} for gone in ("keys", "symbols.0")
    ]
    for pages in damaged:
        with pytest.raises(ForeignSnapshotError):
            builder.load(pages)
    assert saved(builder) == before


def test_columns_of_the_topic_become_rows() -> None:
    poison = b"\x00\x00\x00\x00\xffgarbage"
    items: list[Item] = [mark(0), trade(1, sequence=3), trade(1.5), gap(7, 8), mark(4)]
    values = [*map(rows.encode, items), poison]
    lengths = np.array([len(value) for value in values], np.int64)
    starts = np.cumsum(lengths) - lengths
    columns = ColumnReader().read(np.frombuffer(b"".join(values), np.uint8), starts, lengths)
    key_ids = np.zeros(len(values), np.int32)
    batch = rows_from_columns(columns, ["binance:BTC/USDT"], key_ids, np.arange(100, 106))
    assert isinstance(batch, CandleRows)
    assert batch.kinds.tolist() == [RowKind.MARK, RowKind.TRADE, RowKind.TRADE, RowKind.GAP, RowKind.MARK, 0]
    assert batch.value(1) == values[1]
    candles = list(CandleBuilder(CandleRules.of()).fold(batch).candles)
    assert [(c.trade_count, c.first_sequence, c.taker_buy_volume, c.complete) for c in candles] == [
        (2, 3, 2.0, True)
    ]


def test_weeks_begin_on_monday() -> None:
    monday = 1_723_420_800 * SECOND  # 2024-08-12
    assert INTERVALS["1w"].open_time(monday + 7 * 86_400 * SECOND - 1) == monday
    assert INTERVALS["1w"].open_time(monday - 1) == monday - 7 * 86_400 * SECOND


@pytest.mark.parametrize("names", [[], ["2s"], ["1m", "1m"], ["3m", "5m"]])
def test_intervals_that_do_not_fit_are_refused(names: list[str]) -> None:
    with pytest.raises(ConfigurationError):
        intervals_of(names)


def test_an_average_price_lies_within_the_prices_whatever_rounding_does() -> None:
    candles, _ = fold(mark(0), trade(1, 88.14, 1.492, 1), mark(4))
    assert 88.14 * 1.492 / 1.492 != 88.14, "else this proves nothing"
    assert candles[0].vwap == 88.14
