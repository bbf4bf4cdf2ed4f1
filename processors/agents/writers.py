"""Indicator values to bytes, faster than `rows.encode` and equal to it byte for byte.

What repeats is encoded once: the texts of a series, the times that all series share, small numbers. A test
holds both against each other, and so notices when a schema changes.
"""

from __future__ import annotations

import functools
import struct
from typing import Final

from schemas.records import IndicatorValue
from schemas.registry import BY_RECORD
from schemas.rows import HEADER, MAGIC

Message = tuple[bytes | None, bytes | None]
"""Key and value of a record."""

_VALUE: Final = struct.Struct("<d")
_BOOLEANS: Final = (b"\x00", b"\x01")
_SERIES_KEPT: Final = 1 << 16
_NUMBERS_KEPT: Final = 1 << 12


def _long(number: int) -> bytes:
    """Avro's zigzag varint."""
    rest = (number << 1) ^ (number >> 63)
    parts = bytearray()
    while rest > 0x7F:
        parts.append((rest & 0x7F) | 0x80)
        rest >>= 7
    parts.append(rest)
    return bytes(parts)


def _text(text: str) -> bytes:
    raw = text.encode()
    return _long(len(raw)) + raw


@functools.lru_cache(_SERIES_KEPT)
def _value_start(venue: str, symbol: str, interval: str) -> bytes:
    header = HEADER.pack(MAGIC, BY_RECORD[IndicatorValue].schema_id)
    return header + _text(venue) + _text(symbol) + _text(interval)


_number = functools.lru_cache(_NUMBERS_KEPT)(_long)
_name = functools.lru_cache(_NUMBERS_KEPT)(_text)


def indicator_bytes(value: IndicatorValue) -> bytes:
    """The value of an indicator value's record."""
    return b"".join(
        (
            _value_start(value.venue, value.symbol, value.interval),
            _number(value.open_time),
            _name(value.name),
            _VALUE.pack(value.value),
            _number(value.revision),
            _BOOLEANS[value.complete],
        )
    )
