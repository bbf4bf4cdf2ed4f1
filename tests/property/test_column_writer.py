"""Values written from columns, and batches of them, against the readers and fastavro."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.kafka.outgoing_records import OutgoingRecords
from infra.kafka.record_batches import HEADER, read_records, split_batches
from schemas import rows
from schemas.column_writer import ColumnWriter
from schemas.columns import ColumnReader
from schemas.errors import ConfigurationError
from schemas.records import BookUpdate, Candle, IndicatorValue, LiveCandle, Record, Signal, TimeMark, Trade
from schemas.registry import BY_RECORD
from schemas.spans import Spans
from tests.avro_model import rows_of

RECORDS = (Candle, IndicatorValue, LiveCandle, TimeMark, Trade)
TEXTS = st.one_of(st.none(), st.binary(max_size=300))


@st.composite
def record_batches(draw: st.DrawFn) -> list[Record]:
    """Records of one type."""
    kinds: list[type[Record]] = list(RECORDS)
    kind = draw(st.sampled_from(kinds))
    definition = BY_RECORD[kind].parsed
    made: list[dict[str, Any]] = draw(st.lists(rows_of(definition), min_size=1, max_size=6))
    return [kind(**fields) for fields in made]


@given(record_batches())
def test_what_is_read_and_written_again_is_the_same_bytes(records: list[Record]) -> None:
    kind = type(records[0])
    values = [rows.encode_by_reference(record) for record in records]
    spans = Spans.of(values)
    columns = ColumnReader([BY_RECORD[kind]]).read(spans.data, spans.starts, spans.lengths)
    written = ColumnWriter(kind).write(columns.cells, columns.data)
    assert [written.value(row) for row in range(len(written))] == values


def test_a_draft_is_the_record() -> None:
    texts = Spans.of([b"binance", b"", "BTC/\N{EURO SIGN}".encode(), b"1m", b"ema_20"])
    draft = ColumnWriter(IndicatorValue).begin(2, texts.data)
    draft.text("venue", texts.take(np.array([0, 1])))
    draft.text("symbol", texts.take(np.array([2, 2])))
    draft.text("interval", texts.take(np.array([3, 3])))
    draft.text("name", texts.take(np.array([4, 4])))
    draft.set("open_time", [1 << 50, -1])
    draft.set("value", [1.5, float("-inf")])
    draft.set("revision", 3)
    draft.set("complete", [True, False])
    found = draft.encode()
    symbol = "BTC/\N{EURO SIGN}"
    assert rows.decode(found.value(0)) == IndicatorValue(
        "binance", symbol, "1m", 1 << 50, "ema_20", 1.5, 3, True
    )
    assert rows.decode(found.value(1)) == IndicatorValue(
        "", symbol, "1m", -1, "ema_20", float("-inf"), 3, False
    )


def test_texts_of_other_bytes_and_fields_of_other_kinds_are_refused() -> None:
    texts = Spans.of([b"binance"])
    draft = ColumnWriter(IndicatorValue).begin(1, texts.data)
    with pytest.raises(ValueError, match="other texts"):
        draft.text("venue", Spans.of([b"binance"]))
    with pytest.raises(TypeError, match="is a text"):
        draft.set("venue", 1)
    with pytest.raises(KeyError):
        draft.set("price", 1)
    draft.text("venue", Spans(texts.data, np.array([1]), np.array([7])))
    with pytest.raises(ValueError, match="outside of 7 bytes"):
        draft.encode()


@pytest.mark.parametrize("record", [Signal, BookUpdate])
def test_records_without_a_form_in_columns_are_refused(record: type[Record]) -> None:
    with pytest.raises(ConfigurationError):
        ColumnWriter(record)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=20), st.integers(1, 2000))
def test_packed_batches_hold_the_records_in_order(
    records: list[tuple[bytes | None, bytes | None]], limit: int
) -> None:
    made = list(OutgoingRecords.of(records).batches(limit))
    assert sum(batch.record_count() for batch in made) == len(records)
    found = []
    for number, batch in enumerate(made):
        batch._set_producer_state(7, 1, number)
        data = batch._build()
        assert data is batch._build()
        assert len(data) == batch.size()
        (whole,) = split_batches(data)
        assert whole.compression == 3
        read = read_records([whole])
        assert not read.corrupt
        assert read.offsets.tolist() == list(range(batch.record_count()))
        assert all(not read.headers(row) for row in range(len(read)))
        found += [(read.key(row), read.value(row)) for row in range(len(read))]
    assert found == records


def test_large_batches_are_of_blocks_that_brokers_read() -> None:
    (batch,) = OutgoingRecords.of([(None, bytes(200_000))]).batches()
    flags = batch._build()[HEADER.size + 4]
    assert flags & 0x20, "the blocks refer to one another"


def test_merged_records_stand_in_the_order_of_their_places() -> None:
    first = OutgoingRecords.of([(b"a", b"1"), (b"b", b"2"), (None, b"3")])
    marks = OutgoingRecords.of([(None, b"m"), (None, None)])
    whole = OutgoingRecords.merged([(np.array([4, 4, 9]), first), (np.array([4, 7]), marks)])
    values = [whole.values.value(row) for row in range(len(whole))]
    assert values == [b"1", b"2", b"m", None, b"3"]
    assert [whole.keys.value(row) for row in range(len(whole))] == [b"a", b"b", None, None, None]


def test_a_span_outside_of_its_buffer_is_refused() -> None:
    outside = Spans(np.zeros(4, np.uint8), np.array([2]), np.array([3]))
    with pytest.raises(ValueError, match="outside"):
        list(OutgoingRecords(outside, Spans.of([b"v"])).batches())
