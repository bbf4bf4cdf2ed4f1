"""Shows a download in the terminal."""

import sys
from threading import Lock

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn


class TerminalProgress:
    """A bar on standard error; two plain lines where that is not a terminal."""

    def __init__(self, what: str = "Apache Kafka", console: Console | None = None) -> None:
        self.what = what
        self._console = console or Console(file=sys.stderr)
        self._lock = Lock()
        self._bar: Progress | None = None

    def started(self, total_bytes: int) -> None:
        """A download of this many bytes begins."""
        if not self._console.is_terminal:
            self._console.print(f"downloading {self.what} ({total_bytes / 1e6:.0f} MB, this once) ...")
            return
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=self._console,
        )
        self._bar.add_task(f"downloading {self.what} (this once)", total=total_bytes)
        self._bar.start()

    def waiting(self) -> None:
        """Another process is downloading the same files; we wait for it."""
        self._console.print(f"another process is downloading {self.what}: waiting for it ...")

    def advanced(self, number: int) -> None:
        """This many bytes more have come."""
        with self._lock:
            if self._bar is not None:
                self._bar.advance(self._bar.task_ids[0], number)

    def finished(self) -> None:
        """The download has ended, well or not."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
