"""Work that runs side by side and ends together."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any


async def until_one_ends(work: Mapping[str, Coroutine[Any, Any, None]]) -> None:
    """Run all of it until one ends or fails, then cancel the others and wait for them.

    Args:
        work: By name of the task.

    Raises:
        BaseException: What ended one of them.
    """
    tasks = [asyncio.create_task(each, name=name) for name, each in work.items()]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def in_background(
    work: Mapping[str, Coroutine[Any, Any, None]], failed: Callable[[str, BaseException], None]
) -> AsyncIterator[None]:
    """Run all of it for as long as the block lasts; where one fails, the others and the block go on.

    Args:
        work: By name of the task.
        failed: Told at once of a task that has failed: its name, and what it has raised.
    """

    def look(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            failed(task.get_name(), error)

    tasks = [asyncio.create_task(each, name=name) for name, each in work.items()]
    for task in tasks:
        task.add_done_callback(look)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
