"""The second layer of the cache: a folder of files that outlives the process."""

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from infra.logging import get_logger
from infra.resilience.cache_key import context_of

FILES_OF_CONTEXT: Final = 1_000
"""More are cut to half of that, the oldest first."""

logger = get_logger(__name__)


class Entry(msgspec.Struct):
    """A cached value.

    Attributes:
        key: Its whole key.
        stored_s: When it was stored, s since the epoch.
        ttl_s: How long it is fresh from then, s.
        value: What JSON can say.
    """

    key: str
    stored_s: float
    ttl_s: float
    value: Any


class LocalStore:
    """Values as JSON, a file each, in a folder for each context; shared by processes of one user.

    A folder that cannot be read or written, or a file that is not one of ours, is as good as none: a cache
    must never be the reason that a call fails.

    Args:
        folder: Made when the first value is stored.
        wall: Wall clock, s since the epoch.
    """

    def __init__(self, folder: Path, wall: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._wall = wall

    async def get(self, key: str) -> tuple[Any, float] | None:
        """A fresh value and the seconds that it stays so; reads a file, off the event loop."""
        entry = await asyncio.to_thread(self._read, key)
        if entry is None or entry.key != key:
            return None
        age_s = self._wall() - entry.stored_s
        # A clock that was set back makes files of the future: their age is unknown.
        return (entry.value, entry.ttl_s - age_s) if 0 <= age_s < entry.ttl_s else None

    async def put(self, key: str, value: Any, ttl_s: float) -> None:
        """Store a value in place of an older one; writes a file, off the event loop."""
        await asyncio.to_thread(self._write, Entry(key, self._wall(), ttl_s, value))

    async def drop(self, context: str) -> int:
        """Remove all values of a context; returns how many there were."""
        return await asyncio.to_thread(self._remove, context, 0)

    def _path(self, key: str) -> Path:
        context, _, digest = key.partition(":")
        return self._folder / context / f"{digest}.json"

    def _read(self, key: str) -> Entry | None:
        try:
            return msgspec.json.decode(self._path(key).read_bytes(), type=Entry)
        except (OSError, msgspec.DecodeError):
            return None

    def _write(self, entry: Entry) -> None:
        path = self._path(entry.key)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Written aside and put in place at once: a reader sees the old value or the new one.
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                file.write(msgspec.json.encode(entry))
            os.replace(file.name, path)
        except OSError as error:
            logger.info("a value could not be cached on disk", path=str(path), why=str(error))
            return
        with contextlib.suppress(OSError):
            if sum(1 for _ in path.parent.iterdir()) > FILES_OF_CONTEXT:
                self._remove(context_of(entry.key), FILES_OF_CONTEXT // 2)

    def _remove(self, context: str, keep: int) -> int:
        removed = 0
        with contextlib.suppress(OSError):
            files = sorted((self._folder / context).iterdir(), key=lambda file: file.stat().st_mtime)
            for file in files[: max(0, len(files) - keep)]:
                file.unlink(missing_ok=True)
                removed += 1
        return removed
