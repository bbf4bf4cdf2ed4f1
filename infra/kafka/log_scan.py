"""Reading a part of a partition once, from one offset to another, without a consumer group."""

from collections.abc import AsyncGenerator, Mapping
from typing import Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from infra.kafka.connection import aiokafka_config
from infra.kafka.raw_fetcher import Chunk, RawConsumer
from infra.kafka.record_batches import RawRecords, read_records
from infra.settings import KafkaSettings
from schemas.errors import ConflictError, UnavailableError

FETCH_BYTES: Final = 4 * 1024 * 1024
STILL_S: Final = 30.0
"""The broker must bring something within this time as long as the end is not reached."""


async def scan(
    settings: KafkaSettings,
    topic: str,
    partition: int,
    start: int,
    end: int,
    fetch_bytes: int = FETCH_BYTES,
) -> AsyncGenerator[RawRecords, None]:
    """The records of [start, end) in order, some thousand at a time.

    What lies between and is no record (holes of a compaction, control batches) is passed over.

    Args:
        settings: Where Kafka is.
        topic: Its name.
        partition: Which of it.
        start: Offset of the first record that is wanted.
        end: Offset after the last one.
        fetch_bytes: As many are fetched at a time, as Kafka holds them; a larger batch comes whole.

    Raises:
        UnavailableError: The broker does not answer.
        ConflictError: `start` is not in the log any more.
        CorruptLogError: A batch is damaged.
    """
    if start >= end:
        return
    tp = TopicPartition(topic, partition)
    consumer = RawConsumer(
        [topic],
        **aiokafka_config(settings),
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=fetch_bytes,
        fetch_max_wait_ms=100,
    )
    try:
        await consumer.start()
        consumer.assign([tp])
        consumer.seek(tp, start)
        position = start
        while position < end:
            fetched: Mapping[TopicPartition, list[Chunk]] = await consumer.getmany(
                timeout_ms=int(STILL_S * 1_000)
            )
            if not fetched:
                raise UnavailableError(
                    f"{topic} partition {partition} was not read on from offset {position} within "
                    f"{STILL_S:g} s; is the broker up?"
                )
            for chunk in fetched[tp]:
                inside = [batch for batch in chunk.batches if batch.base_offset < end]
                records = read_records(inside, position)
                records.raise_if_corrupt(topic, partition)
                position = chunk.next_offset
                if len(records) and int(records.offsets[-1]) >= end:
                    records = records.before(end)
                yield records
    except OffsetOutOfRangeError as error:
        raise ConflictError(f"{topic} partition {partition} has no offset {start} any more") from error
    except KafkaError as error:
        raise UnavailableError(f"{topic} partition {partition} cannot be read: {error!r}") from error
    finally:
        await consumer.stop()
