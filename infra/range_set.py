"""Sets of 64-bit ids kept as ranges: what has been seen of a sequence that is nearly dense.

A market's trades carry ascending ids with few holes, so "all ids seen" is a handful of ranges however many
trades there were. One class serves the session (which ids are missing), the agents and the sinks (which are
repeats).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

ID_MAX: Final = 2**63 - 2
"""The largest id: the end of a range is exclusive and must fit a signed 64-bit integer as well."""
ID_MIN: Final = -(2**63)

_RANGE_TEXT = re.compile(r"\[(-?\d+),(-?\d+)\)")


class RangeSet:
    """A mutable set of int64 ids, as sorted, disjoint, never adjacent ranges [start, stop).

    Size policy: memory and time grow with the number of ranges, not of ids. Where ids are not dense, `trim`
    bounds the ranges by forgetting the lowest; `floor` then says from where on the set is complete. Below the
    floor an id that is absent may have been seen: the caller has to ask elsewhere (the sinks ask the table),
    never to drop it.

    Not safe for several threads at once.
    """

    __slots__ = ("_starts", "_stops", "floor")

    def __init__(self, ranges: Iterable[tuple[int, int]] = (), floor: int = ID_MIN) -> None:
        """Make a set of `ranges` (start, stop), stop exclusive, in any order, overlapping or not.

        Raises:
            ValueError: A range's stop is before its start, or beyond 64 bits.
        """
        pairs = list(ranges)
        for start, stop in pairs:
            if stop < start or start < ID_MIN or stop > ID_MAX + 1:
                raise ValueError(f"expected a range of 64-bit ids [start, stop), got [{start}, {stop})")
        kept = [pair for pair in pairs if pair[0] < pair[1]]
        starts = np.array([start for start, _ in kept], dtype=np.int64)
        stops = np.array([stop for _, stop in kept], dtype=np.int64)
        self._starts, self._stops = _merged(starts, stops)
        self.floor = floor

    @classmethod
    def from_multirange(cls, text: str, floor: int = ID_MIN) -> RangeSet:
        """Read PostgreSQL's text of an `int8multirange`, for example `{[1,5),[7,9)}`.

        Raises:
            ValueError: The text is not a multirange of bounded ranges.
        """
        pairs = [(int(start), int(stop)) for start, stop in _RANGE_TEXT.findall(text)]
        if "{" + ",".join(f"[{start},{stop})" for start, stop in pairs) + "}" != text:
            raise ValueError(f"expected an int8multirange such as {{[1,5),[7,9)}}, got {text[:80]!r}")
        return cls(pairs, floor)

    def to_multirange(self) -> str:
        """The set as PostgreSQL's text of an `int8multirange`."""
        pairs = zip(self._starts.tolist(), self._stops.tolist(), strict=True)
        return "{" + ",".join(f"[{start},{stop})" for start, stop in pairs) + "}"

    def copy(self) -> RangeSet:
        """An independent copy; cheap, the arrays are shared until one of the two changes."""
        twin = RangeSet.__new__(RangeSet)
        twin._starts, twin._stops, twin.floor = self._starts, self._stops, self.floor
        return twin

    def add(self, id_: int) -> bool:
        """Add one id; true if it was new."""
        if id_ in self:
            return False
        self.add_range(id_, id_ + 1)
        return True

    def add_range(self, start: int, stop: int) -> None:
        """Add every id of [start, stop).

        Raises:
            ValueError: The stop is before the start, or beyond 64 bits.
        """
        self.update(RangeSet([(start, stop)]))

    def add_sorted_array(self, ids: Ids) -> Mask:
        """Add ids that ascend (equal neighbours allowed).

        Args:
            ids: int64[n], ascending.

        Returns:
            bool[n], true where the id was new; of equal neighbours only the first.

        Raises:
            ValueError: The ids do not ascend, or one is above `ID_MAX`.
        """
        count = len(ids)
        if count == 0:
            return np.zeros(0, dtype=np.bool_)
        first, last = int(ids[0]), int(ids[-1])
        if last > ID_MAX:
            raise ValueError(f"expected ids of at most {ID_MAX}, got {last}")
        steps = ids[1:] - ids[:-1]
        if (steps == 1).all():
            fresh = self._extend(first, last + 1, count)
            if fresh is not None:
                return fresh
        if (ids[1:] < ids[:-1]).any():
            raise ValueError("expected ascending ids")
        new = ~self.contains_array(ids)
        new[1:] &= steps != 0
        added = ids[new]
        if len(added):
            breaks = np.flatnonzero(added[1:] - added[:-1] != 1)
            starts = added[np.concatenate(([0], breaks + 1))]
            stops = added[np.concatenate((breaks, [len(added) - 1]))] + 1
            self._absorb(starts, stops)
        return new

    def _extend(self, start: int, stop: int, count: int) -> Mask | None:
        """The common case, a run behind everything seen; None if it is not that case."""
        if not self.append(np.array([start], np.int64), np.array([stop], np.int64)):
            return None
        return np.ones(count, dtype=np.bool_)

    def append(self, starts: Ids, stops: Ids) -> bool:
        """Add ranges behind everything seen; false, and nothing is added, where the first begins before.

        Args:
            starts: int64[n], ascending, n at least 1.
            stops: int64[n], exclusive; each below the next start.
        """
        touching = False
        if len(self._stops):
            end = self._stops[-1]
            if starts[0] < end:
                return False
            touching = bool(starts[0] == end)
        if touching:
            self._starts = np.concatenate((self._starts, starts[1:])) if len(starts) > 1 else self._starts
            self._stops = np.concatenate((self._stops[:-1], stops))
        else:
            self._starts = np.concatenate((self._starts, starts))
            self._stops = np.concatenate((self._stops, stops))
        return True

    def update(self, other: RangeSet) -> None:
        """Add every id of `other`; the floor becomes the higher of the two."""
        self._absorb(other._starts, other._stops)
        self.floor = max(self.floor, other.floor)

    def union(self, other: RangeSet) -> RangeSet:
        """A new set of the ids of both."""
        result = self.copy()
        result.update(other)
        return result

    def _absorb(self, starts: Ids, stops: Ids) -> None:
        self._starts, self._stops = _merged(
            np.concatenate((self._starts, starts)), np.concatenate((self._stops, stops))
        )

    def contains_array(self, ids: Ids) -> Mask:
        """bool[n]: which of the ids (in any order) are in the set."""
        if len(self._starts) == 0:
            return np.zeros(len(ids), dtype=np.bool_)
        at = np.searchsorted(self._starts, ids, side="right") - 1
        inside: Mask = (at >= 0) & (ids < self._stops[np.maximum(at, 0)])
        return inside

    def __contains__(self, id_: int) -> bool:
        at = int(np.searchsorted(self._starts, id_, side="right")) - 1
        return at >= 0 and id_ < int(self._stops[at])

    def holes(self) -> list[tuple[int, int]]:
        """The ranges [start, stop) missing between the lowest and the highest id, ascending."""
        return list(zip(self._stops[:-1].tolist(), self._starts[1:].tolist(), strict=True))

    def trim(self, ranges_max: int) -> None:
        """Forget the lowest ranges until at most `ranges_max` are left, and raise the floor accordingly.

        Raises:
            ValueError: `ranges_max` is below 1.
        """
        if ranges_max < 1:
            raise ValueError(f"expected room for at least one range, got {ranges_max}")
        if len(self._starts) > ranges_max:
            self.floor = max(self.floor, int(self._stops[-ranges_max - 1]))
            self._starts = self._starts[-ranges_max:]
            self._stops = self._stops[-ranges_max:]

    def __len__(self) -> int:
        """Number of ids in the set."""
        return sum(stop - start for start, stop in self)

    def __bool__(self) -> bool:
        return len(self._starts) > 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """The ranges [start, stop), ascending."""
        return zip(self._starts.tolist(), self._stops.tolist(), strict=True)

    @property
    def range_count(self) -> int:
        """Number of ranges: what the set costs."""
        return len(self._starts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RangeSet):
            return NotImplemented
        same = np.array_equal(self._starts, other._starts) and np.array_equal(self._stops, other._stops)
        return same and self.floor == other.floor

    __hash__ = None  # type: ignore[assignment] # mutable

    def __repr__(self) -> str:
        return f"RangeSet({self.to_multirange()}{'' if self.floor == ID_MIN else f', floor={self.floor}'})"


def _merged(starts: Ids, stops: Ids) -> tuple[Ids, Ids]:
    """Sort ranges and join those that overlap or touch."""
    if len(starts) < 2:
        return starts, stops
    order = np.argsort(starts, kind="stable")
    starts, reach = starts[order], np.maximum.accumulate(stops[order])
    opens = np.concatenate(([True], starts[1:] > reach[:-1]))
    closes = np.concatenate((opens[1:], [True]))
    return starts[opens], reach[closes]
