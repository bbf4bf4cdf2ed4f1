"""Records that went into files of the archive come out of them with the bytes that they had."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet  # type: ignore[import-untyped]

from backtest.replay.source import REPLAYED
from backtest.replay.sources.archived_values import headers_of, spans_of, values_of
from schemas import rows
from schemas.records import Record
from schemas.registry import CURRENT
from schemas.topics import Topic
from sinks.archive.fields import RECORDS
from sinks.archive.files import files_of
from sinks.archive.manifest import PartitionId
from tests.archive_records import slice_of
from tests.avro_model import rows_of

HEADERS = st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=200)), max_size=3)


def records(topic: Topic) -> st.SearchStrategy[list[Record]]:
    kinds = [
        rows_of(entry.definition).map(lambda values, record=entry.record: record(**values))  # type: ignore[misc]
        for entry in CURRENT
        if entry.record in topic.records
    ]
    return st.lists(st.one_of(*kinds), min_size=1, max_size=12)


@settings(max_examples=8)
@pytest.mark.parametrize("topic", REPLAYED, ids=lambda topic: topic.name)
@given(data=st.data())
def test_values_keys_and_headers_are_as_they_were(topic: Topic, data: st.DataObject) -> None:
    sent = data.draw(records(topic))
    key, headers = data.draw(st.none() | st.binary(max_size=20)), data.draw(HEADERS)
    slice_ = slice_of(topic, sent, key=key, headers=headers)
    found = 0
    for file, written in files_of(slice_, PartitionId("t", "id", 1), "w"):
        table = parquet.read_table(io.BytesIO(written))
        values = values_of(table, RECORDS[file.record])
        keys = spans_of(table.column("kafka_key"))
        encoded, counts = headers_of(table.column("kafka_headers"))
        for row, offset in enumerate(table.column("kafka_offset").to_pylist()):
            assert values.value(row) == rows.encode(sent[offset])
            assert keys.value(row) == key
            start, end = slice_.records.header_start[offset], slice_.records.header_end[offset]
            assert encoded.value(row) == slice_.records.data[start:end].tobytes()
            assert counts[row] == len(headers)
            found += 1
    assert found == int(slice_.good.sum())
