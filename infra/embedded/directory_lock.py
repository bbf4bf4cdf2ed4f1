"""One `kandle up` at a time uses a data directory."""

import contextlib
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.embedded.errors import DirectoryLockedError
from schemas.errors import ConfigurationError

NAME = ".lock"
ATTEMPTS = 4
"""Who only asks whether the lock is held (`is_held`) holds it for a moment itself."""


class DirectoryLock:
    """An advisory lock (flock) on a file in the data directory, which names its holder.

    The kernel releases it when the holder ends, however it ends: a stale lock cannot exist, a stale file
    means nothing. Children do not inherit it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock at once; creates the directory.

        Raises:
            DirectoryLockedError: Another process, or another lock object of this one, holds it.
            ConfigurationError: The directory cannot be created or written to.
        """
        path = self.directory / NAME
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigurationError(
                f"the data directory {self.directory} cannot be used: {error.strerror}; "
                "choose another with --data"
            ) from error
        if not _locked_within(file, ATTEMPTS):
            os.close(file)
            holder = holder_pid(self.directory)
            named = f"process {holder}" if holder else "another process"
            raise DirectoryLockedError(
                f"{self.directory} is in use by {named}: stop it, or choose another directory with --data",
                holder,
            )
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _locked_within(file: int, attempts: int) -> bool:
    for attempt in range(attempts):
        if attempt:
            time.sleep(0.05)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def is_held(directory: Path) -> bool:
    """Whether some process uses the directory now; leaves no trace."""
    try:
        file = os.open(directory / NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # A shared lock, so that two who ask at once do not see each other.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def holder_pid(directory: Path) -> int | None:
    """Process id that the lock file names; None when there is none."""
    with contextlib.suppress(OSError, ValueError):
        return int((directory / NAME).read_text())
    return None
