"""The pieces of a state: as pages, several states as one, and as bytes of arrays."""

from collections.abc import Iterable, Mapping

import msgspec
import numpy as np
import pytest

from processors.engine.pages import ALL, Page, load_pages, load_parts, pages_of, pages_of_parts
from processors.engine.snapshots import ForeignSnapshotError, read_snapshot, write_snapshot


class Small:
    """A state that is one page."""

    def __init__(self, held: bytes = b"") -> None:
        self.held = held

    def snapshot(self) -> bytes:
        return self.held

    def restore(self, snapshot: bytes) -> None:
        self.held = snapshot


class Large:
    """A state of pages by name."""

    def __init__(self, **held: bytes) -> None:
        self.held: dict[str, bytes] = held

    def pages(self) -> Iterable[Page]:
        return [Page(name, lambda name=name: self.held[name], name != "old") for name in self.held]  # type: ignore[misc]

    def load(self, pages: Mapping[str, bytes]) -> None:
        self.held = dict(pages)


def encoded(pages: Iterable[Page]) -> dict[str, bytes]:
    return {page.name: page.encode() for page in pages}


def test_a_small_state_is_one_page_and_a_large_one_those_that_it_names() -> None:
    assert encoded(pages_of(Small(b"x"))) == {ALL: b"x"}
    large = Large(old=b"1", new=b"2")
    assert [(page.name, page.changed) for page in pages_of(large)] == [("old", False), ("new", True)]
    small, other = Small(), Large()
    load_pages(small, {ALL: b"x"})
    load_pages(other, encoded(pages_of(large)))
    assert (small.held, other.held) == (b"x", {"old": b"1", "new": b"2"})


def test_states_that_are_one_together_do_not_see_each_others_pages() -> None:
    parts: dict[str, Small | Large] = {"a": Small(b"x"), "ab": Large(old=b"1"), "b": Large(new=b"2")}
    saved = encoded(pages_of_parts(parts))
    assert saved == {"a.": b"x", "ab.old": b"1", "b.new": b"2"}
    made: dict[str, Small | Large] = {"a": Small(), "ab": Large(), "b": Large()}
    load_parts(made, saved)
    assert [part.held for part in made.values()] == [part.held for part in parts.values()]


def test_a_state_whose_page_is_not_there_is_refused() -> None:
    with pytest.raises(ForeignSnapshotError, match="lacks this part"):
        load_pages(Small(), {"other": b"x"})
    with pytest.raises(ForeignSnapshotError, match="lacks this part"):
        load_parts({"a": Small()}, {"b.": b"x"})


class Rest(msgspec.Struct):
    """What is no array."""

    name: str


DIGEST = "d" * 32
ARRAYS = {"one": np.arange(6).reshape(2, 3), "none": np.zeros((0, 4), np.int64), "two": np.array([-1, 2**62])}


def written(digest: str = DIGEST) -> bytes:
    return write_snapshot(3, digest, ARRAYS, Rest("x"))


def test_arrays_and_the_rest_come_back_and_equal_states_are_equal_bytes() -> None:
    arrays, rest = read_snapshot(3, DIGEST, tuple(ARRAYS), Rest, written())
    assert rest == Rest("x")
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert np.array_equal(arrays[name], array)
        assert arrays[name].flags.writeable
    assert written() == written()


@pytest.mark.parametrize(
    ("version", "digest", "names", "data", "told"),
    [
        (4, DIGEST, tuple(ARRAYS), written(), "expected a snapshot of version 4"),
        (3, "e" * 32, tuple(ARRAYS), written(), "with parameters e"),
        (3, DIGEST, tuple(ARRAYS), b"XXXX" + written()[4:], "expected a snapshot"),
        (3, DIGEST, tuple(ARRAYS), written()[:47], "at least 48 bytes, got 47"),
        (3, DIGEST, tuple(ARRAYS), written()[:48], "damaged"),
        (3, DIGEST, tuple(ARRAYS), written()[:-1], "damaged"),
        (3, DIGEST, ("one", "two"), written(), "damaged"),
        (3, DIGEST, (*ARRAYS, "three"), written(), "damaged"),
    ],
)
def test_a_snapshot_of_others_or_a_damaged_one_is_refused_in_words(
    version: int, digest: str, names: tuple[str, ...], data: bytes, told: str
) -> None:
    with pytest.raises(ForeignSnapshotError, match=told):
        read_snapshot(version, digest, names, Rest, data)
