"""Says on standard error what takes long, so that nobody takes a slow venue for a hang."""

import contextlib
import threading
from collections.abc import Iterator

import click

SILENT_S = 2.0
"""What takes no longer is not announced, s."""


@contextlib.contextmanager
def patience(what: str) -> Iterator[None]:
    """Announce what is being done, if it takes more than `SILENT_S`; imports count too."""
    timer = threading.Timer(SILENT_S, lambda: click.echo(f"kandle: {what} ...", err=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
