"""Kafka as the server asks it: one client, and one look at a time, for everybody who wants to know."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

from infra.kafka.admin import Admin, ClusterLayout
from infra.settings import Settings
from schemas.namespace import current
from schemas.topics import TOPICS
from sinks.intake import group_of
from sinks.registry import OUTSIDE

T = TypeVar("T")
TopicPartition: TypeAlias = tuple[str, int]

FRESH_S: Final = 1.0
"""Whoever asks again within this time gets the same look."""
CHANGELOG: Final = "-changelog"
"""Ends the name of a topic that holds checkpoints."""


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group.

    Attributes:
        readers: Of each member the topics of its partitions.
        committed: Offsets that it has committed, by topic and partition.
    """

    readers: Sequence[set[str]]
    committed: Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class Positions:
    """How far the log goes, and how far those who read it have come.

    Attributes:
        ranges: The first offset that each partition holds, and the one after the last.
        groups: The groups of the stages by name.
    """

    ranges: Mapping[TopicPartition, tuple[int, int]]
    groups: Mapping[str, Group]

    def lag(self, group: str) -> dict[TopicPartition, int]:
        """Records that a group has not committed, by partition; what was deleted unread is none of them."""
        found: dict[TopicPartition, int] = {}
        for tp, offset in self.groups[group].committed.items():
            if tp in self.ranges:
                first, end = self.ranges[tp]
                found[tp] = max(end - max(offset, first), 0)
        return found


class _Question(Generic[T]):
    """Asked by many, sent once: an answer is shared while it is waited for and while it is fresh."""

    def __init__(self, ask: Callable[[], T], fresh_s: float) -> None:
        self._ask = ask
        self._fresh_s = fresh_s
        self._sent: tuple[float, asyncio.Future[T]] | None = None

    async def answer(self) -> T:
        sent = self._sent
        if sent is None or (sent[1].done() and time.monotonic() - sent[0] >= self._fresh_s):
            future = asyncio.ensure_future(asyncio.to_thread(self._ask))
            # Whoever asked may have given up: what it raises is then nobody's.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            sent = self._sent = time.monotonic(), future
        return await asyncio.shield(sent[1])

    async def give_up(self) -> None:
        if self._sent is not None:
            self._sent[1].cancel()
            await asyncio.gather(self._sent[1], return_exceptions=True)


class Brokers:
    """Asks Kafka from threads; every method raises `UnavailableError` where it does not answer.

    A client of a broker that is away holds its thread for seconds: of each of the two big questions there is
    never more than one under way, however many give up waiting for it.

    Args:
        settings: Where Kafka is, and the names of groups.
        fresh_s: How long an answer is good for others, s.

    Attributes:
        workers: The group of the workers.
    """

    def __init__(self, settings: Settings, fresh_s: float = FRESH_S) -> None:
        self._settings = settings.kafka
        self._admin: Admin | None = None
        self.workers = current().name_of(settings.processors.app_id)
        self._groups = sorted({self.workers, *map(group_of, {*settings.sink.run, *OUTSIDE})})
        self._topics = {name for topic in TOPICS for name in (topic.name, topic.dead_letter_name)}
        self._layout = _Question(lambda: self._reached().cluster(), fresh_s)
        self._positions = _Question(self._look, fresh_s)

    async def layout(self) -> ClusterLayout:
        """Brokers, and all topics with their replicas; now or within the last second."""
        return await self._layout.answer()

    async def positions(self) -> Positions:
        """Ends of our topics and positions of the stages; now or within the last second."""
        return await self._positions.answer()

    async def ask(self, question: Callable[[Admin], T]) -> T:
        """Ask something of one's own."""
        return await asyncio.to_thread(lambda: question(self._reached()))

    async def close(self) -> None:
        """Wait for no look any more."""
        await asyncio.gather(self._layout.give_up(), self._positions.give_up())

    def is_ours(self, topic: str) -> bool:
        """Whether a topic is one of the contract, or holds checkpoints of the workers."""
        return topic in self._topics or (topic.startswith(f"{self.workers}-") and topic.endswith(CHANGELOG))

    def _reached(self) -> Admin:
        if self._admin is None:
            self._admin = Admin(self._settings)
        return self._admin

    def _look(self) -> Positions:
        admin = self._reached()
        counts = admin.partition_counts()
        # Before the ends: nobody has read what is not there yet.
        groups = {name: Group(admin.readers(name), admin.committed(name)) for name in self._groups}
        read = {topic for group in groups.values() for topic, _ in group.committed}
        wanted = [name for name in counts if self.is_ours(name) or name in read]
        return Positions(
            admin.log_ranges((name, number) for name in wanted for number in range(counts[name])), groups
        )
