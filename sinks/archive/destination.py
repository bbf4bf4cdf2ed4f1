"""Topics as Parquet files; exact by a chain of manifests for each partition, without a database.

A portion becomes files, staged where no reader looks; a manifest that names them is created exclusively, and
by that they count and the position moves; then they get their final names. See `chain` for what a crash or a
second process leaves, and `manifest` for where everything lies.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import numpy as np
from aiokafka import TopicPartition

from infra.settings import Settings
from schemas.errors import ConfigurationError, ConflictError, UnavailableError
from schemas.topics import ALERTS, CONTROL, LIVE_CANDLES, POSITIONS, TOPICS, Topic
from sinks.archive.chain import Chain
from sinks.archive.files import files_of
from sinks.archive.manifest import PartitionId, as_name, log_folder
from sinks.archive.store import Store, open_store
from sinks.archive.tables import decode_opaque
from sinks.destination import Destination, Log, MovedError, Pace, Place
from sinks.misfits import Misfit, Misplaced
from sinks.portion import Portion, Slice
from sinks.positions import PartitionRef, TopicReplacedError

NAME: Final = "archive"
UNLESS_ASKED: Final = (LIVE_CANDLES, CONTROL, ALERTS, POSITIONS)
"""Left out unless a setting names them: what is of use only while it is new, and workings of the stages."""
THREADS: Final = 8
"""Partitions that are written at once: most of it is waiting for disks or stores."""
MEGABYTE: Final = 1_000_000

T = TypeVar("T")
ResultT = TypeVar("ResultT")


class ArchiveDestination(Destination):
    """Keeps topics in the archive.

    Args:
        settings: Where it is, and how large its files get.

    Raises:
        ConfigurationError: A part is not installed, or a topic is unknown.
    """

    name = NAME

    def __init__(self, settings: Settings) -> None:
        own = settings.archive
        self._topics = archived_topics(own.topics)
        self._pace = Pace(own.max_rows, own.max_mb * MEGABYTE, own.flush_s)
        self._store: Store = open_store(settings)
        self._writer = secrets.token_hex(4)
        self._chains: dict[PartitionRef, Chain] = {}
        self._threads = ThreadPoolExecutor(THREADS, "archive")

    @property
    def topics(self) -> Sequence[Topic]:
        """What the settings say."""
        return self._topics

    @property
    def pace(self) -> Pace:
        """Large and seldom: each portion becomes a file or more of each partition."""
        return self._pace

    def inspect(self, slice_: Slice) -> None:
        """Decode what has no columns; all that can be decoded can be kept."""
        decode_opaque(slice_)

    async def place(self, logs: Mapping[TopicPartition, Log]) -> Mapping[TopicPartition, Place]:
        """Find the last manifests; remove what never counted."""
        for topic, kafka_id in sorted({(tp.topic, as_name(log.kafka_id)) for tp, log in logs.items()}):
            known = await asyncio.to_thread(self._store.folders, log_folder(topic))
            if known and kafka_id not in known:
                raise TopicReplacedError(
                    f"{topic} is not the topic that the archive at {self._store.url} holds: it was "
                    f"deleted and made again (its id is {kafka_id}, {', '.join(known)} is archived). To "
                    "archive the new one beside it, run kandle sink accept"
                )
        placed = await self._each(self._place, [(self._ref(tp), log) for tp, log in logs.items()])
        return {TopicPartition(place.ref.topic, place.ref.partition): place for place in placed}

    def _place(self, asked: tuple[PartitionRef, Log]) -> Place:
        ref, log = asked
        id_ = PartitionId(ref.topic, as_name(log.kafka_id), ref.partition)
        chain = self._chains.get(ref)
        if chain is None or chain.id != id_:
            chain = self._chains[ref] = Chain(self._store, id_, self._writer)
        return Place(ref, chain.begin(log.first))

    def _ref(self, tp: TopicPartition) -> PartitionRef:
        numbers = {topic.name: number for number, topic in enumerate(self._topics)}
        return PartitionRef(numbers[tp.topic], tp.partition, tp.topic)

    async def store(self, portion: Portion) -> None:
        """Write each partition's files and its manifest; a partition is whole, a portion may be kept in part.

        Its partitions do not depend on each other, and each says by itself how far it is.
        """
        await self._each(lambda slice_: self._keep(slice_, portion.uncertain), portion.slices)

    def _keep(self, slice_: Slice, uncertain: bool) -> None:
        chain = self._chains[slice_.ref]
        if uncertain:
            chain.find()
        if chain.head.next_offset != slice_.expected:
            if uncertain and (chain.head.next_offset, chain.head.writer) == (
                slice_.next_offset,
                self._writer,
            ):
                chain.settle()
                return
            raise MovedError
        chain.settle()
        files = []
        for file, data in files_of(slice_, chain.id, self._writer):
            chain.stage(file, data)
            files.append(file)
        offsets = slice_.records.offsets[np.flatnonzero(~slice_.good)]
        chain.commit(slice_.next_offset, files, ranges_of(offsets.tolist()))
        chain.settle()

    def is_passing(self, error: Exception) -> bool:
        """Whether the store is away, full or busy."""
        return isinstance(error, UnavailableError)

    async def misfits(self, logs: Mapping[TopicPartition, Log]) -> Sequence[Misfit]:
        """What the manifests say, and the logs do not."""
        return await asyncio.to_thread(self._misfits, logs)

    def _misfits(self, logs: Mapping[TopicPartition, Log]) -> list[Misfit]:
        found = []
        for topic in sorted({tp.topic for tp in logs} & {topic.name for topic in self._topics}):
            own = {tp.partition: log for tp, log in logs.items() if tp.topic == topic}
            kafka_id = as_name(next(iter(own.values())).kafka_id)
            known = self._store.folders(log_folder(topic))
            if not known:
                continue
            newest = kafka_id if kafka_id in known else max(known, key=lambda id_: self._since(topic, id_))
            positions = [
                position
                for position in self._positions(topic, newest, own)
                if newest != kafka_id
                or position.first is None
                or not position.first <= position.stored <= (position.end or 0)
            ]
            if positions:
                found.append(Misfit(topic, newest, kafka_id, tuple(positions), own))
        return found

    def _since(self, topic: str, kafka_id: str) -> dt.datetime:
        known = self._positions(topic, kafka_id, {})
        return max((position.since for position in known), default=dt.datetime.min.replace(tzinfo=dt.UTC))

    def _positions(self, topic: str, kafka_id: str, logs: Mapping[int, Log]) -> list[Misplaced]:
        found = []
        for folder in self._store.folders(f"{log_folder(topic)}/{kafka_id}"):
            head = Chain(self._store, PartitionId(topic, kafka_id, int(folder)), self._writer).find()
            if head is not None:
                log = logs.get(head.partition)
                first, end = (log.first, log.end) if log is not None else (None, None)
                found.append(Misplaced(NAME, head.partition, head.next_offset, first, end, head.written))
        return found

    async def accept(self, misfits: Sequence[Misfit]) -> None:
        """Begin chains for a topic that was made again; note the loss where offsets are gone."""
        await asyncio.to_thread(self._accept, misfits)

    def _accept(self, misfits: Sequence[Misfit]) -> None:
        for misfit in misfits:
            if misfit.replaced:
                for partition, log in misfit.logs.items():
                    id_ = PartitionId(misfit.topic, misfit.kafka_id, partition)
                    Chain(self._store, id_, self._writer).begin(log.first)
                continue
            for position in misfit.positions:
                id_ = PartitionId(misfit.topic, misfit.kafka_id, position.partition)
                chain = Chain(self._store, id_, self._writer)
                head = chain.find()
                if head is None or head.next_offset != position.stored or position.first is None:
                    raise ConflictError(
                        "the positions have moved since they were shown: run the command again"
                    )
                chain.skip(position.first)

    async def close(self) -> None:
        """End the threads; what they are at is finished."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def _each(self, work: Callable[[T], ResultT], items: Iterable[T]) -> list[ResultT]:
        """Do it for all in threads; when all have ended, raise what failed first, what passes last."""
        loop = asyncio.get_running_loop()
        futures = [loop.run_in_executor(self._threads, work, item) for item in items]
        ended: list[Any] = await asyncio.gather(*futures, return_exceptions=True)
        failures = [result for result in ended if isinstance(result, BaseException)]
        for failure in sorted(failures, key=lambda error: isinstance(error, UnavailableError)):
            raise failure
        return ended


def archived_topics(names: Sequence[str]) -> list[Topic]:
    """The topics that a setting names.

    Raises:
        ConfigurationError: One is unknown.
    """
    if not names:
        return [topic for topic in TOPICS if topic not in UNLESS_ASKED]
    known = {topic.base_name: topic for topic in TOPICS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigurationError(
            f"archive.topics names {', '.join(unknown)}; there are {', '.join(sorted(known))}"
        )
    return [known[name] for name in dict.fromkeys(names)]


def ranges_of(offsets: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending numbers as ranges, both ends inclusive."""
    found: list[tuple[int, int]] = []
    for offset in offsets:
        if found and found[-1][1] == offset - 1:
            found[-1] = (found[-1][0], offset)
        else:
            found.append((offset, offset))
    return found
