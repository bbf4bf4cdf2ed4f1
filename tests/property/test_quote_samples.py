"""Sampled quotes against the plain rule, however the topic is cut into portions."""

from __future__ import annotations

import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from infra.kafka.record_batches import RawRecords
from schemas import rows
from schemas.columns import ColumnReader
from schemas.records import Quote
from schemas.topics import QUOTES
from sinks.portion import Slice
from sinks.positions import Counts, PartitionRef
from sinks.timescale.copy_binary import POSTGRES_EPOCH_US
from sinks.timescale.quote_samples import Held, QuoteSamples
from sinks.timescale.seen_ids import Market, SeenIds

EVERY_MS = 10
EVERY_US = EVERY_MS * 1000
BASE_US = 1_700_000_000_000_000
REF = PartitionRef(1, 0, QUOTES.name)
Row = tuple[int, int, int | None, float | None, float]
"""Time, receive time, sequence, bid, bid size."""

market_numbers = st.integers(0, 2)
times = st.integers(-2 * EVERY_US, 4 * EVERY_US)


@st.composite
def quotes(draw: st.DrawFn) -> list[tuple[int, Quote]]:
    """Quotes with the number of their market; those of market 0 have no sequence."""
    found = []
    for place in range(draw(st.integers(1, 25))):
        market = draw(market_numbers)
        found.append(
            (
                market,
                Quote(
                    *("v", f"S{market}", draw(st.sampled_from([None, 1.5])), float(place), None, 0.0),
                    None if market == 0 else draw(st.integers(0, 20)),
                    draw(st.one_of(st.none(), times.map(lambda at: BASE_US + at))),
                    BASE_US + draw(times),
                ),
            )
        )
    return found


def sliced(part: list[tuple[int, Quote]]) -> tuple[Slice, np.ndarray]:
    values = [rows.encode(quote) for _, quote in part]
    lengths = np.array([len(value) for value in values], np.int64)
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int64)
    columns = ColumnReader().read(np.frombuffer(b"".join(values), np.uint8), starts, lengths)
    slice_ = Slice(REF, 0, 0, 0, RawRecords.__new__(RawRecords), columns, np.ones(len(part), np.bool_))
    return slice_, np.array([market + 5 for market, _ in part], np.int64)


def unpacked(data: bytes) -> list[tuple[int, Row]]:
    """Rows of COPY with their instruments."""
    found, at = [], 0
    while at < len(data):
        (fields,) = struct.unpack_from(">h", data, at)
        at += 2
        cells: list[bytes | None] = []
        for _ in range(fields):
            (length,) = struct.unpack_from(">i", data, at)
            at += 4
            cells.append(None if length < 0 else data[at : at + length])
            at += max(length, 0)
        found.append((int.from_bytes(cells[7] or b""), _row(cells)))
    return found


def _row(cells: list[bytes | None]) -> Row:
    def whole(cell: bytes | None) -> int | None:
        return None if cell is None else struct.unpack(">q", cell)[0]

    def double(cell: bytes | None) -> float | None:
        return None if cell is None else struct.unpack(">d", cell)[0]

    at, received = whole(cells[0]), whole(cells[1])
    assert at is not None
    assert received is not None
    size = double(cells[4])
    assert size is not None
    return at + POSTGRES_EPOCH_US, received + POSTGRES_EPOCH_US, whole(cells[2]), double(cells[3]), size


def plain(all_quotes: list[tuple[int, Quote]]) -> tuple[list[tuple[int, Row]], Counts]:
    """The rule, one quote after another: rows that ended and rows that are held, and the totals."""
    ended: list[tuple[int, Row]] = []
    held: dict[int, Row] = {}
    newest: dict[int, int] = {}
    counts = Counts()
    for market, quote in all_quotes:
        at = quote.receive_time if quote.event_time is None else quote.event_time
        row = (at, quote.receive_time, quote.sequence, quote.bid, quote.bid_size)
        before = held.get(market)
        if before is not None:
            numbered = quote.sequence is not None and before[2] is not None
            is_new = quote.sequence > before[2] if numbered else row[:2] > before[:2]  # type: ignore[operator]
            if not is_new:
                counts.repeated += 1
                continue
            if max(at, newest[market]) // EVERY_US > newest[market] // EVERY_US:
                ended.append((market + 5, before))
                counts.stored += 1
            else:
                counts.revised += 1
        else:
            counts.stored += 1
        held[market] = row
        newest[market] = max(at, newest.get(market, at))
    return ended + [(market + 5, row) for market, row in held.items()], counts


@given(quotes(), st.data())
def test_samples_are_the_same_however_the_topic_is_cut(
    all_quotes: list[tuple[int, Quote]], data: st.DataObject
) -> None:
    samples, seen = QuoteSamples(EVERY_MS), SeenIds()
    found: list[tuple[int, Row]] = []
    totals = Counts()
    left = all_quotes
    held: dict[Market, Held] = {}
    while left:
        size = data.draw(st.integers(1, len(left)))
        slice_, instruments = sliced(left[:size])
        left = left[size:]
        verdict = seen.judge_quotes(
            REF,
            instruments,
            slice_.columns.column(Quote, "sequence"),
            slice_.columns.valid(Quote, "sequence"),
            slice_.kept(Quote),
        )
        sampled = samples.take(slice_, instruments, verdict)
        seen.adopt(verdict.seen)
        samples.adopt(sampled.held, [])
        held |= sampled.held
        totals += sampled.counts
        for part in sampled.rows:
            found += unpacked(part.tobytes())
    released, markets = samples.release([REF])
    assert set(markets) == set(held)
    for part in released:
        found += unpacked(part.tobytes())
    expected, counts = plain(all_quotes)
    assert sorted(map(repr, found)) == sorted(map(repr, expected))
    assert totals == counts
    assert totals.stored == len(found)
