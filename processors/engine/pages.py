"""The pages of a state: named pieces of it, of which a checkpoint writes only those that have changed.

A state, or a part of one, offers one of two things. A small one is a `Part`: `snapshot()` gives all of it
as bytes, `restore()` takes them, and it is one page. A large one is `Paged`: it says itself which pages it
has and which of them have changed. Steps, and states made of several, take both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from processors.engine.snapshots import ForeignSnapshotError

ALL = ""
"""Name of the only page of a `Part`."""


class Page(NamedTuple):
    """A piece of a state.

    Attributes:
        name: Always the same for the same piece; short, as every checkpoint names all pages.
        encode: Gives its bytes, of any length, the same for the same content. From then on the page counts
            as unchanged: whoever calls it saves the bytes, or gives the state up.
        changed: False only if the bytes are for certain those that were last encoded or loaded.
    """

    name: str
    encode: Callable[[], bytes]
    changed: bool = True


@runtime_checkable
class Part(Protocol):
    """A state that is small enough to be encoded as a whole at every checkpoint."""

    def snapshot(self) -> bytes:
        """All of it; equal states give equal bytes, and small changes leave most bytes in place."""

    def restore(self, snapshot: bytes) -> None:
        """Replace it by that of a snapshot.

        Raises:
            ForeignSnapshotError: The bytes are of another version or of other parameters, or damaged.
        """


@runtime_checkable
class Paged(Protocol):
    """A state that knows which pieces of it have changed."""

    def pages(self) -> Iterable[Page]:
        """All pages that there are now; equal states have equal pages. Nothing else is done meanwhile."""

    def load(self, pages: Mapping[str, bytes]) -> None:
        """Take over saved pages, by name; called once, on a state just made. Reading one may take a while.

        Raises:
            ForeignSnapshotError: They are of another version or of other parameters, or damaged; the state
                is then of no further use.
        """


State = Part | Paged
"""What is computed from the records of one topic partition, or a part of it."""


def pages_of(state: State) -> Iterable[Page]:
    """The pages of a state."""
    if isinstance(state, Paged):
        return state.pages()
    return (Page(ALL, state.snapshot),)


def load_pages(state: State, pages: Mapping[str, bytes]) -> None:
    """Have a state just made take over what was saved.

    Raises:
        ForeignSnapshotError: It cannot be read, or a page is missing.
    """
    if isinstance(state, Paged):
        state.load(pages)
    elif ALL in pages:
        state.restore(pages[ALL])
    else:
        raise ForeignSnapshotError("the checkpoint lacks this part of the state; rebuild it from the log")


def pages_of_parts(parts: Mapping[str, State]) -> Iterator[Page]:
    """The pages of several states that together are one, by names without a dot."""
    for name, part in parts.items():
        for page in pages_of(part):
            yield page._replace(name=f"{name}.{page.name}")


def load_parts(parts: Mapping[str, State], pages: Mapping[str, bytes]) -> None:
    """The opposite of `pages_of_parts`.

    Raises:
        ForeignSnapshotError: One of them cannot be read.
    """
    for name, part in parts.items():
        load_pages(part, _Within(pages, f"{name}."))


class _Within(Mapping[str, bytes]):
    """The pages whose names begin with a prefix, by the rest of their names."""

    def __init__(self, pages: Mapping[str, bytes], prefix: str) -> None:
        self._pages, self._prefix = pages, prefix
        self._names = [name.removeprefix(prefix) for name in pages if name.startswith(prefix)]

    def __getitem__(self, name: str) -> bytes:
        return self._pages[self._prefix + name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
