"""What the archive keeps of a record is the record, value by value; fastavro is the judge."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from schemas import rows
from schemas.columns import ColumnReader
from schemas.records import Quote, Record, Trade
from schemas.registry import BY_ID, CURRENT
from schemas.topics import TOPICS, TRADES, Topic
from sinks.archive.fields import RECORDS, TIMES, arrow_schema, schema_of
from sinks.archive.files import files_of
from sinks.archive.manifest import PartitionId
from sinks.archive.tables import field_arrays, tables_of
from tests.archive_records import plain, records_of, slice_of
from tests.avro_model import Entry, definitions, is_flat, laid_out, rows_of

ID = PartitionId("t", "id", 1)
VALUES = st.none() | st.binary(max_size=20)
HEADERS = st.lists(st.tuples(st.text(max_size=5), VALUES), max_size=3)


def made(record: type[Record], values: dict[str, Any]) -> Record:
    return record(**values)


def batches(topic: Topic) -> st.SearchStrategy[list[Record | bytes | None]]:
    """Records that may stand in a topic, some damaged."""
    kinds = [
        st.builds(made, st.just(entry.record), rows_of(entry.definition))
        for entry in CURRENT
        if entry.record in topic.records
    ]
    return st.lists(st.one_of(*kinds, st.none(), st.binary(max_size=8)), min_size=1, max_size=12)


@settings(max_examples=12)
@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
@given(data=st.data())
def test_every_record_is_in_the_files_as_fastavro_decodes_it(topic: Topic, data: st.DataObject) -> None:
    sent = data.draw(batches(topic))
    key, headers, first = data.draw(VALUES), data.draw(HEADERS), data.draw(st.integers(0, 2**40))
    slice_ = slice_of(topic, sent, first=first, key=key, headers=headers)
    found: dict[int, Record] = {}
    for file, written in files_of(slice_, ID, "w"):
        table = parquet.read_table(io.BytesIO(written))
        offsets = table.column("kafka_offset").to_pylist()
        assert offsets == sorted(set(offsets))
        assert (file.first_offset, file.last_offset, file.rows) == (offsets[0], offsets[-1], len(offsets))
        assert file.bytes == len(written)
        assert set(table.column("kafka_key").to_pylist()) == {key}
        assert [tuple(h.values()) for h in table.column("kafka_headers")[0].as_py()] == headers
        assert set(table.column("kafka_partition").to_pylist()) == {1}
        times = table.column("kafka_time").cast(pa.int64()).to_pylist()
        assert times == [1_000 + offset - first for offset in offsets]
        for offset, id_, record in zip(
            offsets,
            table.column("kafka_schema_id").to_pylist(),
            records_of(table, RECORDS[file.record]),
            strict=True,
        ):
            assert BY_ID[id_].record is type(record)
            assert offset not in found
            found[offset] = record
    # What was refused was not written, everything else was, once.
    for number, value in enumerate(sent):
        if slice_.good[number]:
            assert isinstance(value, Record)
            expected = rows.decode(rows.encode_by_reference(value))
            record = found.pop(first + number)
            assert type(record) is type(expected)
            assert plain(msgspec.structs.asdict(record)) == plain(msgspec.structs.asdict(expected))
    assert not found


@given(st.data())
def test_columns_of_any_flat_schema_equal_fastavro(data: st.DataObject) -> None:
    definition = data.draw(definitions().filter(is_flat))
    entry = Entry(7, "R", definition)
    values = data.draw(st.lists(rows_of(definition), max_size=12))
    encoded: list[bytes | None] = [entry.encode(value) for value in values]
    columns = ColumnReader([entry]).read(*laid_out(encoded, 0xFF))
    arrays = field_arrays(columns, "R", arrow_schema(definition))
    assert list(arrays) == [field["name"] for field in definition["fields"]]
    for name, array in arrays.items():
        array.validate(full=True)
        if pa.types.is_timestamp(array.type):
            array = array.cast(pa.int64())
        assert plain(array.to_pylist()) == [plain(entry.decode(value or b"")[name]) for value in encoded]


def test_each_record_of_the_contract_has_its_times_and_says_its_units() -> None:
    assert set(TIMES) == set(RECORDS.values())
    for record, times in TIMES.items():
        schema = schema_of(record)
        for name in times:
            assert schema.field(name).type == pa.timestamp("us", "UTC")
        # The last resort is a field that every record has.
        assert not schema.field(times[-1]).nullable
        for field in schema:
            assert field.metadata[b"unit"], (record, field.name)
            assert field.metadata[b"doc"], (record, field.name)


def test_hours_are_those_of_the_records_and_a_time_of_no_market_gives_way() -> None:
    def quote(event_time: int | None, receive_time: int) -> Quote:
        return Quote("v", "A/B", 1.0, 1.0, 2.0, 1.0, None, event_time, receive_time)

    hour = 3_600_000_000
    sent = [
        quote(hour * 5 + 1, hour * 7),
        quote(None, hour * 6),
        quote(2**62, hour * 5),
        quote(-(2**62), 2**62),
        quote(-1, 0),
    ]
    slice_ = slice_of(next(t for t in TOPICS if t.name == "market.quotes.v1"), sent)
    files = {file.path.rpartition("/")[0]: file.rows for file, _ in files_of(slice_, ID, "w")}
    assert files == {
        "record=quote/date=1970-01-01/hour=05": 2,
        "record=quote/date=1970-01-01/hour=06": 1,
        "record=quote/date=1970-01-01/hour=00": 1,
        "record=quote/date=1969-12-31/hour=23": 1,
    }


def test_a_refused_row_is_left_out_in_the_middle() -> None:
    sent = [Trade("v", "A/B", str(i), i, 1.0, 1.0, "buy", 5, 6) for i in range(4)]
    slice_ = slice_of(TRADES, sent)
    slice_.refuse([1], "because")
    [(record, table, times)] = tables_of(slice_)
    assert record is Trade
    assert table.column("trade_id").to_pylist() == ["0", "2", "3"]
    assert table.column("kafka_offset").to_pylist() == [0, 2, 3]
    np.testing.assert_array_equal(times, [5, 5, 5])
