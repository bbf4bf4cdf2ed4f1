"""An aiokafka consumer that hands over record batches as bytes, a chunk a fetch, for the topics it is told.

aiokafka decodes every record into an object; for the topics named here that is skipped. `RawConsumer` is a
consumer like any other (groups, rebalances, seeks, pauses, positions); only what `getmany` returns for those
topics differs: a list with `Chunk`s in place of records. All other topics are as ever.

How it is mounted: aiokafka's consumer makes its fetcher when it starts; `RawConsumer` makes a `RawFetcher` of
it as it is assigned. That one sees every answer of the broker twice: aiokafka books it (positions, errors,
high watermarks), then, before anything else can run, the records that aiokafka would decode are exchanged for
the raw bytes. No global of aiokafka is changed; `tests/contract` names the part that an upgrade broke.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import Fetcher, FetchResult
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.protocol.fetch import FetchRequest

from infra.kafka.aborted_batches import with_aborted
from infra.kafka.record_batches import CorruptLogError, RecordBatch, split_batches
from schemas.errors import DecodeError


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one fetch brought of one partition.

    Attributes:
        batches: Whole record batches, control batches and (marked) aborted ones as well; the first may begin
            before `start_offset`.
        start_offset: Offset that was asked for.
        next_offset: Offset after the last batch.
    """

    batches: list[RecordBatch]
    start_offset: int
    next_offset: int


class _ChunkOnce:
    """Stands where aiokafka keeps the records of a fetch: an iterator over one chunk, with a position.

    Raises:
        CorruptLogError: When iterated, if the bytes cannot be cut into batches; so `getmany` raises it.
    """

    def __init__(
        self, tp: TopicPartition, data: bytes, fetch_offset: int, aborted: Iterable[tuple[int, int]]
    ) -> None:
        self._tp = tp
        self._data: bytes | None = data
        self._aborted = aborted
        self.next_fetch_offset = fetch_offset

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        if self._data is None:
            raise StopIteration
        # While it raises it keeps the bytes and the position: nobody gets past them by trying again.
        start = self.next_fetch_offset
        try:
            batches = with_aborted(split_batches(self._data), self._aborted)
        except DecodeError as error:
            raise self._corrupt(str(error)) from error
        if not batches or batches[-1].last_offset < start:
            raise self._corrupt(f"{len(self._data)} bytes were fetched, but no whole batch of records")
        self._data = None
        self.next_fetch_offset = batches[-1].last_offset + 1
        return Chunk(batches, start, self.next_fetch_offset)

    def _corrupt(self, reason: str) -> CorruptLogError:
        where = f"{self._tp.topic}, partition {self._tp.partition}, from offset {self.next_fetch_offset}"
        return CorruptLogError(f"{where}: {reason}")


class _Overheard:
    """Aiokafka's client, with an ear: keeps the raw records of the fetch answers that pass.

    Attributes:
        raw: Records of the last answer, by partition.
        beyond: Partitions whose log does not hold what was asked for, as the last answer says.
    """

    def __init__(self, client: Any, topics: Collection[str]) -> None:
        self._client = client
        self._topics = frozenset(topics)
        self.raw: dict[TopicPartition, bytes] = {}
        self.beyond: set[TopicPartition] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node_id: int, request: Any) -> Any:
        answer = await self._client.send(node_id, request)
        if isinstance(request, FetchRequest):
            for topic, partitions in answer.topics:
                if topic in self._topics:
                    for partition, error_code, *_, data in partitions:
                        tp = TopicPartition(topic, partition)
                        self.raw[tp] = data
                        if error_code == OffsetOutOfRangeError.errno:
                            self.beyond.add(tp)
        return answer


class RawFetcher(Fetcher):  # type: ignore[misc]
    """Aiokafka's fetcher with chunks in place of records, for some topics.

    Where their log does not hold the position, it is an error for whoever fetches next, whatever
    `auto_offset_reset` says: that only answers where to begin without a position. Going on elsewhere would
    lose records or read others in their place.
    """

    @classmethod
    def of(cls, fetcher: Fetcher, topics: Collection[str]) -> Self:
        """Make one of a fetcher that has not run yet."""
        fetcher.__class__ = cls
        fetcher._client = _Overheard(fetcher._client, topics)
        mounted: Self = fetcher
        return mounted

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: Any) -> Any:
        has_new = await super()._proc_fetch_request(assignment, node_id, request)
        # Nothing has run since the answer came: who waits for records is woken by our caller.
        raw, beyond = self._client.raw, self._client.beyond
        for tp, data in raw.items():
            result = self._records.get(tp)
            if isinstance(result, FetchResult) and not isinstance(result._partition_records, _ChunkOnce):
                booked = result._partition_records
                result._partition_records = _ChunkOnce(
                    tp, data, booked.next_fetch_offset, booked._aborted_transactions
                )
        for tp, offset in _asked(request, beyond):
            if tp not in self._records and assignment.active and assignment.state_value(tp).awaiting_reset:
                self._set_error(tp, OffsetOutOfRangeError({tp: offset}))
                has_new = True
        raw.clear()
        beyond.clear()
        return has_new


def _asked(
    request: FetchRequest, partitions: Collection[TopicPartition]
) -> Iterator[tuple[TopicPartition, int]]:
    """The offsets that a fetch has asked for of these partitions."""
    for topic, entries in request.topics if partitions else ():
        for partition, offset, _ in entries:
            if (tp := TopicPartition(topic, partition)) in partitions:
                yield tp, offset


class RawConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    """An aiokafka consumer whose `getmany` gives chunks for some topics; reads what was committed alone.

    Args:
        raw_topics: Their names.
        *topics: What to subscribe to, as aiokafka takes it.
        **settings: As aiokafka takes them.
    """

    def __init__(self, raw_topics: Collection[str], *topics: str, **settings: Any) -> None:
        self._raw_topics = frozenset(raw_topics)
        self._mounted: RawFetcher | None = None
        super().__init__(*topics, isolation_level="read_committed", **settings)

    @property
    def _fetcher(self) -> RawFetcher | None:
        return self._mounted

    @_fetcher.setter
    def _fetcher(self, fetcher: Fetcher | None) -> None:
        self._mounted = None if fetcher is None else RawFetcher.of(fetcher, self._raw_topics)
