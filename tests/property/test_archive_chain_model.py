"""Two writers of one partition, step by step in any order, killed anywhere: each offset counts once.

A step is one call to the store, which is whole or not done, as with disks and object stores.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sinks.archive.catalogue import manifests
from sinks.archive.chain import Chain
from sinks.archive.manifest import DataFile, PartitionId
from sinks.archive.store import Store
from sinks.archive.verification import verify_topic
from sinks.destination import MovedError

ID = PartitionId("topic", "id", 0)
END = 12
WRITERS = "ab"


class Killed(BaseException):
    """The process is no more."""


class MemoryStore(Store):
    """Files in a dictionary."""

    url = "memory://"

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def put(self, path: str, data: bytes) -> None:
        self.held[path] = data

    def create(self, path: str, data: bytes) -> bool:
        return self.held.setdefault(path, data) is data

    def get(self, path: str) -> bytes | None:
        return self.held.get(path)

    def size(self, path: str) -> int | None:
        return len(self.held[path]) if path in self.held else None

    def move(self, source: str, target: str) -> bool:
        if source not in self.held:
            return False
        self.held[target] = self.held.pop(source)
        return True

    def delete(self, path: str) -> None:
        self.held.pop(path, None)

    def files(self, folder: str) -> Iterator[tuple[str, int]]:
        return iter([(path, len(data)) for path, data in self.held.items() if path.startswith(f"{folder}/")])

    def folders(self, folder: str) -> list[str]:
        inside = [path.removeprefix(f"{folder}/") for path in self.held if path.startswith(f"{folder}/")]
        return sorted({path.split("/")[0] for path in inside if "/" in path})


class Stepped(MemoryStore):
    """The same files, by one writer whose every call waits for its turn."""

    def __init__(self, held: dict[str, bytes]) -> None:
        super().__init__()
        self.held = held
        self.alive = True
        self.ended = False
        self.error: Exception | None = None
        self._turn, self._done = threading.Semaphore(0), threading.Semaphore(0)

    def step(self) -> None:
        """Let it make one call; or end, if it has made them all."""
        self._turn.release()
        assert self._done.acquire(timeout=20)

    def run(self, work: Callable[[Store], None]) -> threading.Thread:
        def whole() -> None:
            try:
                work(self)
                self._turn.acquire()
            except Killed:
                pass
            except Exception as error:
                self.error = error
            self.ended = True
            self._done.release()

        thread = threading.Thread(target=whole)
        thread.start()
        return thread

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in {"put", "create", "get", "size", "move", "delete", "files", "folders"}:
            return found

        def in_turn(*arguments: Any) -> Any:
            self._turn.acquire()
            if not self.alive:
                raise Killed
            result = found(*arguments)
            self._done.release()
            return result

        return in_turn


def data_file(first: int, last: int, writer: str, hour: int) -> tuple[DataFile, bytes]:
    data = f"{first} {last} {writer}".encode()
    path = f"record=trade/date=1970-01-01/hour={hour:02d}/00000-{first}-{last}-{writer}.parquet"
    digest = hashlib.sha256(data).hexdigest()
    return DataFile(path, "trade", last - first + 1, len(data), digest, first, last, first, last), data


def archive_all(store: Store, writer: str, portion: int) -> None:
    """What a sink does until its end of the log, as long as it is let."""
    chain = Chain(store, ID, writer)
    position = chain.begin(0)
    while position < END:
        following = min(position + portion, END)
        files = []
        for hour, (first, last) in enumerate(((position, position), (position + 1, following - 1))):
            if first <= last:
                file, data = data_file(first, last, writer, hour)
                chain.stage(file, data)
                files.append(file)
        try:
            chain.commit(following, files)
            chain.settle()
            position = following
        except MovedError:
            position = chain.begin(0)


def assert_nothing_besides(held: dict[str, bytes]) -> None:
    """What has a final name is named by a manifest: readers by pattern see nothing that does not count."""
    store = MemoryStore()
    store.held = held
    present = {path for path in held if "/record=" in path}
    assert present <= {ID.final(file) for manifest in manifests(store, ID) for file in manifest.files}


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9)), max_size=30),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
)
def test_each_offset_counts_once_whatever_happens(
    schedule: list[tuple[int, int]], portions: tuple[int, int]
) -> None:
    held: dict[str, bytes] = {}
    names = iter("abcdefghijklmnopqrstuvwxyz" * 9)
    writers: list[Stepped] = []
    everyone: list[Stepped] = []
    threads = []

    def start(place: int) -> None:
        writers[place:] = [Stepped(held), *writers[place + 1 :]]
        writer, portion = next(names), portions[place]
        everyone.append(writers[place])
        threads.append(writers[place].run(lambda store: archive_all(store, writer, portion)))

    try:
        for place in (0, 1):
            start(place)
        for place, steps in schedule:
            if steps == 0:  # killed here, and begun again
                if not writers[place].ended:
                    writers[place].alive = False
                    writers[place].step()
                start(place)
            for _ in range(steps):
                if not writers[place].ended:
                    writers[place].step()
                    assert_nothing_besides(held)
        # One of them never wakes up again; the other comes to the end.
        while not writers[1].ended:
            writers[1].step()
            assert_nothing_besides(held)
    finally:
        for stepped in writers:
            if not stepped.ended:
                stepped.alive = False
                stepped.step()
        for thread in threads:
            thread.join(20)
    assert [stepped.error for stepped in everyone if stepped.error] == []

    store = MemoryStore()
    store.held = held
    assert Chain(store, ID, "last").begin(0) == END
    counted = [file for manifest in manifests(store, ID) for file in manifest.files]
    offsets = [number for file in counted for number in range(file.first_offset, file.last_offset + 1)]
    assert sorted(offsets) == list(range(END))
    assert {path for path in held if "/record=" in path} == {ID.final(file) for file in counted}
    assert not [path for path in held if "/_staging/" in path]
    (found,) = verify_topic(store, [ID], deep=False)
    assert found.problems == []
