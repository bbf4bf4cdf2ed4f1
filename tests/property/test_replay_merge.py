"""However steps come and records are taken, each partition keeps its order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backtest.replay.merge import Merge
from backtest.replay.source import Partition, Portion, Step

TIMES = st.lists(st.integers(0, 40), max_size=6)


@st.composite
def streams(draw: st.DrawFn) -> list[list[list[tuple[int, list[int]]]]]:
    """Streams of steps of portions: (partition, times); each stream has partitions of its own."""
    found = []
    for number in range(draw(st.integers(1, 4))):
        own = [2 * number, 2 * number + 1]
        steps = st.lists(st.tuples(st.sampled_from(own), TIMES), max_size=2, unique_by=lambda part: part[0])
        found.append(draw(st.lists(steps, max_size=5)))
    return found


def portion(number: int, first: int, times: list[int]) -> Portion:
    records = [(time, None, f"{number}/{first + i}".encode()) for i, time in enumerate(times)]
    return Portion.of(Partition("t", number), first, records)


def reached(steps: list[list[tuple[int, list[int]]]]) -> int | None:
    return max((time for step in steps for _, times in step for time in times), default=None)


@given(plan=streams(), until=st.none() | st.integers(0, 40), data=st.data())
def test_every_way_of_taking_keeps_partitions_in_order(
    plan: list[list[list[tuple[int, list[int]]]]], until: int | None, data: st.DataObject
) -> None:
    merge = Merge(len(plan), until)
    given_: dict[int, list[bytes]] = {}
    taken: dict[int, list[bytes]] = {}
    last_due = -1
    places = [0] * len(plan)
    while not merge.is_done:
        for index in merge.wanting:
            if index not in merge.lacking and data.draw(st.booleans()) and merge.next_due is not None:
                continue  # one that is past may bring its step later
            if places[index] == len(plan[index]):
                merge.end(index)
                continue
            step = plan[index][places[index]]
            places[index] += 1
            portions = []
            for number, times in step:
                values = given_.setdefault(number, [])
                portions.append(portion(number, len(values), times))
                values += [portions[-1].values.value(row) or b"" for row in range(len(times))]
            merge.add(index, Step(portions, reached(plan[index][: places[index]])))
        if merge.lacking or merge.next_due is None:
            continue
        through = data.draw(st.none() | st.integers(merge.next_due, 41))
        count = data.draw(st.none() | st.integers(1, 5))
        found = merge.take(through, count)
        assert count is None or sum(map(len, found)) <= count
        assert found, "what is due can be taken"
        for part in found:
            values = [part.values.value(row) or b"" for row in range(len(part))]
            taken.setdefault(part.partition.number, []).extend(values)
        newest = merge.newest_due
        assert newest is not None
        # Only what comes of streams that are past can be older than what was taken before.
        assert until is not None or newest >= last_due
        last_due = newest
    assert taken == {number: values for number, values in given_.items() if values}
