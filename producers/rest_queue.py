"""Calls that wait for their turn: what closes a gap first, then what mends a book, then what is polled."""

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from producers.exchange import Call, CallKind

QUEUE_CALLS: Final = 4_096

_URGENCY: Final[dict[CallKind, int]] = {"trades": 0, "instruments": 1, "book": 1}
_LAST: Final = 2


class Answer(NamedTuple):
    """What came of a call.

    Attributes:
        call: As it was submitted.
        body: The JSON body; None if it could not be had.
        error: Why not, for people; None with a body.
    """

    call: Call
    body: bytes | None
    error: str | None


Deliver: TypeAlias = Callable[[Answer], None]
"""Takes an answer; must not block or raise."""


class Job:
    """One call to be made, for all who want its answer.

    Attributes:
        call: What is called.
        since_s: When it was asked for first, by the monotonic clock, s.
        askers: The calls as submitted, and who takes their answers.
        turns: How often it was begun.
    """

    __slots__ = ("askers", "call", "since_s", "turns")

    def __init__(self, call: Call, deliver: Deliver, since_s: float) -> None:
        self.call = call
        self.since_s = since_s
        self.askers: list[tuple[Call, Deliver]] = [(call, deliver)]
        self.turns = 0

    @property
    def urgency(self) -> int:
        """0 comes before 1."""
        return _URGENCY.get(self.call.kind, _LAST)


class CallQueue:
    """Jobs by urgency, and in order of arrival within it; bounded.

    Args:
        bound: Jobs at most.
    """

    def __init__(self, bound: int = QUEUE_CALLS) -> None:
        self._bound = bound
        self._waiting: tuple[deque[Job], ...] = tuple(deque() for _ in range(_LAST + 1))

    def __len__(self) -> int:
        return sum(map(len, self._waiting))

    @property
    def first(self) -> Job | None:
        """The job whose turn it is."""
        return next((jobs[0] for jobs in self._waiting if jobs), None)

    def put(self, job: Job) -> Job | None:
        """Let a job wait; returns the one that has no room now: the newest of the least urgent."""
        self._waiting[job.urgency].append(job)
        if len(self) <= self._bound:
            return None
        return next(jobs for jobs in reversed(self._waiting) if jobs).pop()

    def put_back(self, job: Job) -> None:
        """Let a job be the next of its urgency: its turn was in vain."""
        self._waiting[job.urgency].appendleft(job)

    def take(self) -> Job:
        """Remove the first job.

        Raises:
            IndexError: There is none.
        """
        return next((jobs for jobs in self._waiting if jobs), self._waiting[0]).popleft()

    def take_older(self, than_s: float) -> list[Job]:
        """Remove the jobs that were asked for before a time, by the monotonic clock, s."""
        old: list[Job] = []
        for jobs in self._waiting:
            while jobs and jobs[0].since_s < than_s:
                old.append(jobs.popleft())
        return old
