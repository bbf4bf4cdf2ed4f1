"""Which record of several streams is next."""

from backtest.replay.merge import Merge
from backtest.replay.source import Partition, Portion, Step


def step(number: int, *times: int, reached: int | None = None, first: int = 0) -> Step:
    records = [(time, None, f"{number}@{time}".encode()) for time in times]
    return Step([Portion.of(Partition("t", number), first, records)], reached or max(times, default=None))


def values(portions: list[Portion]) -> list[bytes | None]:
    return [one.values.value(row) for one in portions for row in range(len(one))]


def test_nothing_is_taken_beyond_what_is_known_of_all_streams() -> None:
    merge = Merge(2)
    merge.add(0, step(0, 1, 2, 9))
    merge.add(1, step(1, 3, 5))
    assert merge.horizon == 5
    assert values(merge.take()) == [b"0@1", b"0@2", b"1@3", b"1@5"]
    assert merge.wanting == [1]
    merge.end(1)
    assert values(merge.take()) == [b"0@9"]
    assert merge.newest_due == 9


def test_a_late_record_follows_what_it_stood_behind() -> None:
    merge = Merge(2)
    merge.add(0, step(0, 10, 3, 11))
    merge.add(1, step(1, 4, 20))
    assert values(merge.take(through=9)) == [b"1@4"]
    assert values(merge.take(through=10)) == [b"0@10", b"0@3"]


def test_steps_take_the_earliest_records_of_all_partitions() -> None:
    merge = Merge(2)
    merge.add(0, step(0, 1, 4, 5))
    merge.add(1, step(1, 2, 3, 6))
    assert values(merge.take(count=3)) == [b"0@1", b"1@2", b"1@3"]
    assert values(merge.take(count=1)) == [b"0@4"]
    assert merge.next_due == 5


def test_a_stream_that_is_past_the_period_holds_up_no_other_one() -> None:
    merge = Merge(2, until=100)
    merge.add(0, Step([], 150))
    merge.add(1, step(1, 1, 2))
    assert merge.lacking == []
    assert merge.wanting == [0]
    assert values(merge.take()) == [b"1@1", b"1@2"]
    merge.add(0, step(0, 50, reached=150))
    merge.end(1)
    assert values(merge.take()) == [b"0@50"]


def test_empty_steps_move_a_stream_on() -> None:
    merge = Merge(2)
    merge.add(0, Step([], 7))
    merge.add(1, step(1, 5, 9))
    assert merge.lacking == [0]
    assert values(merge.take()) == [b"1@5"]
