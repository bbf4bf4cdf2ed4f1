"""The private parts of aiokafka that the batch reader stands on; each test names the one that has changed.

When an upgrade breaks one: read infra/kafka/raw_fetcher.py, mend it, then mend the test.
"""

import asyncio
import inspect
import struct
from typing import Any

import aiokafka
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import consumer as consumer_module
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.protocol import fetch as fetch_protocol
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.types import Bytes
from aiokafka.record.util import calc_crc32c

from infra.kafka.log_dirs import Describe, DescribeAll
from infra.kafka.raw_fetcher import Chunk, RawConsumer, RawFetcher
from infra.kafka.record_batches import CorruptLogError, read_records
from schemas.errors import KandleError

TP = TopicPartition("raw", 0)
PLAIN = TopicPartition("plain", 0)


def batch(base: int, count: int, producer_id: int = -1) -> bytes:
    """A record batch with records of no key and no value; with a producer's id, within a transaction."""
    body = b"".join(bytes([12, 0, 0, 2 * number, 1, 1, 0]) for number in range(count))
    attributes = 0 if producer_id < 0 else 0x10
    covered = struct.pack(">hiqqqhii", attributes, count - 1, 0, 0, producer_id, -1, -1, count) + body
    return struct.pack(">qiibI", base, len(covered) + 9, -1, 2, calc_crc32c(covered)) + covered


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_the_fetcher_books_an_answer_in_proc_fetch_request() -> None:
    assert parameters(Fetcher._proc_fetch_request) == ["self", "assignment", "node_id", "request"], (
        "Fetcher._proc_fetch_request takes other arguments: RawFetcher overrides it"
    )
    assert inspect.iscoroutinefunction(Fetcher._proc_fetch_request), (
        "Fetcher._proc_fetch_request is no coroutine"
    )


def test_nothing_else_can_run_between_an_answer_and_its_booking() -> None:
    source = inspect.getsource(Fetcher._proc_fetch_request)
    assert source.count("await ") == 2, (
        "Fetcher._proc_fetch_request waits at other places than for the answer and after an error: "
        "RawFetcher exchanges the records right after it, and others must not see them before"
    )
    assert "await self._client.send(node_id, request)" in source, "Fetcher._proc_fetch_request asks otherwise"


def test_a_fetch_result_keeps_its_records_where_they_can_be_exchanged() -> None:
    assert parameters(FetchResult.__init__) == ["self", "tp", "assignment", "partition_records", "backoff"]
    held = object()
    result = FetchResult(TP, assignment=None, partition_records=held, backoff=0.0)
    assert result._partition_records is held, "FetchResult._partition_records is gone"
    records = PartitionRecords.__init__
    assert "fetch_offset" in parameters(records), "PartitionRecords takes no fetch_offset"
    used = inspect.getsource(FetchResult)
    for name in (
        "_partition_records.next_fetch_offset",
        "in self._partition_records",
        "next(self._partition_records",
    ):
        assert name in used, f"FetchResult does not use {name}: _ChunkOnce imitates what it uses"
    assert "self.next_fetch_offset" in inspect.getsource(PartitionRecords), (
        "PartitionRecords.next_fetch_offset"
    )


def test_the_consumer_makes_its_fetcher_by_assigning_it() -> None:
    start = inspect.getsource(AIOKafkaConsumer.start)
    assert "self._fetcher = Fetcher(" in start, "AIOKafkaConsumer.start does not assign self._fetcher"
    assert "self._fetcher = None" in inspect.getsource(AIOKafkaConsumer.__init__), (
        "AIOKafkaConsumer.__init__ does not begin with self._fetcher = None: RawConsumer relies on it"
    )
    assert consumer_module.Fetcher is Fetcher
    init = inspect.getsource(Fetcher.__init__)
    for attribute in (
        "self._client = client",
        "self._records = ",
        "create_task(self._fetch_requests_routine())",
    ):
        assert attribute in init, f"Fetcher.__init__ does not set {attribute}"
    assert "__slots__" not in vars(Fetcher), "Fetcher has slots: its class cannot be exchanged"


def test_the_record_set_is_the_last_field_of_every_fetch_answer() -> None:
    answers = [answer for name, answer in vars(fetch_protocol).items() if name.startswith("FetchResponse_v")]
    assert len(answers) >= 10, "aiokafka.protocol.fetch has no FetchResponse_vN classes"
    for answer in answers:
        topics = dict(zip(answer.SCHEMA.names, answer.SCHEMA.fields, strict=True))["topics"]
        names, (_, partitions) = topics.array_of.names, topics.array_of.fields
        assert names == ("topics", "partitions"), f"{answer.__name__}: topics are laid out as {names}"
        fields = partitions.array_of
        assert fields.names[:3] == ("partition", "error_code", "highwater_offset"), answer.__name__
        assert fields.names[-1] == "message_set", f"{answer.__name__}: the record set is not the last field"
        assert fields.fields[-1] is Bytes, f"{answer.__name__}: the record set is not plain bytes"


def test_a_fetch_is_asked_for_by_a_fetch_request() -> None:
    made = inspect.getsource(Fetcher._get_actions_per_node)
    assert "FetchRequest(" in made, "Fetcher does not ask by FetchRequest: _Overheard looks for it"
    assert inspect.isclass(FetchRequest)


def test_the_checksum_is_reckoned_over_a_memoryview() -> None:
    data = b"123456789"
    assert calc_crc32c(data) == 0xE3069283, "calc_crc32c is not CRC-32C"
    assert calc_crc32c(memoryview(b"_" + data)[1:]) == 0xE3069283, (
        "calc_crc32c does not take a part of a memoryview"
    )


def test_the_errors_that_the_reader_tells_apart_are_there() -> None:
    for name in (
        "CommitFailedError",
        "CorruptRecordException",
        "IllegalStateError",
        "KafkaError",
        "OffsetOutOfRangeError",
        "RebalanceInProgressError",
        "RecordTooLargeError",
        "UnknownMemberIdError",
    ):
        assert hasattr(aiokafka.errors, name), f"aiokafka.errors.{name} is gone"
    source = inspect.getsource(Fetcher._proc_fetch_request)
    assert "OffsetOutOfRangeError({tp: fetch_offset})" in source, (
        "OffsetOutOfRangeError does not carry the positions: PositionGoneError names them"
    )


def test_the_consumer_has_what_the_transport_asks_of_it() -> None:
    assert "self._coordinator = " in inspect.getsource(AIOKafkaConsumer.__init__), (
        "AIOKafkaConsumer._coordinator"
    )
    assert "self.generation = " in inspect.getsource(GroupCoordinator.__init__), "GroupCoordinator.generation"
    assert "timeout_ms" in parameters(AIOKafkaConsumer.getmany), "AIOKafkaConsumer.getmany(timeout_ms)"


class State:
    """As much of a partition's state as a fetch needs."""

    has_valid_position = True
    paused = False
    awaiting_reset = False

    def __init__(self, position: int) -> None:
        self.position = position
        self.highwater = -1
        self.lso = self.timestamp = None

    def consumed_to(self, position: int) -> None:
        self.position = position

    def await_reset(self, strategy: object) -> None:
        self.awaiting_reset = True


class Assignment:
    active = True

    def __init__(self, **positions: int) -> None:
        self.states = {TopicPartition(topic, 0): State(offset) for topic, offset in positions.items()}

    def state_value(self, tp: TopicPartition) -> State:
        return self.states[tp]


class Client:
    """Answers every fetch with the same bytes."""

    def __init__(self, **answers: bytes) -> None:
        self._loop = asyncio.get_running_loop()
        self._metadata_max_age_ms = 1_000
        self._answers = answers
        self.aborted: list[tuple[int, int]] = []
        self.error_code = 0

    async def send(self, _node_id: int, request: Any) -> Any:
        answer = fetch_protocol.FetchResponse_v4(
            throttle_time_ms=0,
            topics=[
                (topic, [(0, self.error_code, 9, 9, self.aborted, data)])
                for topic, data in self._answers.items()
            ],
        )
        await asyncio.sleep(0)
        assert isinstance(request, FetchRequest)
        return answer


class Subscriptions:
    reassignment_in_progress = False
    subscription = None

    def register_fetch_waiters(self, waiters: Any) -> None:
        """Nothing wakes them here."""

    async def wait_for_assignment(self) -> None:
        await asyncio.Event().wait()


async def fetched(fetcher: RawFetcher, assignment: Assignment) -> dict[TopicPartition, list[Any]]:
    asked = [(tp.topic, [(0, state.position, 1 << 20)]) for tp, state in assignment.states.items()]
    assert await fetcher._proc_fetch_request(assignment, 1, FetchRequest(100, 1, 1 << 20, 0, asked))
    found: dict[TopicPartition, list[Any]] = await fetcher.fetched_records([])
    return found


async def test_a_mounted_fetcher_gives_chunks_for_raw_topics_and_records_for_the_others() -> None:
    data = batch(5, 2) + batch(7, 1)
    client = Client(raw=data, plain=data)
    mounted = RawFetcher.of(Fetcher(client, Subscriptions()), {"raw"})
    assignment = Assignment(raw=6, plain=6)
    found = await fetched(mounted, assignment)
    assert [record.offset for record in found[PLAIN]] == [6, 7]
    (chunk,) = found[TP]
    assert isinstance(chunk, Chunk)
    assert (chunk.start_offset, chunk.next_offset, sum(map(len, chunk.batches))) == (6, 8, len(data))
    assert read_records(chunk.batches, 6).offsets.tolist() == [6, 7]
    assert {tp: state.position for tp, state in assignment.states.items()} == {TP: 8, PLAIN: 8}
    await mounted.close()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (batch(5, 2)[:16] + b"\x01" + batch(5, 2)[17:], "format 1"),
        (batch(5, 2) + batch(5, 2), "follows one that ends later"),
        (batch(2, 2), "no whole batch"),
        (b"\x00" * 8 + b"\x00\x00\x00\x02ab", "no whole batch"),
    ],
)
async def test_an_answer_that_cannot_be_cut_stops_the_partition_where_it_stands(
    data: bytes, reason: str
) -> None:
    mounted = RawFetcher.of(Fetcher(Client(raw=data), Subscriptions()), {"raw"})
    assignment = Assignment(raw=5)
    with pytest.raises(CorruptLogError, match=rf"raw, partition 0, from offset 5: .*{reason}"):
        await fetched(mounted, assignment)
    with pytest.raises(KandleError):
        await mounted.fetched_records([])
    assert assignment.state_value(TP).position == 5
    await mounted.close()


async def test_batches_of_aborted_transactions_are_marked_whatever_order_they_are_listed_in() -> None:
    assert "self._aborted_transactions = sorted(" in inspect.getsource(PartitionRecords.__init__)
    data = batch(5, 1, producer_id=7) + batch(6, 1, producer_id=8) + batch(7, 1)
    client = Client(raw=data)
    client.aborted = [(8, 6), (7, 5)]
    mounted = RawFetcher.of(Fetcher(client, Subscriptions()), {"raw"})
    (chunk,) = (await fetched(mounted, Assignment(raw=5)))[TP]
    assert [each.is_aborted for each in chunk.batches] == [True, True, False]
    assert read_records(chunk.batches).offsets.tolist() == [7]
    await mounted.close()


async def test_a_position_beyond_the_log_is_an_error_even_where_aiokafka_would_begin_elsewhere() -> None:
    assert parameters(Fetcher._set_error) == ["self", "tp", "error"]
    client = Client(raw=b"", plain=b"")
    client.error_code = OffsetOutOfRangeError.errno
    mounted = RawFetcher.of(Fetcher(client, Subscriptions(), auto_offset_reset="earliest"), {"raw"})
    assignment = Assignment(raw=6, plain=6)
    with pytest.raises(OffsetOutOfRangeError) as raised:
        await fetched(mounted, assignment)
    assert raised.value.args == ({TP: 6},)
    assert assignment.state_value(PLAIN).awaiting_reset, "other topics are reset as ever"
    await mounted.close()


async def test_the_consumer_mounts_the_fetcher_when_it_is_assigned() -> None:
    consumer = RawConsumer({"raw"})
    assert consumer._fetcher is None
    fetcher = Fetcher(Client(), Subscriptions())
    consumer._fetcher = fetcher
    assert consumer._fetcher is fetcher
    assert type(fetcher) is RawFetcher
    await fetcher.close()
    consumer._fetcher = None
    await consumer.stop()


def test_a_request_of_ours_is_known_by_what_its_generic_base_names() -> None:
    assert (Describe,) == DescribeAll._CLASSES, "Request does not read its form from Request[...]"
