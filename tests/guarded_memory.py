"""Memory that ends at a page nobody may touch: a read one byte beyond ends the process.

Run as a module it reads hostile bytes with all compiled kernels; a test does so in a process of its own.
"""

import ctypes
import mmap
import random
import sys
from typing import Any

import numpy as np

from infra.kafka.record_batches import frame
from schemas.columns import ColumnReader
from schemas.key_table import KeyTable
from schemas.registry import ENTRIES
from tests.avro_model import Entry

PROT_NONE = 0


class GuardedMemory:
    """A page range of which the last page is locked.

    Args:
        size: Bytes that can be used, at most.
    """

    def __init__(self, size: int) -> None:
        pages = -(-size // mmap.PAGESIZE)
        self._map = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
        self._end = pages * mmap.PAGESIZE
        whole = np.frombuffer(self._map, np.uint8)
        libc = ctypes.CDLL(None, use_errno=True)
        address = ctypes.c_void_p(whole.ctypes.data + self._end)
        if libc.mprotect(address, mmap.PAGESIZE, PROT_NONE):
            raise OSError(ctypes.get_errno(), "mprotect")
        self._bytes = whole

    def holding(self, data: bytes) -> Any:
        """An array with these bytes whose end is the end of what may be read."""
        array = self._bytes[self._end - len(data) : self._end]
        array[:] = np.frombuffer(data, np.uint8)
        return array

    def touch_beyond(self) -> None:
        """End the process."""
        ctypes.string_at(self._bytes.ctypes.data + self._end, 1)


EVERY_TYPE = Entry(
    90,
    "all",
    {
        "type": "record",
        "name": "All",
        "fields": [
            {"name": f"f{index}", "type": type_}
            for index, type_ in enumerate(
                [
                    *("boolean", "int", "long", "float", "double", "bytes", "string"),
                    {"type": "enum", "name": "E", "symbols": ["a", "b"]},
                    ["null", "string"],
                    *({"type": "array", "items": i} for i in ("boolean", "int", "long", "float", "double")),
                    ["double", "null"],
                    "string",
                    "double",
                ]
            )
        ],
    },
)
PIECES = (
    b"\x00",
    b"\x02",
    b"\x03",
    b"\x80",
    b"\xff",
    b"\x7f",
    b"\x10abcdefgh",
    b"\xff" * 9,
    b"\x01",
    b"\xe2\x82",
)


def hostile(chance: random.Random) -> bytes:
    pieces = chance.choices(PIECES, k=chance.randrange(1, 40))
    return b"".join(pieces)[: chance.randrange(1, 60)]


def main(rounds: int) -> None:
    """Read hostile bytes that end at the locked page."""
    chance = random.Random(1)
    memory = GuardedMemory(1 << 16)
    single = [Entry(i, i, one) for i, one in enumerate(single_fields())]
    reader = ColumnReader([*ENTRIES, EVERY_TYPE])
    singles = ColumnReader(single)
    prefixes = [bytes([0, 0, 0, 0, number]) for number in [*range(24), 90]]
    for _ in range(rounds):
        value = chance.choice(prefixes) + hostile(chance)
        data = memory.holding(value)
        spans = np.zeros(1, np.int64), np.array([len(value)])
        reader.read(data, *spans)
        singles.read(data, *spans)
        KeyTable().intern(data, *spans)
        body = hostile(chance)
        data = memory.holding(bytes([min(127, 2 * chance.randrange(len(body) + 2))]) + body)
        limits = np.array([[0], [data.size], [data.size // 7 + 1], [0], [0], [-1], [2**40]], np.int64)
        frame(data, limits, 0, np.empty((9, int(limits[2, 0])), np.int64), np.zeros(1, np.bool_))


def single_fields() -> list[dict[str, Any]]:
    """A schema for each type alone, so that its first byte is soon the last."""
    return [{"type": "record", "name": "One", "fields": [field]} for field in EVERY_TYPE.definition["fields"]]


if __name__ == "__main__":
    if sys.argv[1] == "beyond":
        GuardedMemory(1).touch_beyond()
    main(int(sys.argv[1]))
