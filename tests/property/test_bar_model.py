"""Bars against plain Python that keeps every trade, on logs around midnight where everything goes wrong."""

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.bars.builder import BarBook
from processors.bars.plan import BarPlan
from processors.candles.builder import CandleBuilder
from schemas.records import TimeMark, Trade
from tests.bar_reference import ReferenceBars
from tests.candle_logs import RULES, long_stream, streams
from tests.candle_stream import Item, outcome_of

PLAN = BarPlan.of(
    ("tick(3)", "volume(900.5)@binance:*", "value(20000000)", "tick(1)@gateio:*|*:A/B:C"), grace_ms=2_000
)


def near_midnight(items: list[Item], ahead_s: int) -> list[Item]:
    """The same log so many seconds later: it begins 345 s before midnight."""
    moved: list[Item] = []
    for item in items:
        names = [name for name in ("event_time", "time", "from_time", "to_time") if hasattr(item, name)]
        changes = {name: getattr(item, name) + ahead_s * 1_000_000 for name in names}
        moved.append(msgspec.structs.replace(item, **changes))
    return moved


def check(items: list[Item], cuts: list[int]) -> BarBook:
    reference = ReferenceBars(PLAN, RULES)
    for offset, item in enumerate(items):
        reference.take(offset, item)
    book = BarBook(PLAN)
    assert outcome_of(CandleBuilder(RULES), items, cuts, book=book).bars == reference.output
    assert (book.counts.late, book.counts.bars) == (reference.late, len(reference.output))
    return book


@given(streams(), st.sampled_from((0, 335, 342, 344)), st.data())
def test_bars_equal_a_recomputation_from_all_trades(
    items: list[Item], ahead_s: int, data: st.DataObject
) -> None:
    check(near_midnight(items, ahead_s), data.draw(st.lists(st.integers(0, len(items)), max_size=8)))


@pytest.mark.parametrize("seed", range(12))
def test_bars_equal_a_recomputation_over_long_feeds(seed: int) -> None:
    random = Random(seed)
    items = near_midnight(long_stream(random), random.randint(230, 340))
    assert check(items, random.sample(range(500), 12)).counts.bars > 30


@given(streams(), st.data())
def test_cuts_and_restored_snapshots_change_no_bar(items: list[Item], data: st.DataObject) -> None:
    items = near_midnight(items, 340)
    whole = BarBook(PLAN)
    expected = outcome_of(CandleBuilder(RULES), items, (), book=whole).bars
    cut = data.draw(st.integers(0, len(items)))
    builder, first, second = CandleBuilder(RULES), BarBook(PLAN), BarBook(PLAN)
    before = outcome_of(
        builder, items[:cut], data.draw(st.lists(st.integers(0, cut), max_size=3)), book=first
    )
    second.restore(first.snapshot())
    assert second.snapshot() == first.snapshot()
    after = outcome_of(builder, items[cut:], (), first_offset=cut, book=second)
    assert before.bars + after.bars == expected
    assert second.snapshot() == whole.snapshot()


def test_what_no_bar_can_tell_from_is_not_remembered() -> None:
    trades = [
        Trade("binance", "X/Y", "", at, 2.0, 1.0, "buy", 1_723_204_800_000_000 + at, 0) for at in range(5_000)
    ]
    book = BarBook(PLAN)
    mark = TimeMark("binance", "a", 1_723_204_800_000_000, False, "run")
    later = msgspec.structs.replace(mark, time=mark.time + 10_000_000)
    outcome_of(CandleBuilder(RULES), [mark, *trades], (), book=book)
    waiting = len(book.snapshot())
    outcome_of(CandleBuilder(RULES), [mark, *trades, later], (), book=(other := BarBook(PLAN)))
    assert len(other.snapshot()) < 4_000 < waiting
