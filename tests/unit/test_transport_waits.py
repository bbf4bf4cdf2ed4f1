"""How long the transport waits for records, without a broker."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from processors.engine.transport import HELD_BACK_WAIT_S, Consumer

ONE, OTHER = TP("market.trades.v1", 0), TP("market.candles.v1", 0)


class Waiting(Consumer):
    """A consumer whose fetch says how long it was to wait, and finds nothing."""

    def __init__(self, held_back: set[TP]) -> None:
        self.waited: list[float] = []
        self.flow_active, self._lost = True, False
        self._active_partitions = {ONE, OTHER} - held_back
        self._buffered_partitions = held_back
        self.app = SimpleNamespace(consumer_generation_id=1)

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
