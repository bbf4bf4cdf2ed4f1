"""The archive sink over a store that fails at any call, before or after it was done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from infra.settings import ArchiveSettings, Settings
from schemas.errors import ConfigurationError, UnavailableError
from schemas.records import Record
from schemas.topics import TRADES
from sinks.archive.destination import ArchiveDestination, archived_topics, ranges_of
from sinks.archive.local_store import LocalStore
from sinks.destination import Log, MovedError
from sinks.portion import Portion, Slice
from tests.archive_harness import assert_whole, files_by_manifest
from tests.archive_records import slice_of
from tests.sink_harness import mark, trade

CALLS = ("put", "create", "get", "size", "move", "delete", "files")
HOUR_US = 3_600_000_000
LOG = Log("id", 0, 1_000)
SENT: list[Record] = [
    *(trade(number, time_us=1_700_000_000_000_000 + number * HOUR_US // 20) for number in range(30)),
    mark(5),
    *(trade(number) for number in range(30, 60)),
]
HALF = 31


class FailingStore(LocalStore):
    """Fails at one of its calls, which is counted down to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.left = -1
        self.done_first = False
        self.calls = 0

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in CALLS:
            return found

        def call(*arguments: Any) -> Any:
            self.calls += 1
            self.left -= 1
            fails = self.left == 0
            if fails and not self.done_first:
                raise UnavailableError("not done")
            result = found(*arguments)
            if fails:
                raise UnavailableError("done, and not answered")
            return result

        return call


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FailingStore:
    made = FailingStore(tmp_path / "0")
    # What it takes to have files on disk for good is of no account here, and takes most of the time.
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr("sinks.archive.destination.open_store", lambda _: made)
    return made


def destination() -> ArchiveDestination:
    return ArchiveDestination(Settings(archive=ArchiveSettings(topics=[TRADES.name])))


def portion_of(first: int, end: int) -> Portion:
    slice_: Slice = slice_of(TRADES, SENT[first:end], first=first, partition=0)
    return Portion([slice_])


async def kept(sink: ArchiveDestination, store: FailingStore, left: int) -> int:
    """Store all of it as the runner does; how often it failed."""
    failures = 0
    tp = TopicPartition(TRADES.name, 0)
    store.left = left

    async def again(work: Callable[[], Any], portion: Portion | None = None) -> None:
        nonlocal failures
        while True:
            try:
                await work()
            except Exception as error:
                if not sink.is_passing(error):
                    raise
                failures += 1
                if portion is not None:
                    portion.uncertain = True
            else:
                return

    await again(lambda: sink.place({tp: LOG}))
    for first, end in ((0, HALF), (HALF, len(SENT))):
        portion = portion_of(first, end)
        await again(lambda portion=portion: sink.store(portion), portion)  # type: ignore[misc]
    return failures


@pytest.mark.parametrize("done_first", [False, True], ids=["before", "after"])
async def test_a_store_that_fails_once_at_any_call_loses_and_doubles_nothing(
    store: FailingStore, tmp_path: Path, done_first: bool
) -> None:
    store.done_first = done_first
    left = 1
    while True:
        store._root = tmp_path / str(left)
        sink = destination()
        failures = await kept(sink, store, left)
        await sink.close()
        store.left = -1
        assert_whole(store, TRADES, {0: SENT})
        found = sorted(path.relative_to(store._root) for path in store._root.rglob("*.parquet"))
        assert [path.as_posix() for path in found] == files_by_manifest(store, TRADES)
        if not failures:
            break
        left += 1
    assert left > 10


async def test_what_is_stored_again_is_refused_unless_it_may_be_stored_already(store: FailingStore) -> None:
    sink = destination()
    await sink.place({TopicPartition(TRADES.name, 0): LOG})
    portion = portion_of(0, HALF)
    portion.slices[0].refuse([3], "because")
    await sink.store(portion)
    with pytest.raises(MovedError):
        await sink.store(portion)
    portion.uncertain = True
    await sink.store(portion)
    other = destination()
    places = await other.place({TopicPartition(TRADES.name, 0): LOG})
    assert places[TopicPartition(TRADES.name, 0)].offset == HALF
    await other.store(portion_of(HALF, len(SENT)))
    with pytest.raises(MovedError):
        await sink.store(portion_of(HALF, len(SENT)))
    late = portion_of(HALF, len(SENT))
    late.uncertain = True
    with pytest.raises(MovedError):
        await sink.store(late)
    for each in (sink, other):
        await each.close()
    assert_whole(store, TRADES, {0: [*SENT[:3], None, *SENT[4:]]})


def test_offsets_that_were_refused_stand_as_ranges() -> None:
    assert ranges_of([]) == []
    assert ranges_of([3, 4, 5, 9, 11, 12]) == [(3, 5), (9, 9), (11, 12)]


def test_a_topic_that_is_unknown_is_a_wrong_setting() -> None:
    assert TRADES in archived_topics([])
    with pytest.raises(ConfigurationError, match=r"archive.topics names market.trade.v1"):
        archived_topics(["market.trade.v1"])
