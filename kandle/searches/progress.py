"""A bar on standard error for what has many steps of about the same length."""

from __future__ import annotations

import sys
import time
from typing import Final

import click

from kandle.jobs.progress import note_done

TERMINAL_EVERY_S: Final = 0.2
LINES_EVERY_S: Final = 30.0
"""Where standard error is no terminal: a line now and then."""
SILENT_S: Final = 2.0
"""What takes no longer shows nothing."""
WIDTH: Final = 30


class SearchProgress:
    """Shows how many of some steps are done, how fast they go and how long the rest takes.

    Args:
        what: Name of the steps.
        count: How many there are.
    """

    def __init__(self, what: str, count: int) -> None:
        self._what, self._count = what, count
        self._terminal = sys.stderr.isatty()
        self._began = self._shown_at = time.monotonic()
        self._shown = ""

    def show(self, done: int) -> None:
        """Show the state, if it is time to."""
        note_done(done, self._count)
        now = time.monotonic()
        every = TERMINAL_EVERY_S if self._terminal else LINES_EVERY_S
        if now - self._shown_at < every or now - self._began < SILENT_S:
            return
        self._shown_at = now
        rate = done / (now - self._began)
        left = _length((self._count - done) / rate) if rate else "?"
        told = f"{done} of {self._count} {self._what}, {rate:.1f}/s, {left} left"
        if not self._terminal:
            click.echo(f"kandle: {told}", err=True)
            return
        full = WIDTH * done // max(1, self._count)
        line = f"[{'#' * full}{'.' * (WIDTH - full)}] {told}"
        click.echo(f"\r{line.ljust(len(self._shown))}", nl=False, err=True)
        self._shown = line

    def clear(self) -> None:
        """Leave the line to what comes next."""
        if self._shown:
            click.echo(f"\r{' ' * len(self._shown)}\r", nl=False, err=True)
            self._shown = ""


def _length(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
