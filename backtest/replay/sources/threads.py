"""Blocking iterators as asynchronous ones: reading and parsing in a thread, a step at a time."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import TypeVar

T = TypeVar("T")


async def in_thread(items: Iterator[T]) -> AsyncGenerator[T, None]:
    """The items of an iterator, each made in a thread while the event loop runs on."""
    done = object()
    while True:
        item = await asyncio.to_thread(next, items, done)
        if item is done:
            return
        yield item  # type: ignore[misc]
