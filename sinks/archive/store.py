"""Where files are kept: the few operations that the archive is built on, for disks and for object stores."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from infra.extras import missing
from infra.settings import Settings


class Store(ABC):
    """Files by path, relative to the archive's root, with `/` between names. All calls block.

    What is written is whole or absent, and on disk (or with the provider) when a call returns. All calls
    raise `UnavailableError` for what may pass, `ConfigurationError` for what will not.

    Attributes:
        url: The archive's root.
    """

    url: str

    @abstractmethod
    def put(self, path: str, data: bytes) -> None:
        """Write a file, over the one that may be there."""

    @abstractmethod
    def create(self, path: str, data: bytes) -> bool:
        """Write a file unless there is one of its name; of many that try, one gets true.

        An object store may repeat a request whose answer was lost: then false may mean that it was us.
        """

    @abstractmethod
    def get(self, path: str) -> bytes | None:
        """The bytes of a file, None if there is none."""

    @abstractmethod
    def size(self, path: str) -> int | None:
        """Bytes of a file, None if there is none."""

    @abstractmethod
    def move(self, source: str, target: str) -> bool:
        """Give a file another name, over the one that may have it; false: there is no such file.

        On an object store it has both names for a moment.
        """

    @abstractmethod
    def delete(self, path: str) -> None:
        """Remove a file; that there is none is fine."""

    @abstractmethod
    def files(self, folder: str) -> Iterator[tuple[str, int]]:
        """Path and size of all files below a folder, in no order; none where there is no such folder."""

    def unfinished(self, folder: str) -> list[str]:
        """Paths in a folder of what is being written, or never will be, as its process was killed."""
        return []

    @abstractmethod
    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder, sorted; none where there is no such folder."""

    def address(self, path: str) -> str:
        """What other programs read a file by."""
        return f"{self.url}/{path}"


def archive_url(settings: Settings) -> str:
    """Where the archive is."""
    return settings.archive.url or (settings.data_dir / "archive").absolute().as_uri()


def open_store(settings: Settings) -> Store:
    """The store that the settings name; connects to nothing yet.

    Raises:
        ConfigurationError: What the archive needs is not installed, or the store refuses its settings.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise missing("the archive", "pyarrow", "archive")
    url = archive_url(settings)
    if url.startswith("file://"):
        from sinks.archive.local_store import LocalStore

        return LocalStore(Path(url2pathname(urlsplit(url).path)))
    if importlib.util.find_spec("obstore") is None:
        raise missing(f"an archive at {url}", "obstore", "archive")
    from sinks.archive.object_store import ObjectStore

    return ObjectStore(url, settings.archive)
