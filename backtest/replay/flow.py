"""The streams of a source at work: each reads a step ahead, a merge says what is next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Final

from backtest.replay.choice import SymbolChoice
from backtest.replay.merge import Merge
from backtest.replay.source import Step
from schemas.records import Micros

CLOSE_TIMEOUT_S: Final = 5.0


class Flow:
    """Reads streams side by side. Of each one step waits and another one is made meanwhile.

    Attributes:
        merge: What was read and is not taken yet.

    Args:
        streams: What is read.
        until: End of the period.
        choice: What of it is wanted; None: all.
    """

    def __init__(
        self,
        streams: Sequence[AsyncGenerator[Step, None]],
        until: Micros | None = None,
        choice: SymbolChoice | None = None,
    ) -> None:
        self.merge = Merge(len(streams), until)
        self._choice = choice
        self._streams = list(streams)
        self._next: list[asyncio.Task[Step | None]] = []

    async def fill(self) -> bool:
        """Wait until it is known what is next; whether there is anything left.

        Raises:
            KandleError: A stream has failed.
        """
        if not self._next:
            self._next = [asyncio.create_task(_step_of(stream)) for stream in self._streams]
        while True:
            for index in self.merge.wanting:
                if self._next[index].done():
                    self._take(index)
            lacking, wanting = self.merge.lacking, self.merge.wanting
            if not lacking and (self.merge.next_due is not None or not wanting):
                return not self.merge.is_done
            # Without the lacking ones the order is not known; without any record there is nothing to order.
            await asyncio.wait(
                [self._next[index] for index in lacking or wanting], return_when=asyncio.FIRST_COMPLETED
            )

    async def close(self) -> None:
        """Stop reading, at the end of a step: a client that is cut off leaves a socket."""
        if self._next:
            await asyncio.wait(self._next, timeout=CLOSE_TIMEOUT_S)
        for task in self._next:
            task.cancel()
        await asyncio.gather(*self._next, return_exceptions=True)
        for stream in self._streams:
            with suppress(Exception):
                await stream.aclose()

    def _take(self, index: int) -> None:
        step = self._next[index].result()
        if step is None:
            self.merge.end(index)
            return
        self.merge.add(index, step if self._choice is None else self._choice.of(step))
        self._next[index] = asyncio.create_task(_step_of(self._streams[index]))


async def _step_of(stream: AsyncGenerator[Step, None]) -> Step | None:
    return await anext(stream, None)
