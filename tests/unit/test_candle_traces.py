"""Which trades' traces candles continue: by the log alone, and without a trace in their values."""

from __future__ import annotations

import itertools
import random

import pytest

from infra.kafka.outgoing_records import OutgoingRecords
from infra.kafka.record_batches import read_records, split_batches
from infra.tracing import HEADER, SampledRecords, SpanContext
from processors.agents.candle_messages import CandleMessages, with_marks
from processors.agents.candle_traces import CandleTraces, with_traces
from processors.candles.builder import CandleBuilder
from processors.candles.columns import rows_from_columns
from processors.candles.rules import CandleRules
from schemas import rows
from schemas.columns import ColumnReader
from schemas.key_table import KeyTable
from schemas.records import Candle, TimeMark, Trade

BEGAN_US = 1_700_000_000_000_000 - 1_700_000_000_000_000 % 60_000_000
SECONDS = 130
Message = tuple[bytes | None, bytes, SpanContext | None]
Continued = dict[tuple[str, str, int], str]


def market(share: float) -> list[Message]:
    """Trades of two markets, a mark each second, and a share of the trades sampled."""
    chance = random.Random(3)
    found: list[Message] = []
    numbers = {"A/USDT": 0, "B/USDT": 0}
    for second in range(SECONDS):
        for _ in range(8):
            symbol = chance.choice(sorted(numbers))
            number = numbers[symbol] = numbers[symbol] + 1
            at = BEGAN_US + second * 1_000_000 + chance.randrange(1_000_000)
            trade = Trade("binance", symbol, str(number), number, 1.0 + number, 1.0, "buy", at, at)
            span = SpanContext(chance.randbytes(16), chance.randbytes(8))
            sampled = span if chance.random() < share else None
            found.append((f"binance:{symbol}".encode(), rows.encode(trade), sampled))
        end = BEGAN_US + (second + 1) * 1_000_000 - 1
        mark = TimeMark("binance", "source", end, second == SECONDS - 1, "run")
        found.append((None, rows.encode(mark), None))
    return found


def folded(messages: list[Message], cut: int, every_s: float) -> tuple[Continued, list[tuple[bytes, bytes]]]:
    """What candles continue, and keys and values of what goes out, the log cut into batches of one length."""
    builder, traces = CandleBuilder(CandleRules.of()), CandleTraces(round(every_s * 1_000_000))
    reader, keys, packer = ColumnReader(), KeyTable(), CandleMessages()
    continued: Continued = {}
    outgoing: list[tuple[bytes, bytes]] = []
    for first in range(0, len(messages), cut):
        part = messages[first : first + cut]
        packed = OutgoingRecords.of([(key, value) for key, value, _ in part]).with_headers(
            {n: [(HEADER, span.traceparent.encode())] for n, (_, _, span) in enumerate(part) if span}
        )
        (batch,) = packed.batches()
        records = read_records(split_batches(batch._build()))
        columns = reader.read(records.data, records.value_start, records.value_length)
        key_ids = keys.intern(records.data, records.key_start, records.key_length)
        taken = rows_from_columns(columns, keys.keys, key_ids, records.offsets)
        candles = builder.fold(taken).candles
        found = traces.fold(SampledRecords.of(records), taken, candles)
        sent = with_traces(packer.of(candles), found)
        merged = with_marks(candles.mark_rows, sent, sorted(taken.marks), records)
        for out in merged.batches():
            back = read_records(split_batches(out._build()))
            for row in range(len(back)):
                value = back.value(row) or b""
                outgoing.append((back.key(row) or b"", value))
                record = rows.decode(value)
                for name, header in back.headers(row):
                    assert name == HEADER
                    assert isinstance(record, Candle)
                    where = record.symbol, record.interval, record.open_time
                    continued[where] = (header or b"").decode()
    return continued, outgoing


@pytest.mark.parametrize("every_s", [0.0, 10.0])
def test_what_candles_continue_does_not_depend_on_how_the_log_is_cut(every_s: float) -> None:
    messages = market(0.9)
    whole, sent = folded(messages, len(messages), every_s)
    assert whole
    for cut in (7, 100):
        assert folded(messages, cut, every_s) == (whole, sent)
    plain, unchanged = folded(market(0.0), 100, every_s)
    assert not plain
    assert [value for _, value in unchanged] == [value for _, value in sent]


def test_a_candle_continues_a_trade_that_lies_in_it_and_a_pace_bounds_how_many_do() -> None:
    messages = market(0.9)
    spans = {span.trace_id.hex(): rows.decode(value) for _, value, span in messages if span}
    often, _ = folded(messages, 500, 0.0)
    for (symbol, interval, open_time), header in often.items():
        trade = spans[header.split("-")[1]]
        assert isinstance(trade, Trade)
        length = {"1s": 1_000_000, "1m": 60_000_000}[interval]
        assert trade.symbol == symbol
        assert open_time <= trade.event_time < open_time + length
    assert {interval for _, interval, _ in often} == {"1s", "1m"}
    seldom, _ = folded(messages, 500, 10.0)
    seconds = sorted(open_time for _, interval, open_time in seldom if interval == "1s")
    assert 5 < len(seconds) <= SECONDS // 10 + 1 < len(often) / 3
    assert all(b - a >= 9_000_000 for a, b in itertools.pairwise(seconds))
