"""What the agents write fast is what the reference codec writes."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from infra.kafka.outgoing_records import OutgoingRecords
from infra.kafka.record_batches import RawRecords, read_records, split_batches
from processors.agents.candle_messages import CandleMessages, with_marks
from processors.agents.writers import indicator_bytes
from processors.candles.builder import CandleBuilder
from processors.candles.rules import CandleRules
from schemas import rows
from schemas.identity import market_key
from schemas.records import IndicatorValue, Trade
from tests.candle_stream import KeyIds, rows_from
from tests.processor_harness import market

TEXTS = st.text(max_size=20)
LONGS = st.integers(-(2**63), 2**63 - 1)
INTS = st.integers(-(2**31), 2**31 - 1)
DOUBLES = st.floats(allow_nan=False)


@given(st.builds(IndicatorValue, *[TEXTS] * 3, LONGS, TEXTS, DOUBLES, INTS, st.booleans()))
def test_an_indicator_value_is_written_as_the_reference_writes_it(value: IndicatorValue) -> None:
    assert indicator_bytes(value) == rows.encode(value)


def test_candles_leave_as_the_reference_writes_them_every_mark_after_what_it_closed() -> None:
    stream = market(seconds=8, rate=400)[0]
    early = next(item for item in stream if isinstance(item, Trade))
    late = msgspec.structs.replace(early, sequence=None, price=early.price * 2)
    stream.insert(1_000, late)
    builder, messages, ids = CandleBuilder(CandleRules.of()), CandleMessages(), KeyIds()
    wanted: list[tuple[bytes | None, bytes | None]] = []
    found: list[tuple[bytes | None, bytes | None]] = []
    revisions = 0
    for items in (stream[:900], stream[900:]):
        values: list[tuple[bytes | None, bytes | None]] = [(b"k", rows.encode(item)) for item in items]
        records = records_of(values)
        rows_ = rows_from(items, 0, ids)
        candles = builder.fold(rows_).candles
        revisions += sum(candles.revisions.tolist())
        outgoing = with_marks(candles.mark_rows, messages.of(candles), sorted(rows_.marks), records)
        found += [(outgoing.keys.value(row), outgoing.values.value(row)) for row in range(len(outgoing))]
        closed = list(zip(candles.mark_rows.tolist(), candles, strict=True))
        for row in sorted(rows_.marks):
            wanted += [
                (market_key(candle.venue, candle.symbol).encode(), rows.encode(candle))
                for at, candle in closed
                if at == row
            ]
            wanted.append(values[row])
    assert len(wanted) > 20
    assert revisions
    assert found == wanted


def records_of(values: list[tuple[bytes | None, bytes | None]]) -> RawRecords:
    (batch,) = OutgoingRecords.of(values).batches(1 << 24)
    return read_records(split_batches(batch._build()))
