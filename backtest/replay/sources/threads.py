"""Blocking generators as asynchronous ones: reading and parsing in a thread, a step at a time."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def in_thread(items: Generator[T, None, None]) -> AsyncGenerator[T, None]:
    """The items of a generator, each made in a thread while the event loop runs on."""
    done = object()
    try:
        while True:
            item = await asyncio.to_thread(next, items, done)
            if item is done:
                return
            yield item  # type: ignore[misc]
    finally:
        # One that a thread still works on is left to it.
        with suppress(ValueError):
            items.close()
