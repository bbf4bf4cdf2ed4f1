"""How fast fetched bytes become trades: framing and columns against fastavro's rows, in one run on one core.

python -m tests.bench.codec --json
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from infra.kafka.record_batches import RawRecords, read_records, split_batches
from schemas import rows
from schemas.columns import ColumnReader
from schemas.identity import market_key
from schemas.key_table import KeyTable
from schemas.records import TimeMark, Trade

TRADES = 200_000
ROWS = 20_000
"""Trades that are decoded one by one: enough for a rate."""
PER_BATCH = 2_000
SYMBOLS = 200
REPEATS = 5
LZ4 = 3


def fetched_bytes() -> bytes:
    """Record batches of trades of many symbols, lz4, with a mark in each."""
    chance = np.random.default_rng(1)
    prices = np.round(60_000 + chance.normal(0, 100, TRADES), 2).tolist()
    sizes = np.round(chance.exponential(0.1, TRADES), 5).tolist()
    found = []
    for first in range(0, TRADES, PER_BATCH):
        builder = DefaultRecordBatchBuilder(2, LZ4, 0, -1, -1, -1, 1 << 30)
        for offset, number in enumerate(range(first, first + PER_BATCH)):
            symbol = f"S{number * 7 % SYMBOLS}/USDT"
            at = 1_700_000_000_000_000 + number * 50
            trade = Trade(
                "binance", symbol, str(number), number, prices[number], sizes[number], "buy", at, at + 9_000
            )
            builder.append(
                offset, at // 1_000, market_key("binance", symbol).encode(), rows.encode(trade), []
            )
        mark = TimeMark("binance", "binance-spot-0", at, final=False, instance="bench")
        builder.append(PER_BATCH, at // 1_000, None, rows.encode(mark), [])
        batch = builder.build()
        batch[:8] = (first + first // PER_BATCH).to_bytes(8, "big")
        found.append(bytes(batch))
    return b"".join(found)


def fastest_s(work: Callable[[], object]) -> float:
    """Seconds of the fastest of some runs."""
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)


def main() -> dict[str, Any]:
    """Measure; rates are trades a second on one core."""
    data = fetched_bytes()
    reader = ColumnReader()
    interning = ColumnReader(interned=("venue", "symbol"))
    keys = KeyTable()

    def frame() -> RawRecords:
        return read_records(split_batches(data))

    def columns(by: ColumnReader) -> None:
        records = frame()
        keys.intern(records.data, records.key_start, records.key_length)
        found = by.read(records.data, records.value_start, records.value_length)
        assert found.rows(Trade).size == TRADES

    records = frame()
    values = [records.value(row) for row in range(ROWS)]
    rates = {
        "framing_per_s": TRADES / fastest_s(frame),
        "columns_per_s": TRADES / fastest_s(lambda: columns(reader)),
        "columns_interned_per_s": TRADES / fastest_s(lambda: columns(interning)),
        "rows_per_s": ROWS / fastest_s(lambda: [rows.decode(value) for value in values]),
    }
    return {
        **{name: round(rate) for name, rate in rates.items()},
        "columns_to_rows": round(rates["columns_per_s"] / rates["rows_per_s"], 1),
        "columns_interned_to_rows": round(rates["columns_interned_per_s"] / rates["rows_per_s"], 1),
        "bytes_per_trade_compressed": round(len(data) / TRADES, 1),
        "trades": TRADES,
        "record_fields": len(msgspec.structs.fields(Trade)),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one line that programs can read")
    as_json = parser.parse_args().json
    figures = main()
    print(
        json.dumps(figures)
        if as_json
        else "\n".join(f"{name:28}{value:>14,}" for name, value in figures.items())
    )
