"""What the transport waits for and hands over first, without a broker."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from infra.kafka.raw_fetcher import Chunk
from processors.engine.transport import HELD_BACK_WAIT_S, Consumer

ONE, OTHER = TP("market.trades.v1", 0), TP("market.candles.v1", 0)


class Waiting(Consumer):
    """A consumer whose fetch says how long it was to wait, and finds nothing."""

    def __init__(self, held_back: set[TP]) -> None:
        self.waited: list[float] = []
        self.flow_active, self._lost = True, False
        self._active_partitions = {ONE, OTHER} - held_back
        self._buffered_partitions = held_back
        self.app = SimpleNamespace(consumer_generation_id=1, batched=(ONE.topic, OTHER.topic))

    @property
    def should_stop(self) -> bool:
        return False

    async def _getmany(self, active_partitions: set[TP], timeout: float) -> dict[TP, Any]:  # noqa: ASYNC109
        assert active_partitions == self._active_partitions
        self.waited.append(timeout)
        await asyncio.sleep(0)
        return {}


@pytest.mark.parametrize(("held_back", "expected"), [(set(), 1.0), ({ONE}, HELD_BACK_WAIT_S)])
async def test_others_are_not_waited_for_while_a_partition_is_held_back(
    held_back: set[TP], expected: float
) -> None:
    consumer = Waiting(held_back)
    assert [found async for found in consumer.getmany(1.0)] == []
    assert consumer.waited == [expected]


class Full(Waiting):
    """A consumer whose fetch finds a chunk in each partition."""

    def __init__(self) -> None:
        super().__init__(set())
        self.app.monitor = SimpleNamespace(track_tp_end_offset=lambda *_: None)

    def highwater(self, tp: TP) -> int:
        return 1

    async def _getmany(self, active_partitions: set[TP], timeout: float) -> dict[TP, Any]:  # noqa: ASYNC109
        return {tp: [Chunk([], 0, 1)] for tp in (ONE, OTHER)}


async def test_what_was_derived_is_handed_over_before_what_more_is_derived_from() -> None:
    assert [tp async for tp, _ in Full().getmany(1.0)] == [OTHER, ONE]
