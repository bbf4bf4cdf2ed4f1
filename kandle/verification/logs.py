"""What Kafka holds of topics, read from one offset to another with progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace

import numpy as np

from infra.kafka.admin import Admin
from infra.settings import KafkaSettings
from kandle.verification.recomputed import Passed, note_marks
from kandle.verification.topic_rows import TopicRows, held_from, new_reader, slices
from schemas.records import TimeMark
from schemas.topics import Topic
from sinks.portion import Slice

Progress = Callable[[str, int, int], None]
"""Called with what is being read, the records read of it and how many there are."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a log can say of a table.

    Attributes:
        since: It holds all that is of this time or later, microseconds since 1970; None: all there ever was.
        is_whole: Whether a row of that time that it does not hold never was in it.
    """

    since: int | None = None
    is_whole: bool = True


class Logs:
    """Topics as a verification reads them; blocks for Kafka's answers.

    Args:
        kafka: Where Kafka is.
        progress: Is told what is being read.
    """

    def __init__(self, kafka: KafkaSettings, progress: Progress) -> None:
        self.reader = new_reader()
        self._kafka = kafka
        self._progress = progress
        self._admin = Admin(kafka)
        self._counts = self._admin.partition_counts()

    def has(self, topic: Topic) -> bool:
        """Whether there is such a topic."""
        return topic.name in self._counts

    def kafka_id(self, topic: Topic) -> str:
        """Kafka's own id of a topic."""
        return self._admin.topic_ids([topic.name])[topic.name]

    def bounds(self, topic: Topic) -> Mapping[int, tuple[int, int]]:
        """First offset and end of each partition."""
        asked = [(topic.name, number) for number in range(self._counts[topic.name])]
        return {number: bounds for (_, number), bounds in self._admin.log_ranges(asked).items()}

    async def held(self, topic: Topic, partition: int, first: int, end: int, *, replaced: bool) -> Held:
        """From which time on the log of a partition holds all.

        Args:
            topic: The topic.
            partition: Its number.
            first: First offset that the log holds.
            end: Where to stop looking.
            replaced: Whether the table has rows of an earlier topic of this name.
        """
        if topic.cleanup == "compact":
            return Held(is_whole=False)
        if first == 0 and not replaced:
            return Held()
        since = await held_from(self._kafka, self.reader, topic, partition, first, end)
        return Held(since, is_whole=since is not None)

    async def read(self, topic: Topic, partition: int, start: int, end: int, taken: TopicRows) -> None:
        """Take in the records of [start, end)."""
        told = self.told(f"{topic.name} {partition}", end - start)
        async with aclosing(slices(self._kafka, self.reader, topic, partition, start, end, told)) as found:
            async for slice_ in found:
                taken.take(slice_)

    async def read_to_mark(
        self, topic: Topic, partition: int, bounds: tuple[int, int], taken: TopicRows, tail: TopicRows
    ) -> Passed:
        """Take in the records up to the last mark, and apart from them those after it.

        Returns:
            The marks.
        """
        passed: Passed = {}
        waiting: list[Slice] = []
        told = self.told(f"{topic.name} {partition}", bounds[1] - bounds[0])
        async with aclosing(slices(self._kafka, self.reader, topic, partition, *bounds, told)) as found:
            async for slice_ in found:
                note_marks(slice_, passed)
                marks = slice_.columns.rows(TimeMark)
                if not len(marks):
                    waiting.append(slice_)
                    continue
                is_before = np.arange(len(slice_.good)) < marks[-1]
                for part in (*waiting, replace(slice_, good=slice_.good & is_before)):
                    taken.take(part)
                waiting = [replace(slice_, good=slice_.good & ~is_before)]
        for part in waiting:
            tail.take(part)
        return passed

    def told(self, what: str, whole: int) -> Callable[[int], None]:
        """Counts what is read, and tells of it."""
        read = 0

        def tell(count: int) -> None:
            nonlocal read
            read += count
            self._progress(what, read, whole)

        return tell
