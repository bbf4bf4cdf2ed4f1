"""Room on the disk: enough to start, and no more used than the budget allows."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from infra.embedded.errors import DiskFullError

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class DiskBudget:
    """How much of the disk a data directory may use.

    Attributes:
        data_dir: The directory.
        budget_bytes: Most that all files below it may occupy.
        min_free_bytes: What must stay free on its disk, so that neither server meets a full disk in the
            middle of a write.
    """

    data_dir: Path
    budget_bytes: int
    min_free_bytes: int = 512 * MIB

    def check(self) -> None:
        """Look at the disk; a few milliseconds for some thousand files.

        Raises:
            DiskFullError: Too little is free, or the budget is exceeded.
        """
        free = shutil.disk_usage(self.data_dir).free
        if free < self.min_free_bytes:
            raise DiskFullError(
                f"the disk of {self.data_dir} has {free // MIB} MiB left, at least "
                f"{self.min_free_bytes // MIB} MiB are needed: make room, or choose another disk with --data"
            )
        used = used_bytes(self.data_dir)
        if used > self.budget_bytes:
            raise DiskFullError(
                f"{self.data_dir} occupies {used // MIB} MiB, more than its budget of "
                f"{self.budget_bytes // MIB} MiB: raise disk_budget_mb, or remove old data"
            )


def used_bytes(directory: Path) -> int:
    """Bytes that the files below a directory occupy on the disk (holes in files do not count)."""
    total = 0
    folders = [os.fspath(directory)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
                        else:
                            total += entry.stat(follow_symlinks=False).st_blocks * 512
                    except FileNotFoundError:
                        # Servers delete files while we count.
                        continue
        except (FileNotFoundError, PermissionError):
            continue
    return total
