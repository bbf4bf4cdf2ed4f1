"""Headers of a replay stand behind those that a record had, and any client reads them."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from backtest.replay.headers import REPLAY_ID, REPLAY_POSITION, HeaderWriter, standing
from backtest.replay.source import Partition, Portion
from infra.kafka.outgoing_records import OutgoingRecords
from infra.kafka.record_batches import read_records, split_batches
from schemas.spans import Spans
from tests.record_batch_bytes import Row, batch_of

HEADERS = st.lists(st.tuples(st.text(max_size=9), st.none() | st.binary(max_size=90)), max_size=70)
RECORDS = st.lists(
    st.tuples(st.none() | st.binary(max_size=9), st.none() | st.binary(max_size=90), HEADERS),
    min_size=1,
    max_size=9,
)


@given(records=RECORDS, gaps=st.lists(st.integers(1, 2**40), min_size=9, max_size=9))
def test_records_keep_their_headers_and_tell_where_they_stood(
    records: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]], gaps: list[int]
) -> None:
    stood = [sum(gaps[: index + 1]) for index in range(len(records))]
    rows = [Row(offset, 1, *record) for offset, record in zip(stood, records, strict=True)]
    raw = read_records([batch for row in rows for batch in split_batches(batch_of([row]))])
    portion = Portion(
        Partition("t", 0),
        raw.offsets,
        raw.timestamps,
        Spans(raw.data, raw.key_start, raw.key_length),
        Spans(raw.data, raw.value_start, raw.value_length),
        Spans(raw.data, raw.header_start, raw.header_end - raw.header_start),
        raw.header_count,
    )
    headers = HeaderWriter("0123456789abcdef").write(portion)
    (packed,) = OutgoingRecords(portion.keys, portion.values, headers).batches()
    written = read_records(split_batches(bytes(packed._build())))
    assert len(written) == len(records)
    for row, (key, value, before) in enumerate(records):
        told = written.headers(row)
        assert (written.key(row), written.value(row)) == (key, value)
        assert told[:-2] == before
        assert told[-2:] == [(REPLAY_ID, b"0123456789abcdef"), (REPLAY_POSITION, b"%d" % stood[row])]
        assert standing(told) == ("0123456789abcdef", stood[row])


def test_other_headers_tell_of_no_replay() -> None:
    assert standing([]) is None
    assert standing([(REPLAY_ID, b"x")]) is None
    assert standing([(REPLAY_ID, b"x"), (REPLAY_POSITION, struct.pack(">q", 1))]) is None
