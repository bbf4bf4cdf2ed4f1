"""Scenarios of bars that are full by what was traded."""

import pytest

from processors.bars.builder import BarBook
from processors.bars.plan import BarPlan, BarSpec
from processors.candles.builder import CandleBuilder
from processors.candles.rules import CandleRules
from processors.engine.snapshots import ForeignSnapshotError
from schemas.errors import ConfigurationError
from schemas.records import Gap, TimeMark, Trade, TradeBar
from tests.candle_stream import Item, outcome_of

SECOND = 1_000_000
DAY = 86_400
MIDNIGHT = 1_723_161_600 * SECOND


def trade(at: float, sequence: int | None = None, size: float = 1.0, price: float = 10.0) -> Trade:
    return Trade("binance", "X/Y", "", sequence, price, size, "buy", MIDNIGHT + round(at * SECOND), 0)


def mark(at: float, *, final: bool = False) -> TimeMark:
    return TimeMark("binance", "a", MIDNIGHT + round(at * SECOND), final, "run")


def bars(*items: Item, specs: tuple[str, ...] = ("tick(2)",)) -> list[TradeBar]:
    return outcome_of(CandleBuilder(CandleRules.of()), items, (), book=BarBook(BarPlan.of(specs))).bars


def brief(found: list[TradeBar]) -> list[tuple[int, int, bool, bool]]:
    return [(bar.number, bar.trade_count, bar.full, bar.complete) for bar in found]


def test_a_bar_is_closed_by_the_mark_that_passes_its_last_trade_by_the_grace() -> None:
    log: list[Item] = [mark(-1), trade(1), trade(2)]
    assert bars(*log, mark(3.999999)) == []
    assert brief(bars(*log, mark(4))) == [(0, 2, True, True)]


def test_trades_count_in_the_order_of_time_and_sequence_however_they_come() -> None:
    first, second = bars(mark(-1), *(trade(at, 9 - at, price=1.0 + at) for at in (3, 1, 4, 2)), mark(9))
    assert (first.open, first.close, second.open, second.close) == (2.0, 3.0, 4.0, 5.0)


def test_what_fills_a_bar_to_more_belongs_to_it_as_a_whole() -> None:
    sizes = (4.0, 9.0, 2.0, 10.0)
    log = [trade(at, at, size) for at, size in enumerate(sizes)]
    found = bars(mark(-1), *log, mark(9), specs=("volume(10)", "value(100)"))
    assert [(bar.kind, bar.volume) for bar in found] == [
        (k, v) for k in ("volume", "value") for v in (13.0, 12.0)
    ]


def test_a_threshold_is_reached_by_decimals_that_doubles_do_not_hold() -> None:
    found = bars(mark(-1), *(trade(at / 10, at, 0.3) for at in range(35)), mark(9), specs=("volume(10.5)",))
    assert [bar.trade_count for bar in found] == [35]


def test_counting_begins_anew_at_midnight_and_the_last_bar_is_closed_not_full() -> None:
    log = [trade(at, 100 + at) for at in range(DAY - 3, DAY + 3)]
    found = bars(mark(-1), *log[:3], mark(DAY - 1), *log[3:], mark(DAY + 1.9), mark(DAY + 2), mark(DAY + 9))
    assert brief(found) == [(0, 2, True, True), (1, 1, False, True), (0, 2, True, True)]
    assert [bar.session for bar in found] == [MIDNIGHT, MIDNIGHT, MIDNIGHT + DAY * SECOND]


def test_a_late_trade_is_counted_and_left_out() -> None:
    book = BarBook(BarPlan.of(("tick(2)",)))
    log: list[Item] = [mark(-1), trade(1, 1), mark(8), trade(2, 2), trade(7, 3), mark(12)]
    found = outcome_of(CandleBuilder(CandleRules.of()), log, (), book=book)
    assert ([bar.last_sequence for bar in found.bars], book.counts.late, book.counts.trades) == ([3], 1, 2)
    assert sum(candle.trade_count for candle in found.candles) == 3


def test_repeats_and_refused_trades_are_in_no_bar() -> None:
    assert (
        brief(bars(mark(-1), trade(1, 1), trade(1, 1), trade(1, 1, 5.0), trade(2, price=-1), mark(9))) == []
    )


def test_a_feed_that_began_or_a_gap_before_its_end_makes_a_bar_incomplete() -> None:
    at = MIDNIGHT + 3 * SECOND
    missing = Gap("binance", "X/Y", "a", "given_up", None, None, at, at, "shed")
    log = [trade(second, second) for second in (1, 2, 4, 5)]
    assert brief(bars(mark(-1), *log[:2], missing, *log[2:], mark(9)))[1][3] is False
    assert brief(bars(mark(-1), *log[:2], missing, *log[2:], mark(9)))[0][3] is True
    assert [bar.complete for bar in bars(mark(0.5), *log, mark(9))] == [False, False]


def test_a_trade_that_waited_for_its_mark_is_counted() -> None:
    assert brief(bars(mark(-1), trade(1, 1), trade(400, 2), mark(399), mark(403))) == [(0, 2, True, True)]


def test_only_chosen_markets_have_bars() -> None:
    plan = ("tick(1)@gateio:*|binance:Z/*",)
    assert bars(mark(-1), trade(1), mark(9), specs=plan) == []
    assert BarSpec.parse("tick(1)@gateio:*|binance:X/*").covers("binance:X/Y")


@pytest.mark.parametrize(
    "text", ["tick", "tick()", "tick(0)", "tick(1.5)", "range(3)", "volume(nan)", "value(-1)"]
)
def test_what_is_no_bar_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        BarPlan.of((text,))


def test_a_bar_is_named_once() -> None:
    with pytest.raises(ConfigurationError):
        BarPlan.of(("tick(5)@a:*", "tick(5)@b:*"))


def test_snapshots_of_other_bars_are_refused() -> None:
    book = BarBook(BarPlan.of(("tick(2)",)))
    with pytest.raises(ForeignSnapshotError):
        BarBook(BarPlan.of(("tick(3)",))).restore(book.snapshot())
