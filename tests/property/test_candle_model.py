"""The candle builder against plain Python that keeps every trade, on streams where everything goes wrong."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.candle_batches import Refusal
from processors.candles import CandleBuilder
from schemas.records import Candle
from tests.candle_logs import RULES, long_stream, streams
from tests.candle_reference import ReferenceCandles
from tests.candle_stream import Item, fold_in_batches
from tests.saved_pages import saved


def reference_of(items: list[Item]) -> tuple[list[Candle], list[tuple[int, Refusal]], set[int]]:
    reference = ReferenceCandles(RULES)
    for offset, item in enumerate(items):
        reference.take(offset, item)
    candles = [entry for entry in reference.output if isinstance(entry, Candle)]
    return candles, [e for e in reference.output if not isinstance(e, Candle)], reference.stale_repeats


@given(streams(), st.data())
def test_builder_equals_a_recomputation_from_all_trades(items: list[Item], data: st.DataObject) -> None:
    expected, expected_refused, stale = reference_of(items)
    cuts = data.draw(st.lists(st.integers(0, len(items)), max_size=8))
    candles, refused = fold_in_batches(CandleBuilder(RULES), items, cuts)
    assert candles == expected
    # A repeat from beyond the hold may be called too late: its sequence need not be remembered any more.
    assert [entry for entry in refused if entry[0] not in stale] == expected_refused


@pytest.mark.parametrize("seed", range(25))
def test_builder_equals_a_recomputation_over_long_feeds(seed: int) -> None:
    random = Random(seed)
    items = long_stream(random)
    expected, expected_refused, stale = reference_of(items)
    builder = CandleBuilder(RULES)
    candles, refused = fold_in_batches(builder, items, random.sample(range(500), 12))
    assert candles == expected
    assert [entry for entry in refused if entry[0] not in stale] == expected_refused
    assert builder.counts.candles == len(candles) > 50


@given(streams(), st.data())
def test_cuts_and_restored_snapshots_change_nothing(items: list[Item], data: st.DataObject) -> None:
    whole = CandleBuilder(RULES)
    expected = fold_in_batches(whole, items, ())
    cut = data.draw(st.integers(0, len(items)))
    first = CandleBuilder(RULES)
    before = fold_in_batches(first, items[:cut], data.draw(st.lists(st.integers(0, cut), max_size=3)))
    second = CandleBuilder(RULES)
    fold_in_batches(second, items[: len(items) // 2], ())  # what it held is replaced
    second.load(saved(first))
    assert saved(second) == saved(first)
    after = fold_in_batches(second, items[cut:], (), first_offset=cut)
    assert (before[0] + after[0], before[1] + after[1]) == expected
    assert saved(second) == saved(whole)
    assert second.counts == whole.counts
