"""Batches of transactions that were given up: who reads what was committed passes them over."""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from infra.kafka.record_batches import RecordBatch


def with_aborted(batches: list[RecordBatch], aborted: Iterable[tuple[int, int]]) -> list[RecordBatch]:
    """The same batches, those of transactions that were given up marked as such.

    Args:
        batches: In order of their offsets, from one answer of the broker.
        aborted: Producer id and first offset of each such transaction, as the answer lists them to who asks
            for committed records. Each lasts up to its producer's next control batch.
    """
    upcoming = deque(sorted(aborted, key=lambda each: each[1]))
    if not upcoming:
        return batches
    giving_up: set[int] = set()
    found = []
    for batch in batches:
        while upcoming and upcoming[0][1] <= batch.last_offset:
            giving_up.add(upcoming.popleft()[0])
        if batch.is_control:
            giving_up.discard(batch.producer_id)
        is_aborted = batch.is_transactional and not batch.is_control and batch.producer_id in giving_up
        found.append(replace(batch, is_aborted=True) if is_aborted else batch)
    return found
