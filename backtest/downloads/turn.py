"""One download from a venue at a time: each process keeps the venue's pace by itself, two would double it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

NAME: Final = ".turn"


@contextmanager
def turn(root: Path, venue: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Have the venue for this process; blocks while another one has it.

    Args:
        root: Folder of all downloads.
        venue: Name of the venue.
        waiting: Called if it is to be waited for.
    """
    folder = root / venue
    folder.mkdir(parents=True, exist_ok=True)
    number = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)
