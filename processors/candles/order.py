"""The order in which candles leave. Compiled; not cached by Numba on its own, see `pool`."""

from typing import Any

from processors.candles.words import part


@part
def sort(keys: Any, slots: Any, count: int) -> None:
    """Sort keys, and slots with them (Shell's sort with Knuth's gaps: it needs no memory)."""
    gap = 1
    while gap < count // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for end in range(gap, count):
            key, slot = keys[end], slots[end]
            index = end
            while index >= gap and keys[index - gap] > key:
                keys[index], slots[index] = keys[index - gap], slots[index - gap]
                index -= gap
            keys[index], slots[index] = key, slot
        gap //= 3
