"""Which record is next: streams merged by time, without moving anything within a partition.

Each record is due at its event time, or at that of an earlier record of its partition if that is later: a
late record follows what it stood behind. So the records of a partition become due in the order in which they
stand, and a merge by due times takes a beginning of what is left of each, never something out of its middle.

Pure: it is given what streams yield and asked for what is to be published.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from backtest.replay.source import Partition, Portion, Step
from schemas.records import Micros
from schemas.spans import Int64s


@dataclass(slots=True)
class _Waiting:
    """What is left of a portion, from `row` on."""

    portion: Portion
    dues: Int64s
    row: int = 0

    @property
    def next_due(self) -> Micros:
        return int(self.dues[self.row])

    def count_through(self, time: Micros | None) -> int:
        end = len(self.dues) if time is None else int(np.searchsorted(self.dues, time, "right"))
        return max(end - self.row, 0)

    @property
    def last_due(self) -> Micros:
        """Of what was taken."""
        return int(self.dues[self.row - 1])

    def take(self, count: int) -> Portion:
        first, self.row = self.row, self.row + count
        whole = first == 0 and self.row == len(self.portion)
        return self.portion if whole else self.portion.take(slice(first, self.row))


@dataclass(slots=True)
class _Stream:
    reached: Micros | None = None
    has_ended: bool = False
    waiting: list[_Waiting] = field(default_factory=list)


class Merge:
    """The streams of a replay.

    Args:
        streams: How many; they are named by their index.
        until: End of the period: a stream that has reached it holds up no other one.
    """

    def __init__(self, streams: int, until: Micros | None = None) -> None:
        self._streams = [_Stream() for _ in range(streams)]
        self._until = until
        self._dues: dict[Partition, Micros] = {}
        self._newest: Micros | None = None

    def add(self, stream: int, step: Step) -> None:
        """Take in what a stream has yielded; it must be `wanting`."""
        own = self._streams[stream]
        own.waiting = []
        for portion in step.portions:
            if not len(portion):
                continue
            dues = np.maximum.accumulate(portion.times)
            before = self._dues.get(portion.partition)
            if before is not None:
                dues = np.maximum(dues, before)
            last = self._dues[portion.partition] = int(dues[-1])
            own.waiting.append(_Waiting(portion, dues))
            own.reached = last if own.reached is None else max(own.reached, last)
        if step.reached is not None:
            own.reached = step.reached if own.reached is None else max(own.reached, step.reached)

    def end(self, stream: int) -> None:
        """Note that a stream yields nothing more."""
        self._streams[stream].has_ended = True

    @property
    def wanting(self) -> list[int]:
        """Streams of which all is taken and that have not ended: their next step is to be asked for."""
        return [
            index for index, stream in enumerate(self._streams) if not stream.has_ended and not stream.waiting
        ]

    @property
    def lacking(self) -> list[int]:
        """Of the wanting ones those without which nobody can say what is next."""
        return [index for index in self.wanting if not self._is_past(self._streams[index])]

    @property
    def is_done(self) -> bool:
        """Whether all streams have ended and all is taken."""
        return all(stream.has_ended and not stream.waiting for stream in self._streams)

    @property
    def next_due(self) -> Micros | None:
        """When the next record is due; None: there is none at the moment."""
        return min((held.next_due for stream in self._streams for held in stream.waiting), default=None)

    @property
    def newest_due(self) -> Micros | None:
        """The newest due time of what was taken; None: nothing was."""
        return self._newest

    @property
    def horizon(self) -> Micros | None:
        """Up to when it is known what comes, this time included; None: to the end."""
        bounds = [
            stream.reached
            for stream in self._streams
            if not stream.has_ended and not self._is_past(stream) and stream.reached is not None
        ]
        return min(bounds, default=None)

    def take(self, through: Micros | None = None, count: int | None = None) -> list[Portion]:
        """What is due up to a time, that time included; each partition's records in their order.

        Nothing beyond the horizon is taken, whatever is asked.

        Args:
            through: The time; None: all that is known.
            count: At most so many records, the earliest due ones; at one time, streams in their order.
        """
        horizon = self.horizon
        if horizon is not None:
            through = horizon if through is None else min(through, horizon)
        held = [waiting for stream in self._streams for waiting in stream.waiting]
        counts = [waiting.count_through(through) for waiting in held]
        if count is not None and sum(counts) > count:
            counts = _earliest(held, counts, count)
        taken = []
        for waiting, number in zip(held, counts, strict=True):
            if number:
                taken.append(waiting.take(number))
                self._newest = max(
                    waiting.last_due, waiting.last_due if self._newest is None else self._newest
                )
        for stream in self._streams:
            stream.waiting = [waiting for waiting in stream.waiting if waiting.row < len(waiting.portion)]
        return taken

    def _is_past(self, stream: _Stream) -> bool:
        return self._until is not None and stream.reached is not None and stream.reached >= self._until


def _earliest(held: list[_Waiting], counts: list[int], wanted: int) -> list[int]:
    """How many of each are among the first `wanted` of all, by due times."""
    parts = zip(held, counts, strict=True)
    dues = np.concatenate([waiting.dues[waiting.row :][:number] for waiting, number in parts])
    owners = np.repeat(np.arange(len(held)), counts)
    chosen = owners[np.argsort(dues, kind="stable")[:wanted]]
    found: list[int] = np.bincount(chosen, minlength=len(held)).tolist()
    return found
