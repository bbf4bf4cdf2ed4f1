"""Work that runs side by side and ends together."""

import asyncio
from collections.abc import Coroutine, Mapping
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
