"""Candles and indicator values to bytes, faster than `rows.encode` and equal to it byte for byte.

What repeats is encoded once: the texts of a series, the times that all series share, small numbers. A test
holds both against each other, and so notices when a schema changes.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from typing import Final

from schemas.records import Candle, IndicatorValue
from schemas.registry import BY_RECORD
from schemas.rows import HEADER, MAGIC

_PRICES: Final = struct.Struct("<7d")
_VALUE: Final = struct.Struct("<d")
_NULL: Final = b"\x00"
_SOME: Final = b"\x02"
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


def _starter(record: type[Candle] | type[IndicatorValue]) -> Callable[[str, str, str], bytes]:
    header = HEADER.pack(MAGIC, BY_RECORD[record].schema_id)

    @functools.lru_cache(_SERIES_KEPT)
    def start(venue: str, symbol: str, interval: str) -> bytes:
        return header + _text(venue) + _text(symbol) + _text(interval)

    return start


_candle_start = _starter(Candle)
_value_start = _starter(IndicatorValue)
_number = functools.lru_cache(_NUMBERS_KEPT)(_long)
_name = functools.lru_cache(_NUMBERS_KEPT)(_text)


def candle_bytes(candle: Candle) -> bytes:
    """The value of a candle's record."""
    first, last, vwap = candle.first_sequence, candle.last_sequence, candle.vwap
    return b"".join(
        (
            _candle_start(candle.venue, candle.symbol, candle.interval),
            _number(candle.open_time),
            _number(candle.close_time),
            _PRICES.pack(
                candle.open,
                candle.high,
                candle.low,
                candle.close,
                candle.volume,
                candle.quote_volume,
                candle.taker_buy_volume,
            ),
            _number(candle.trade_count),
            _NULL if first is None else _SOME + _long(first),
            _NULL if last is None else _SOME + _long(last),
            _number(candle.revision),
            _BOOLEANS[candle.complete],
            _NULL if vwap is None else _SOME + _VALUE.pack(vwap),
            _BOOLEANS[candle.backfilled],
        )
    )


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
