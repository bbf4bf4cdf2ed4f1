"""RangeSet against Python's own set, on generated ids and ranges."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from infra.range_set import ID_MAX, ID_MIN, RangeSet

SMALL = st.integers(-40, 40)
BATCHES = st.lists(st.lists(SMALL, max_size=30).map(sorted), max_size=8)
RANGES = st.lists(st.tuples(SMALL, st.integers(0, 12)).map(lambda p: (p[0], p[0] + p[1])), max_size=10)


def members(ranges: RangeSet) -> set[int]:
    return {id_ for start, stop in ranges for id_ in range(start, stop)}


def assert_normal(ranges: RangeSet) -> None:
    pairs = list(ranges)
    assert all(start < stop for start, stop in pairs)
    assert all(left[1] < right[0] for left, right in itertools.pairwise(pairs))


@given(BATCHES)
def test_sorted_batches_mark_each_new_id_once(batches: list[list[int]]) -> None:
    ranges, model = RangeSet(), set[int]()
    for batch in batches:
        new = ranges.add_sorted_array(np.array(batch, dtype=np.int64))
        expected = []
        for id_ in batch:
            expected.append(id_ not in model)
            model.add(id_)
        assert new.tolist() == expected
        assert members(ranges) == model
        assert len(ranges) == len(model)
        assert_normal(ranges)


@given(RANGES, RANGES)
def test_union_and_update_hold_the_ids_of_both(
    left: list[tuple[int, int]], right: list[tuple[int, int]]
) -> None:
    one, two = RangeSet(left), RangeSet(right)
    joined = one.union(two)
    assert members(joined) == members(one) | members(two)
    assert_normal(joined)
    assert members(one) == {id_ for start, stop in left for id_ in range(start, stop)}


@given(RANGES, st.lists(SMALL))
def test_contains_agrees_for_one_and_for_many(ranges: list[tuple[int, int]], ids: list[int]) -> None:
    set_ = RangeSet(ranges)
    model = members(set_)
    assert set_.contains_array(np.array(ids, dtype=np.int64)).tolist() == [id_ in model for id_ in ids]
    assert all((id_ in set_) == (id_ in model) for id_ in ids)


@given(RANGES)
def test_holes_fill_the_set_to_one_range(ranges: list[tuple[int, int]]) -> None:
    set_ = RangeSet(ranges)
    for start, stop in set_.holes():
        set_.add_range(start, stop)
    assert set_.range_count <= 1


@given(st.lists(st.integers(ID_MIN, ID_MAX), max_size=20).map(sorted))
def test_multirange_text_round_trips(ids: list[int]) -> None:
    set_ = RangeSet()
    set_.add_sorted_array(np.array(ids, dtype=np.int64))
    assert RangeSet.from_multirange(set_.to_multirange()) == set_


@given(RANGES, st.integers(1, 5))
def test_trim_keeps_all_that_is_above_the_floor(ranges: list[tuple[int, int]], ranges_max: int) -> None:
    set_ = RangeSet(ranges)
    before = members(set_)
    set_.trim(ranges_max)
    assert set_.range_count <= ranges_max
    assert members(set_) == {id_ for id_ in before if id_ >= set_.floor}
