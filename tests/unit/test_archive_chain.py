"""Chains of manifests: whatever stops, and whoever comes second, each record counts once."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from infra.settings import ArchiveSettings, Settings
from schemas.errors import ConfigurationError, UnavailableError
from sinks.archive.catalogue import holding, manifests, partitions
from sinks.archive.chain import Chain
from sinks.archive.local_store import LocalStore
from sinks.archive.manifest import BrokenArchiveError, DataFile, PartitionId, as_name
from sinks.archive.store import Store, open_store
from sinks.destination import MovedError
from tests.archive_harness import s3_server, s3_settings

ID = PartitionId("topic", "id", 3)


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(params=["disk", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "disk":
        return LocalStore(tmp_path / "archive")
    return open_store(Settings(archive=s3_settings(request.getfixturevalue("s3"), tmp_path.name)))


def file_of(first: int, last: int, writer: str) -> tuple[DataFile, bytes]:
    data = f"{first} {last} {writer}".encode()
    name = f"record=trade/date=1970-01-01/hour=00/00003-{first}-{last}-{writer}.parquet"
    digest = hashlib.sha256(data).hexdigest()
    return DataFile(name, "trade", last - first + 1, len(data), digest, first, last, first, last), data


def keep(chain: Chain, count: int, writer: str) -> None:
    """What the sink does with a portion."""
    first = chain.head.next_offset
    file, data = file_of(first, first + count - 1, writer)
    chain.stage(file, data)
    chain.commit(first + count, [file])
    chain.settle()


def present(store: Store) -> list[str]:
    return sorted(path for path, _ in store.files("topic") if "record=" in path)


def counted(store: Store) -> list[str]:
    return sorted(ID.final(file) for manifest in manifests(store, ID) for file in manifest.files)


def test_a_store_keeps_whole_files_under_names_that_one_may_have(store: Store) -> None:
    assert store.get("a/b") is None
    assert store.size("a/b") is None
    assert list(store.files("a")) == []
    assert store.folders("a") == []
    assert store.folders("") == []
    store.put("a/b", b"1")
    store.put("a/b", b"22")
    assert store.create("a/c/d", b"333")
    assert not store.create("a/c/d", b"4444")
    assert store.get("a/c/d") == b"333"
    assert store.size("a/b") == 2
    assert sorted(store.files("a")) == [("a/b", 2), ("a/c/d", 3)]
    assert store.folders("") == ["a"]
    assert store.folders("a") == ["c"]
    assert store.move("a/b", "x/y/z")
    assert not store.move("a/b", "x/y/z")
    assert store.get("a/b") is None
    assert store.get("x/y/z") == b"22"
    store.delete("x/y/z")
    store.delete("x/y/z")
    assert store.get("x/y/z") is None


def test_of_many_that_create_a_file_one_does(store: Store) -> None:
    barrier = threading.Barrier(8)

    def create(number: int) -> bool:
        barrier.wait()
        return store.create("one", b"%d" % number)

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(create, range(8)))
    assert sum(results) == 1
    assert store.get("one") == b"%d" % results.index(True)


def test_positions_move_with_what_counts(store: Store) -> None:
    chain = Chain(store, ID, "a")
    assert chain.find() is None
    assert chain.begin(40) == 40
    for _ in range(11):
        keep(chain, 10, "a")
    # Another process finds the end of the chain, whatever its length.
    other = Chain(store, ID, "b")
    assert other.begin(0) == 150
    keep(other, 10, "b")
    held = holding(store, ID)
    assert (held.first_offset, held.head.next_offset, held.head.number) == (40, 160, 12)
    assert (held.rows, held.files, held.times) == (120, 12, (40, 159))
    assert present(store) == counted(store)
    assert partitions(store) == [ID]


def test_who_comes_second_keeps_nothing_and_leaves_nothing(store: Store) -> None:
    stalled, other = Chain(store, ID, "a"), Chain(store, ID, "b")
    stalled.begin(0)
    other.begin(0)
    file, data = file_of(0, 9, "a")
    stalled.stage(file, data)
    keep(other, 5, "b")
    with pytest.raises(MovedError):
        stalled.commit(10, [file])
    assert list(store.files(ID.staging)) == []
    assert present(store) == counted(store)
    assert stalled.begin(0) == 5


def test_a_fence_keeps_a_process_from_naming_files_that_were_removed(store: Store) -> None:
    stalled = Chain(store, ID, "a")
    stalled.begin(0)
    file, data = file_of(0, 9, "a")
    stalled.stage(file, data)
    # Stopped here; another process takes over, and removes what does not count.
    other = Chain(store, ID, "b")
    assert other.begin(0) == 0
    assert list(store.files(ID.staging)) == []
    with pytest.raises(MovedError):
        stalled.commit(10, [file])
    keep(other, 5, "b")
    assert [manifest.kind for manifest in manifests(store, ID)] == ["start", "fence", "records"]
    assert present(store) == counted(store)


def test_what_a_kill_left_half_written_is_removed_after_a_fence(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    killed = Chain(store, ID, "a")
    killed.begin(0)
    keep(killed, 5, "a")
    file, data = file_of(5, 9, "a")
    others = PartitionId("topic", "id", 4)
    torn = [ID.staged(file), ID.manifest(2), others.manifest(0)]
    made = []
    for path in torn:
        whole = tmp_path / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        made.append(whole.with_name(f".{whole.name}.0123abcd.tmp"))
        made[-1].write_bytes(data[:3])
    assert Chain(store, ID, "b").begin(0) == 5
    assert [path.exists() for path in made] == [False, False, True]
    assert [manifest.kind for manifest in manifests(store, ID)] == ["start", "records", "fence"]
    with pytest.raises(MovedError):
        keep(killed, 5, "a")


def test_who_lost_what_it_was_writing_tries_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path)
    fsync = os.fsync

    def taken_away(number: int) -> None:
        fsync(number)
        for path in store.unfinished("a"):
            store.delete(path)

    monkeypatch.setattr(os, "fsync", taken_away)
    for write in (store.put, store.create):
        with pytest.raises(UnavailableError, match="fails at a/b"):
            write("a/b", b"1")


def test_a_process_killed_before_its_files_have_their_names_is_mended_by_the_next(store: Store) -> None:
    killed = Chain(store, ID, "a")
    killed.begin(0)
    file, data = file_of(0, 9, "a")
    killed.stage(file, data)
    killed.commit(10, [file])
    assert present(store) == []
    assert Chain(store, ID, "b").begin(0) == 10
    assert present(store) == counted(store) == [ID.final(file)]
    # And if it was not dead, but stalled, it finds its work done.
    killed.settle()
    assert store.get(ID.final(file)) == data


def test_a_commit_whose_answer_was_lost_has_happened(tmp_path: Path) -> None:
    class Deaf(LocalStore):
        """Hears the first answer to `create` never, as an object store that repeats a request by itself."""

        def create(self, path: str, data: bytes) -> bool:
            super().create(path, data)
            return super().create(path, data)

    store = Deaf(tmp_path)
    chain = Chain(store, ID, "a")
    assert chain.begin(0) == 0
    keep(chain, 10, "a")
    assert chain.head.next_offset == 10
    assert present(store) == counted(store)
    assert len(present(store)) == 1


def test_what_was_accepted_as_lost_stands_in_the_chain(store: Store) -> None:
    chain = Chain(store, ID, "a")
    chain.begin(0)
    keep(chain, 10, "a")
    chain.skip(50)
    keep(chain, 10, "a")
    steps = [(m.kind, m.first_offset, m.next_offset) for m in manifests(store, ID)]
    assert steps == [("start", 0, 0), ("records", 0, 10), ("loss", 10, 50), ("records", 50, 60)]


def test_a_manifest_that_is_gone_or_damaged_is_told(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    chain = Chain(store, ID, "a")
    chain.begin(0)
    for _ in range(3):
        keep(chain, 10, "a")
    data = store.get(ID.manifest(1)) or b""
    store.delete(ID.manifest(1))
    with pytest.raises(BrokenArchiveError, match="gone"):
        list(manifests(store, ID))
    store.put(ID.manifest(1), data[:50])
    with pytest.raises(BrokenArchiveError, match="no manifest"):
        list(manifests(store, ID))
    store.put(ID.manifest(1), data.replace(b'"version": 1', b'"version": 2'))
    with pytest.raises(BrokenArchiveError, match="version 2"):
        list(manifests(store, ID))


def test_a_full_disk_may_pass_and_a_forbidden_folder_does_not(tmp_path: Path) -> None:
    class Failing(LocalStore):
        number = 28

        def _sync(self, path: Path) -> None:  # type: ignore[override]
            raise OSError(self.number, "No space left on device")

    store = Failing(tmp_path / "archive")
    with pytest.raises(UnavailableError, match="No space left"):
        store.put("a", b"1")
    store.number = 13
    with pytest.raises(ConfigurationError, match="may this user write"):
        store.put("a", b"1")
    assert [path for path in tmp_path.rglob("*") if path.suffix == ".tmp"] == []


def test_a_bucket_that_is_not_there_is_a_wrong_setting(s3: str) -> None:
    settings = s3_settings(s3, "x")
    wrong = settings.model_copy(update={"url": "s3://nobody/x"})
    with pytest.raises(ConfigurationError, match="bucket"):
        open_store(Settings(archive=wrong)).put("a", b"1")
    away = settings.model_copy(update={"endpoint": "http://127.0.0.1:9"})
    with pytest.raises(UnavailableError):
        open_store(Settings(archive=away)).put("a", b"1")


def test_googles_store_is_made_and_a_key_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    settings = ArchiveSettings(url="gs://bucket/prefix")
    assert open_store(Settings(archive=settings)).address("x") == "gs://bucket/prefix/x"
    wrong = settings.model_copy(update={"service_account": tmp_path / "none.json"})
    with pytest.raises(ConfigurationError, match="Unable to open service account file"):
        open_store(Settings(archive=wrong))


@pytest.mark.parametrize("url", ["/tmp/x", "http://x/y", "s3://", "file://x"])
def test_a_place_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="an archive is at"):
        ArchiveSettings(url=url)


def test_without_a_url_the_archive_lies_in_the_data_directory(tmp_path: Path) -> None:
    store = open_store(Settings(data_dir=tmp_path / "a b"))
    store.put("x", b"1")
    assert (tmp_path / "a b" / "archive" / "x").read_bytes() == b"1"
    assert store.address("x") == (tmp_path / "a b" / "archive" / "x").as_uri()


def test_kafkas_ids_are_names_of_folders() -> None:
    assert as_name("a/b+c") == "a_b-c"


def test_the_lacking_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(name: str, *rest: Any) -> Any:
        return None

    monkeypatch.setattr("importlib.util.find_spec", lacking)
    with pytest.raises(ConfigurationError, match=r"\.\[archive\]"):
        open_store(Settings())
