"""A folder as the archive's store. What it returns from is on disk: files and folders are synced."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from schemas.errors import ConfigurationError, UnavailableError
from sinks.archive.store import Store

PASSING: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ENOENT}
)
"""Errors that may pass: full; a disk or a mount that is away; somebody has removed what we were writing."""
SUFFIX: Final = ".tmp"


class LocalStore(Store):
    """Files in a folder.

    Args:
        root: The folder; made when something is written.
    """

    def __init__(self, root: Path) -> None:
        self.url = root.as_uri()
        self._root = root

    def put(self, path: str, data: bytes) -> None:
        """Write beside it, sync, rename."""
        with self._reaching(path), self._written(path, data) as made:
            made.replace(self._root / path)
            self._sync(self._root / path)

    def create(self, path: str, data: bytes) -> bool:
        """Write beside it, sync, link: that fails where the name is taken."""
        with self._reaching(path), self._written(path, data) as made:
            try:
                (self._root / path).hardlink_to(made)
            except FileExistsError:
                return False
            self._sync(self._root / path)
        return True

    def get(self, path: str) -> bytes | None:
        """Read a file."""
        with self._reaching(path):
            try:
                return (self._root / path).read_bytes()
            except FileNotFoundError:
                return None

    def size(self, path: str) -> int | None:
        """Ask for its size."""
        with self._reaching(path):
            try:
                return (self._root / path).stat().st_size
            except FileNotFoundError:
                return None

    def move(self, source: str, target: str) -> bool:
        """Rename it."""
        with self._reaching(target):
            self._make_folder((self._root / target).parent)
            try:
                (self._root / source).replace(self._root / target)
            except FileNotFoundError:
                return False
            self._sync(self._root / target)
        return True

    def delete(self, path: str) -> None:
        """Unlink it."""
        with self._reaching(path):
            (self._root / path).unlink(missing_ok=True)

    def files(self, folder: str) -> Iterator[tuple[str, int]]:
        """Walk the folder; files that are being written are passed over."""
        with self._reaching(folder):
            for found in sorted((self._root / folder).rglob("*")):
                with contextlib.suppress(FileNotFoundError):
                    if found.suffix != SUFFIX and found.is_file():
                        yield found.relative_to(self._root).as_posix(), found.stat().st_size

    def unfinished(self, folder: str) -> list[str]:
        """List the files beside those that they were to become."""
        with self._reaching(folder):
            found = (self._root / folder).glob(f".*{SUFFIX}")
            return sorted(path.relative_to(self._root).as_posix() for path in found)

    def folders(self, folder: str) -> list[str]:
        """List the folder."""
        with self._reaching(folder):
            try:
                return sorted(found.name for found in (self._root / folder).iterdir() if found.is_dir())
            except FileNotFoundError:
                return []

    @contextlib.contextmanager
    def _reaching(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            said = f"the archive in {self._root} fails at {path}: {error.strerror or error}"
            if error.errno in PASSING:
                raise UnavailableError(said) from error
            raise ConfigurationError(f"{said}; may this user write there?") from error

    @contextlib.contextmanager
    def _written(self, path: str, data: bytes) -> Iterator[Path]:
        target = self._root / path
        self._make_folder(target.parent)
        made = target.with_name(f".{target.name}.{secrets.token_hex(4)}{SUFFIX}")
        try:
            with made.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield made
        finally:
            made.unlink(missing_ok=True)

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, each known to the one above when this returns."""
        if not folder.is_dir():
            if folder != self._root:
                self._make_folder(folder.parent)
            folder.mkdir(parents=True, exist_ok=True)
            self._sync(folder)

    @staticmethod
    def _sync(path: Path) -> None:
        """A new name is on disk when the folder that holds it is."""
        number = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
