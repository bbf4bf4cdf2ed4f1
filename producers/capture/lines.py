"""Normalized records as JSON lines: short names, whole microseconds, and no field that does not apply."""

from typing import Any, Final

import msgspec

from producers.capture.reading import NAMES
from producers.exchange import MarketRecord
from schemas.records import BookUpdate, Quote

RENAMED: Final = {
    "first_sequence": "first_id",
    "last_sequence": "last_id",
    "previous_sequence": "previous_id",
}
"""Fields whose name in a line differs from that in the record."""

FLAGS: Final = frozenset({"backfilled", "inexact"})
"""Fields that are there only if they are true."""

LEVELS: Final = frozenset({"kind", "bid_prices", "bid_sizes", "ask_prices", "ask_sizes"})
"""Fields of a book that are written in another way."""

_FIELDS: Final[dict[type[MarketRecord], list[tuple[str, str]]]] = {
    record: [
        (field, RENAMED.get(field, field))
        for field in record.__struct_fields__
        if not (record is BookUpdate and field in LEVELS)
    ]
    for record in NAMES
}


def as_fields(record: MarketRecord) -> dict[str, Any]:
    """Fields of a line; what the venue did not say is absent.

    A book has `snapshot`, and `bids` and `asks` as pairs of price and size. A quote that was read from a
    ticker has no sizes.
    """
    kind = type(record)
    fields: dict[str, Any] = {"type": NAMES[kind]}
    for field, name in _FIELDS[kind]:
        value = getattr(record, field)
        if value is not None and (value or field not in FLAGS):
            fields[name] = value
    if isinstance(record, BookUpdate):
        fields["snapshot"] = record.kind == "snapshot"
        fields["bids"] = list(zip(record.bid_prices, record.bid_sizes, strict=True))
        fields["asks"] = list(zip(record.ask_prices, record.ask_sizes, strict=True))
    elif isinstance(record, Quote):
        for price, size in (("bid", "bid_size"), ("ask", "ask_size")):
            if price in fields and not fields[size]:
                del fields[size]
    return fields


def as_line(record: MarketRecord) -> bytes:
    """One JSON object and a line break."""
    return msgspec.json.encode(as_fields(record)) + b"\n"
