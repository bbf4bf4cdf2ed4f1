"""The candle builder against plain Python that keeps every trade, on streams where everything goes wrong."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.candles.batches import Refusal
from processors.candles.builder import CandleBuilder
from processors.candles.rules import CandleRules
from schemas.records import Candle
from tests.candle_logs import RULES, long_stream, streams
from tests.candle_reference import ReferenceCandles
from tests.candle_stream import Item, Outcome, outcome_of
from tests.saved_pages import saved

PLAIN = RULES
FULL = replace(RULES, live=RULES.intervals, carry=True)
"""With open candles, and candles of intervals without trades."""


def check(builder: CandleBuilder, items: list[Item], cuts: list[int]) -> Outcome:
    """Hold a builder against the reference, and give what it gave."""
    reference = ReferenceCandles(builder.rules)
    for offset, item in enumerate(items):
        reference.take(offset, item)
    outcome = outcome_of(builder, items, cuts)
    assert outcome.candles == [entry for entry in reference.output if isinstance(entry, Candle)]
    assert outcome.live == reference.live
    # A repeat from beyond the hold may be called too late: its sequence need not be remembered any more.
    refused = [entry for entry in outcome.refused if entry[0] not in reference.stale_repeats]
    assert refused == [entry for entry in reference.output if not isinstance(entry, Candle)]
    return outcome


@pytest.mark.parametrize("rules", [PLAIN, FULL], ids=["plain", "full"])
@given(items=streams(), data=st.data())
def test_builder_equals_a_recomputation_from_all_trades(
    rules: CandleRules, items: list[Item], data: st.DataObject
) -> None:
    check(CandleBuilder(rules), items, data.draw(st.lists(st.integers(0, len(items)), max_size=8)))


@pytest.mark.parametrize(
    ("seed", "rules"), [*((seed, PLAIN) for seed in range(25)), *((seed, FULL) for seed in range(8))]
)
def test_builder_equals_a_recomputation_over_long_feeds(seed: int, rules: CandleRules) -> None:
    random = Random(seed)
    items = long_stream(random)
    builder = CandleBuilder(rules)
    outcome = check(builder, items, random.sample(range(500), 12))
    assert builder.counts.candles == len(outcome.candles) > 50
    assert builder.counts.conflicts > 0 or Refusal.OTHER_VALUES not in dict(outcome.refused).values()


@given(streams(), st.data())
def test_cuts_and_restored_snapshots_change_nothing(items: list[Item], data: st.DataObject) -> None:
    whole = CandleBuilder(FULL)
    expected = outcome_of(whole, items, ())
    cut = data.draw(st.integers(0, len(items)))
    first = CandleBuilder(FULL)
    before = outcome_of(first, items[:cut], data.draw(st.lists(st.integers(0, cut), max_size=3)))
    second = CandleBuilder(FULL)
    outcome_of(second, items[: len(items) // 2], ())  # what it held is replaced
    second.load(saved(first))
    assert saved(second) == saved(first)
    after = outcome_of(second, items[cut:], (), first_offset=cut)
    for name in ("candles", "refused", "live"):
        assert getattr(before, name) + getattr(after, name) == getattr(expected, name)
    assert saved(second) == saved(whole)
    assert second.counts == whole.counts
