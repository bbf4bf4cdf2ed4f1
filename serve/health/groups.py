"""How far the consumer groups of the stages are, as the broker tells it."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from infra.kafka.admin import Admin
from infra.settings import KafkaSettings

T = TypeVar("T")

FRESH_S: Final = 1.0
"""Whoever asks again within this time gets the same look."""


@dataclass(frozen=True, slots=True)
class GroupState:
    """A consumer group.

    Attributes:
        members: Who reads.
        lag_records: Records that it has not committed yet, of all partitions that it has committed, but for
            those of topics that it does not read any more.
        late: Partitions in which some of these are older than the time that was asked about.
    """

    members: int
    lag_records: int
    late: int


class Groups:
    """Looks at groups, all together, for whoever asks meanwhile.

    A client of a broker that is away holds its thread for seconds: there is never more than one look under
    way, however many checks give up waiting for it.

    Args:
        kafka: Where it is.
        late_s: Groups that are looked at; records that wait longer than this for one are late, s.
    """

    def __init__(self, kafka: KafkaSettings, late_s: Mapping[str, float]) -> None:
        self._kafka = kafka
        self._late_s = late_s
        self._admin: Admin | None = None
        self._look: tuple[float, asyncio.Future[dict[str, GroupState]]] | None = None
        self._topics: asyncio.Future[int] | None = None

    async def states(self) -> dict[str, GroupState]:
        """The groups by name, now or within the last second.

        Raises:
            UnavailableError: Kafka does not answer.
        """
        known = self._look
        if known is None or (known[1].done() and time.monotonic() - known[0] > FRESH_S):
            known = self._look = time.monotonic(), _in_thread(self._ask)
        return await asyncio.shield(known[1])

    async def topics(self) -> int:
        """How many topics the broker has.

        Raises:
            UnavailableError: Kafka does not answer.
        """
        if self._topics is None or self._topics.done():
            self._topics = _in_thread(lambda: len(self._reached().partition_counts()))
        return await asyncio.shield(self._topics)

    async def close(self) -> None:
        """Wait for no look any more."""
        under_way = [each for each in (self._topics, self._look and self._look[1]) if each is not None]
        for look in under_way:
            look.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        self._admin = None

    def _reached(self) -> Admin:
        if self._admin is None:
            self._admin = Admin(self._kafka)
        return self._admin

    def _ask(self) -> dict[str, GroupState]:
        admin = self._reached()
        counts = admin.partition_counts()
        readers = {name: admin.readers(name) for name in self._late_s}
        read = {name: set[str]().union(*topics) for name, topics in readers.items()}
        committed = {
            name: {
                tp: offset
                for tp, offset in admin.committed(name).items()
                # Nothing is assigned while nobody reads, or partitions are being given away.
                if tp[1] < counts.get(tp[0], 0) and (tp[0] in read[name] or not read[name])
            }
            for name in self._late_s
        }
        partitions = sorted({tp for offsets in committed.values() for tp in offsets})
        ends = {tp: end for tp, (_, end) in admin.log_ranges(partitions).items()} if partitions else {}
        now = time.time()
        recent = {
            late_s: admin.offsets_at(partitions, round((now - late_s) * 1_000)) if partitions else {}
            for late_s in set(self._late_s.values())
        }
        return {
            name: GroupState(
                members=len(readers[name]),
                lag_records=sum(max(ends[tp] - offset, 0) for tp, offset in offsets.items()),
                late=sum(
                    offset < _first_recent(recent[self._late_s[name]][tp], ends[tp])
                    for tp, offset in offsets.items()
                ),
            )
            for name, offsets in committed.items()
        }


def _first_recent(offset: int | None, end: int) -> int:
    """Where records begin that are not late yet: where nothing came since, at the end."""
    return end if offset is None else offset


def _in_thread(work: Callable[[], T]) -> asyncio.Future[T]:
    future = asyncio.ensure_future(asyncio.to_thread(work))
    # Whoever asked may have given up: what it raises is then nobody's.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future
