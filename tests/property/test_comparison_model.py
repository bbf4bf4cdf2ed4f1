"""The comparator against one that is written row by row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from infra.comparison import KINDS, compare
from infra.keyed_rows import Rows, group, newest, without

NAN = float("nan")


@dataclass(frozen=True)
class Item:
    """A row: known by key and number, with some values."""

    key: str
    number: int | None
    value: float | None
    note: str


items = st.builds(
    Item,
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([None, 1, 2, 3, 2**62, -(2**62)]),
    st.sampled_from([None, 0.0, 1.5, NAN, float("inf")]),
    st.sampled_from(["", "x", "y"]),
)


def rows_of(found: list[Item]) -> Rows:
    names = ("key", "number", "value", "note")
    return Rows.of({name: [getattr(item, name) for item in found] for name in names}) if found else Rows({})


def same(left: Item, right: Item) -> bool:
    values = left.value == right.value or (left.value != left.value and right.value != right.value)
    return values and left.note == right.note


def first_of(found: list[Item]) -> dict[tuple[str, int | None], int]:
    first: dict[tuple[str, int | None], int] = {}
    for place, item in enumerate(found):
        first.setdefault((item.key, item.number), place)
    return first


def by_rows(expected: list[Item], found: list[Item], may_repeat: bool) -> dict[str, int]:
    """What the comparator should count."""
    counts = dict.fromkeys((*KINDS, "repeats"), 0)
    ours, theirs = first_of(expected), first_of(found)
    counts["lost"] = len(ours.keys() - theirs.keys())
    counts["unseen"] = len(theirs.keys() - ours.keys())
    for side, first, repeats in ((expected, ours, True), (found, theirs, may_repeat)):
        for place, item in enumerate(side):
            origin = first[item.key, item.number]
            if origin == place:
                continue
            if not repeats:
                counts["duplicate"] += 1
            else:
                counts["repeats" if same(side[origin], item) else "contradicting"] += 1
    common = sorted(ours.keys() & theirs.keys(), key=lambda known: theirs[known])
    counts["differing"] = sum(not same(expected[ours[known]], found[theirs[known]]) for known in common)
    furthest: dict[str, int] = {}
    for known in common:
        counts["reordered"] += ours[known] < furthest.get(known[0], -1)
        furthest[known[0]] = max(furthest.get(known[0], -1), ours[known])
    return counts


@given(st.lists(items, max_size=12), st.lists(items, max_size=12), st.booleans())
def test_counts_are_those_of_a_comparison_row_by_row(
    expected: list[Item], found: list[Item], may_repeat: bool
) -> None:
    result = compare(
        rows_of(expected), rows_of(found), ("key", "number"), key=("key",), may_repeat=may_repeat
    )
    right = by_rows(expected, found, may_repeat)
    assert {name: getattr(result, name) for name in right} == right
    assert (result.expected, result.found) == (len(expected), len(found))
    assert result.clean == (not any(right[kind] for kind in KINDS))


@given(st.lists(items, max_size=12))
def test_rows_equal_themselves_and_examples_show_a_change(found: list[Item]) -> None:
    unique = [found[place] for place in first_of(found).values()]
    assert compare(rows_of(unique), rows_of(unique), ("key", "number"), key=("key",)).clean
    if unique:
        changed = [Item(unique[0].key, unique[0].number, 7.25, unique[0].note), *unique[1:]]
        result = compare(rows_of(unique), rows_of(changed), ("key", "number"))
        assert result.differing == 1
        (example,) = result.examples
        assert example.row == {"key": unique[0].key, "number": unique[0].number}
        assert example.fields["value"][1] == 7.25
        assert "value 7.25 instead of" in example.as_line()


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 3), st.integers(0, 9)), max_size=20))
def test_the_newest_revision_is_kept_and_of_equal_ones_the_first(
    found: list[tuple[str, int, int]],
) -> None:
    best: dict[str, int] = {}
    for place, (key, revision, _) in enumerate(found):
        if key not in best or revision > found[best[key]][1]:
            best[key] = place
    if not found:
        return
    rows = Rows.of({"key": [key for key, _, _ in found], "revision": [number for _, number, _ in found]})
    assert newest(rows, ["key"], ["revision"]).tolist() == sorted(best.values())


@given(st.lists(items, max_size=8), st.lists(items, max_size=8))
def test_rows_without_an_equal_are_left(found: list[Item], others: list[Item]) -> None:
    both = rows_of([*found, *others])
    mine, theirs = both.take(np.arange(len(found))), both.take(np.arange(len(found), len(both)))
    names = ["key", "number", "note"]
    known = {(item.key, item.number, item.note) for item in others}
    left = [item.key for item in found if (item.key, item.number, item.note) not in known]
    kept = without(mine, theirs, names)
    assert [kept.columns["key"].at(row) for row in range(len(kept))] == left


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1)), max_size=20))
def test_rows_are_grouped_whatever_the_numbers(found: list[tuple[int, int]]) -> None:
    columns = [
        (np.array([pair[side] for pair in found], np.int64), np.ones(len(found), np.bool_)) for side in (0, 1)
    ]
    codes, end = group(columns, len(found))
    assert all(0 <= code < end for code in codes.tolist())
    by_code = dict(zip(codes.tolist(), found, strict=True))
    assert len(by_code) == len(set(found))
    assert [by_code[code] for code in codes.tolist()] == found
