"""Work beside a block: what fails is told of at once, and the rest goes on."""

from __future__ import annotations

import asyncio

from infra.tasks import in_background


async def test_a_failure_is_told_and_takes_nothing_else_along() -> None:
    told: list[tuple[str, str]] = []
    goes_on = asyncio.Event()
    ended: list[str] = []

    async def fails() -> None:
        raise KeyError("partition")

    async def lasts() -> None:
        try:
            await asyncio.sleep(0.01)
            goes_on.set()
            await asyncio.sleep(60)
        finally:
            ended.append("lasts")

    def failed(name: str, error: BaseException) -> None:
        told.append((name, repr(error)))

    async with in_background({"brokers": fails(), "health": lasts()}, failed):
        async with asyncio.timeout(5):
            await goes_on.wait()
        assert told == [("brokers", "KeyError('partition')")]
        assert not ended
    assert ended == ["lasts"]
    assert len(told) == 1, "what is cancelled at the end has not failed"
