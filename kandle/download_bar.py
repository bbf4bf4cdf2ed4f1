"""The progress of a download on standard error."""

import threading

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


class DownloadBar:
    """Shows how the download of Kafka goes; called from several threads.

    In a pipe or a log it prints a line at the beginning and one at the end.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._lock = threading.Lock()
        self._bar: Progress | None = None

    def started(self, total_bytes: int) -> None:
        """A download of this many bytes begins."""
        if not self._console.is_terminal:
            self._console.print(f"fetching Apache Kafka, {total_bytes / 1e6:.0f} MB (once on this machine)")
            return
        self._bar = Progress(
            TextColumn("fetching Apache Kafka"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._bar.add_task("kafka", total=total_bytes)
        self._bar.start()

    def waiting(self) -> None:
        """Another process is downloading the same files."""
        self._console.print("another process is fetching Apache Kafka; waiting for it")

    def advanced(self, number: int) -> None:
        """This many bytes more have come; negative when a file is begun anew."""
        with self._lock:
            if self._bar is not None:
                self._bar.advance(self._bar.task_ids[0], number)

    def finished(self) -> None:
        """The download has ended, well or not."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
