"""The one comparator: what ought to be against what is, in the words of a checker of histories.

- lost: expected and not found;
- unseen: found and never expected;
- duplicate: found more than once where nothing may be;
- differing: found with other values;
- contradicting: repeats on one side that are not equal to the first of them;
- reordered: found after a row of the same key that it should precede.

Chaos tests, `kandle verify` and whoever compares two runs use it, so that "exact" means one thing. Topics may
hold a record more than once: repeats are dropped by identity, counted, and must be equal in value. Tables may
not. When a frame was received, and when Kafka took it, is not compared: no two runs agree on it.

Pure, and quick: a million rows take a second or two.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from infra.keyed_rows import Column, Ints, Mask, Rows, group, joined

NOT_COMPARED: Final = frozenset({"receive_time", "kafka_timestamp"})
EXAMPLES: Final = 5
"""Examples of each kind that are kept; counts are exact."""
KINDS: Final = ("lost", "duplicate", "differing", "contradicting", "reordered", "unseen")


@dataclass(frozen=True, slots=True)
class Example:
    """One row that is not as it should be.

    Attributes:
        kind: One of `KINDS`.
        row: Its identity, by field.
        fields: Of rows that differ: expected and found value of each such field.
    """

    kind: str
    row: dict[str, object]
    fields: dict[str, tuple[object, object]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        said: dict[str, object] = {"kind": self.kind, "row": self.row}
        if self.fields:
            pairs = self.fields.items()
            said["fields"] = {name: {"expected": was, "found": now} for name, (was, now) in pairs}
        return said

    def as_line(self) -> str:
        """For people."""
        row = " ".join(f"{name}={_text(value)}" for name, value in self.row.items() if value is not None)
        changes = ", ".join(
            f"{name} {_text(now)} instead of {_text(was)}" for name, (was, now) in self.fields.items()
        )
        return f"{self.kind:<13} {row}" + (f": {changes}" if changes else "")


@dataclass(slots=True)
class Comparison:
    """What a comparison has found. Several of disjoint rows may be added up.

    Attributes:
        expected: Rows that ought to be, repeats included.
        found: Rows that are, repeats included.
        lost, duplicate, differing, contradicting, reordered, unseen: See the module.
        repeats: Rows dropped because they were there before, on both sides, where that is allowed.
        examples: The first of each kind.
    """

    expected: int = 0
    found: int = 0
    lost: int = 0
    duplicate: int = 0
    differing: int = 0
    contradicting: int = 0
    reordered: int = 0
    unseen: int = 0
    repeats: int = 0
    examples: list[Example] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether both are the same."""
        return not any(getattr(self, kind) for kind in KINDS)

    def add(self, other: Comparison) -> None:
        """Take in a comparison of other rows."""
        for name in ("expected", "found", "repeats", *KINDS):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for example in other.examples:
            self._show(example)

    def as_dict(self) -> dict[str, object]:
        """For JSON: counts, and examples."""
        counts = {name: getattr(self, name) for name in ("expected", "found", *KINDS, "repeats")}
        return {"clean": self.clean, **counts, "examples": [example.as_dict() for example in self.examples]}

    def as_lines(self, title: str) -> Iterator[str]:
        """For people: one line, and one for each example.

        Args:
            title: What was compared.
        """
        faults = ", ".join(f"{getattr(self, kind):,} {kind}" for kind in KINDS if getattr(self, kind))
        repeats = f"; {self.repeats:,} repeats dropped" if self.repeats else ""
        yield f"{title}: {self.expected:,} expected, {self.found:,} found: {faults or 'all equal'}{repeats}"
        for example in self.examples:
            yield f"  {example.as_line()}"

    def note(self, kind: str, count: int, examples: Iterable[Example]) -> None:
        """Count rows of a kind, and keep some of them as examples."""
        setattr(self, kind, getattr(self, kind) + count)
        for example in examples:
            self._show(example)

    def _show(self, example: Example) -> None:
        if sum(known.kind == example.kind for known in self.examples) < EXAMPLES:
            self.examples.append(example)


def compare(
    expected: Rows,
    found: Rows,
    identity: Sequence[str],
    *,
    compared: Collection[str] | None = None,
    key: Sequence[str] | None = None,
    may_repeat: bool = False,
    shown: Sequence[str] | None = None,
) -> Comparison:
    """Compare two sets of rows.

    Args:
        expected: What ought to be, in its order; a repeat is dropped.
        found: What is, in its order.
        identity: Fields by which a row is known; the ids of a topic's records, the key of a table.
        compared: Fields whose values must be equal; by default all that both sides have, but `NOT_COMPARED`.
        key: Fields of the key within which order must be kept; None where there is no order, as in a table.
        may_repeat: Whether a row may be found more than once, as in a topic.
        shown: Fields by which examples name a row, if not by `identity`.

    Raises:
        KeyError: A side lacks a field of `identity`, `key` or `compared`.
    """
    result = Comparison(len(expected), len(found))
    naming = identity if shown is None else shown
    if not len(expected) and not len(found):
        return result
    if not len(expected) or not len(found):
        # Of a side without rows the columns may be unknown, too.
        expected, found = (rows if len(rows) else _none_like(other) for rows, other in _both(expected, found))
    names = [
        name
        for name in (compared if compared is not None else expected.columns)
        if name not in identity
        and (compared is not None or (name in found.columns and name not in NOT_COMPARED))
    ]
    pairs = [joined(expected.columns[name], found.columns[name]) for name in identity]
    codes, end = group(
        [(np.concatenate(pair[:2]), np.concatenate(pair[2:])) for pair in pairs], len(expected) + len(found)
    )
    ours, theirs = codes[: len(expected)], codes[len(expected) :]
    first_ours, first_theirs = _first(ours, end), _first(theirs, end)

    def examples(kind: str, rows: Rows, chosen: npt.NDArray[Any]) -> Iterator[Example]:
        return (Example(kind, rows.describe(row, naming)) for row in chosen[:EXAMPLES].tolist())

    lost = np.sort(first_ours[(first_ours >= 0) & (first_theirs < 0)])
    result.note("lost", len(lost), examples("lost", expected, lost))
    unseen = np.sort(first_theirs[(first_theirs >= 0) & (first_ours < 0)])
    result.note("unseen", len(unseen), examples("unseen", found, unseen))
    for rows, own, first in ((expected, ours, first_ours), (found, theirs, first_theirs)):
        again = np.flatnonzero(first[own] != np.arange(len(own)))
        if rows is found and not may_repeat:
            result.note("duplicate", len(again), examples("duplicate", rows, again))
            continue
        differing = _differing(rows, rows, first[own[again]], again, names, naming)
        result.repeats += len(again) - differing.count
        result.note("contradicting", differing.count, differing.examples("contradicting"))
    common = np.sort(first_ours[(first_ours >= 0) & (first_theirs >= 0)])
    partners = first_theirs[ours[common]]
    differing = _differing(expected, found, common, partners, names, naming)
    result.note("differing", differing.count, differing.examples("differing"))
    if key is not None:
        late = partners[_overtaken(expected, key, common, partners)]
        result.note("reordered", len(late), examples("reordered", found, late))
    return result


@dataclass(frozen=True, slots=True)
class _Differences:
    """Pairs of rows of which some field is not equal."""

    left: Rows
    right: Rows
    pairs: tuple[Ints, Ints]
    names: Sequence[str]
    naming: Sequence[str]

    @property
    def count(self) -> int:
        return len(self.pairs[0])

    def examples(self, kind: str) -> Iterator[Example]:
        for mine, other in zip(*(rows[:EXAMPLES].tolist() for rows in self.pairs), strict=True):
            values = {
                name: (self.left.columns[name].at(mine), self.right.columns[name].at(other))
                for name in self.names
            }
            changed = {name: pair for name, pair in values.items() if pair[0] != pair[1]}
            yield Example(kind, self.left.describe(mine, self.naming), changed)


def _differing(
    left: Rows, right: Rows, mine: Ints, other: Ints, names: Sequence[str], naming: Sequence[str]
) -> _Differences:
    unequal = np.zeros(len(mine), np.bool_)
    for name in names:
        values, others, valid, valid_others = joined(left.columns[name], right.columns[name])
        unequal |= _unequal(values[mine], others[other], valid[mine], valid_others[other])
    return _Differences(left, right, (mine[unequal], other[unequal]), names, naming)


def _unequal(left: npt.NDArray[Any], right: npt.NDArray[Any], valid: Mask, valid_right: Mask) -> Mask:
    apart = np.not_equal(left, right)
    if left.dtype.kind == "f" and right.dtype.kind == "f":
        apart &= ~(np.isnan(left) & np.isnan(right))
    unequal: Mask = (valid != valid_right) | (valid & apart)
    return unequal


def _overtaken(expected: Rows, key: Sequence[str], common: Ints, partners: Ints) -> Ints:
    """Which of the pairs, by the order in which they are found, come after one that they should precede."""
    columns = [expected.columns[name].take(common) for name in key]
    codes, _ = group([(column.values, column.present) for column in columns], len(common))
    order = np.lexsort((partners, codes))
    # Every place of a key is above all places of the keys before it.
    number = np.cumsum(np.diff(codes[order], prepend=codes[order[:1]]) != 0)
    places = number * len(expected) + common[order]
    return np.sort(order[places < np.maximum.accumulate(places)])


def _first(codes: Ints, end: int) -> Ints:
    """Index of the first row of each code, -1: none."""
    found = np.full(end, -1, np.int64)
    found[codes[::-1]] = np.arange(len(codes))[::-1]
    return found


def _both(expected: Rows, found: Rows) -> tuple[tuple[Rows, Rows], tuple[Rows, Rows]]:
    return (expected, found), (found, expected)


def _none_like(other: Rows) -> Rows:
    return Rows(
        {
            name: Column(column.values[:0], None, column.words, column.show)
            for name, column in other.columns.items()
        }
    )


def _text(value: object) -> str:
    return "nothing" if value is None else f"{value!r}" if isinstance(value, float) else str(value)
