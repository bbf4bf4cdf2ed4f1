"""Where a replay stands: told by the last record of each partition that it writes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from backtest.replay.headers import standing
from backtest.replay.source import NOTHING, Partition
from backtest.replay.together import together
from infra.kafka.admin import Admin
from infra.kafka.log_scan import scan
from infra.settings import KafkaSettings
from schemas.errors import ConflictError
from schemas.namespace import Namespace

SETTLE_S = 0.5
"""A killed process may have left a batch with the broker, which still takes it."""
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Standing:
    """What a partition holds.

    Attributes:
        position: Of its last record, in the source; `NOTHING`: it is empty.
        end: Offset after that record.
    """

    position: int
    end: int


async def find_standing(
    kafka: KafkaSettings, namespace: Namespace, partitions: Sequence[Partition], replay_id: str
) -> dict[Partition, Standing]:
    """Where a replay stands in each partition of its topics.

    Raises:
        ConflictError: They hold something else, or not all that was written.
        UnavailableError: Kafka does not answer.
    """
    ends = await stable_ends(kafka, namespace, partitions)
    places = asyncio.Semaphore(AT_ONCE)

    async def one(partition: Partition, first: int, end: int) -> tuple[Partition, Standing]:
        if end == 0:
            return partition, Standing(NOTHING, 0)
        async with places:
            position = await _last(kafka, namespace, partition, first, end, replay_id)
        return partition, Standing(position, end)

    return dict(await together(one(tp, first, end) for tp, (first, end) in ends.items()))


async def stable_ends(
    kafka: KafkaSettings, namespace: Namespace, partitions: Sequence[Partition]
) -> dict[Partition, tuple[int, int]]:
    """First offset and end of each partition, once no writer that is gone adds to it any more."""
    admin = await asyncio.to_thread(Admin, kafka)
    found = await asyncio.to_thread(log_bounds, admin, namespace, partitions)
    while any(end for _, end in found.values()):
        await asyncio.sleep(SETTLE_S)
        again = await asyncio.to_thread(log_bounds, admin, namespace, partitions)
        if again == found:
            break
        found = again
    return found


def log_bounds(
    admin: Admin, namespace: Namespace, partitions: Sequence[Partition]
) -> dict[Partition, tuple[int, int]]:
    """First offset and end of each partition; blocks."""
    named = {(namespace.name_of(tp.topic), tp.number): tp for tp in partitions}
    return {named[key]: bounds for key, bounds in admin.log_ranges(named).items()}


async def _last(
    kafka: KafkaSettings, namespace: Namespace, partition: Partition, first: int, end: int, replay_id: str
) -> int:
    name = namespace.name_of(partition.topic)
    remedy = f"remove it: kandle replay --drop {namespace.prefix}; or replay into another prefix"
    if first >= end:
        raise ConflictError(
            f"{name} partition {partition.number} holds none of its {end} records any more: {remedy}"
        )
    told = None
    async with aclosing(scan(kafka, name, partition.number, end - 1, end)) as batches:
        async for records in batches:
            if len(records):
                told = standing(records.headers(len(records) - 1))
    if told is None:
        raise ConflictError(f"{name} partition {partition.number} was not written by a replay: {remedy}")
    if told[0] != replay_id:
        raise ConflictError(
            f"{namespace.prefix} holds another replay ({told[0]}; this one is {replay_id}): of another "
            f"source, period, or choice of topics or symbols. Go on with that one, or {remedy}"
        )
    return told[1]
