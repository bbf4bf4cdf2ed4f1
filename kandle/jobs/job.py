"""What is known of a job."""

from typing import Literal

import msgspec

from schemas.errors import ConfigurationError
from schemas.records import Micros

State = Literal["queued", "running", "done", "failed", "cancelled"]


class NoSuchJobError(ConfigurationError):
    """There is no job of this id."""

    code = "NO_SUCH_JOB"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A command that runs, has run or will run on its own.

    Attributes:
        id: Its number, from 1.
        kind: What it does: download, backtest, optimize ...
        provider: Whom or what it asks: a venue, topics, a file.
        request: Arguments of `kandle`.
        folder: Where it was asked for: relative paths are of this folder.
        state: queued, running, done, failed or cancelled.
        created, started, ended: Times, µs since the epoch.
        attempts: How often it was begun.
        resumable: Whether it is begun anew after its process was killed: what it does twice, does no harm.
        done, total: How far it is, in a unit of its own; None until it says so.
        rows: How many it has brought.
        error: Why it has failed.
        pid: Of its process.
        is_stopping: Whether somebody wants it to end.
    """

    id: int
    kind: str
    provider: str
    request: list[str]
    folder: str
    state: State
    created: Micros
    started: Micros | None = None
    ended: Micros | None = None
    attempts: int = 0
    resumable: bool = False
    done: int | None = None
    total: int | None = None
    rows: int | None = None
    error: str | None = None
    pid: int | None = None
    is_stopping: bool = False

    @property
    def part(self) -> float | None:
        """How much of it is done, 0 to 1."""
        if self.state == "done":
            return 1.0
        return None if not self.total or self.done is None else min(self.done / self.total, 1.0)
