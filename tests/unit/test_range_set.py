"""RangeSet: the cases a reader asks about first."""

from __future__ import annotations

import numpy as np
import pytest

from infra.range_set import ID_MAX, ID_MIN, RangeSet


def ids(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_a_run_behind_the_last_range_extends_it() -> None:
    seen = RangeSet([(1, 4)])
    assert seen.add_sorted_array(ids(4, 5, 6)).all()
    assert list(seen) == [(1, 7)]


def test_a_repeat_and_a_filled_hole_in_one_batch() -> None:
    seen = RangeSet([(1, 4), (6, 9)])
    assert seen.add_sorted_array(ids(3, 4, 4, 5, 6)).tolist() == [False, True, False, True, False]
    assert list(seen) == [(1, 9)]


def test_a_copy_is_independent_of_its_original() -> None:
    seen = RangeSet([(1, 4)])
    twin = seen.copy()
    seen.add_sorted_array(ids(4, 5))
    assert list(twin) == [(1, 4)]
    assert list(seen) == [(1, 6)]


def test_trim_forgets_the_lowest_and_says_from_where_it_is_complete() -> None:
    seen = RangeSet([(1, 2), (5, 8), (10, 11)])
    assert seen.floor == ID_MIN
    seen.trim(1)
    assert list(seen) == [(10, 11)]
    assert seen.floor == 8


def test_the_largest_id_fits() -> None:
    seen = RangeSet()
    assert seen.add(ID_MAX)
    assert not seen.add(ID_MAX)
    assert seen.to_multirange() == f"{{[{ID_MAX},{ID_MAX + 1})}}"


@pytest.mark.parametrize("text", ["", "{[1,)}", "{[1,5]}", "[1,5)", "{[1,5),}", "{[1,5) }"])
def test_a_text_that_is_no_bounded_multirange_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="multirange"):
        RangeSet.from_multirange(text)


def test_descending_ids_and_impossible_ranges_are_refused() -> None:
    with pytest.raises(ValueError, match="ascending"):
        RangeSet().add_sorted_array(ids(2, 1))
    with pytest.raises(ValueError, match="at most"):
        RangeSet().add_sorted_array(ids(ID_MAX + 1))
    with pytest.raises(ValueError, match="range"):
        RangeSet([(2, 1)])
    with pytest.raises(ValueError, match="at least one"):
        RangeSet().trim(0)
