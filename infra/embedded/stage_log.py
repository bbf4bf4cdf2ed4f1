"""The log file of a stage: one a run, bounded, with a few earlier ones beside it."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAX_BYTES = 16 * 1024 * 1024
"""A file that grew beyond this is moved aside while its writer goes on."""
KEPT = 3
TAIL_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class StageLog:
    """`DIR/log/<stage>.log`; older ones are `.1` (the newest) to `.3`."""

    path: Path

    @classmethod
    def of(cls, data_dir: Path, stage: str) -> "StageLog":
        """The log of a stage below a data directory; creates the folder."""
        folder = data_dir / "log"
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder / f"{stage}.log")

    def open(self) -> BinaryIO:
        """Open for a child's output; appends, so that several writers and `limit` do no harm."""
        return os.fdopen(
            os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640), "ab"
        )

    def rotate(self) -> None:
        """Move the log of the last run aside; call before the first child writes."""
        if self.path.exists() and self.path.stat().st_size:
            self._shift()
            self.path.replace(self._older(1))

    def limit(self, max_bytes: int = MAX_BYTES) -> None:
        """Move what is there aside when it exceeds the limit, while the child goes on writing.

        Lines written between the copy and the cut are lost: the price of not standing between a child and
        its log.
        """
        if self.path.exists() and self.path.stat().st_size > max_bytes:
            self._shift()
            shutil.copyfile(self.path, self._older(1))
            os.truncate(self.path, 0)

    def tail(self, lines: int = 15) -> str:
        """The last lines, for an error message."""
        if not self.path.exists():
            return ""
        with self.path.open("rb") as file:
            file.seek(max(0, self.path.stat().st_size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
        return "\n".join(text.rstrip().splitlines()[-lines:])

    def _older(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _shift(self) -> None:
        for number in range(KEPT, 1, -1):
            if self._older(number - 1).exists():
                self._older(number - 1).replace(self._older(number))
