"""Cost of the candle fold alone: `python -m tests.bench.candle_fold`.

Columns to candles of 1s and 1m, without Kafka and without decoding. Every symbol trades equally often; the
first quarter is not counted. Prints one JSON object; the ratio says what a trade costs with many symbols.
"""

import json
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from processors.candles.batches import CandleRows, RowKind
from processors.candles.builder import CandleBuilder
from processors.candles.rules import CandleRules
from schemas.records import TimeMark

TRADES = 4_000_000
BATCH = 50_000
TRADES_A_SECOND = 100
"""Of each symbol."""
BEGAN = 1_723_161_255_000_000


def batches(symbols: int) -> list[CandleRows]:
    """A log of trades, one mark after each second."""
    random = np.random.default_rng(1)
    width = symbols * TRADES_A_SECOND
    seconds = max(4, TRADES // width)
    count = seconds * width
    ends = np.arange(1, seconds + 1) * width
    key_ids = random.permuted(np.tile(np.arange(width) % symbols, (seconds, 1)), axis=1).ravel()
    sequences = np.empty(count, np.int64)
    sequences[np.argsort(key_ids, kind="stable")] = np.tile(np.arange(seconds * TRADES_A_SECOND), symbols)
    inside = np.sort(random.integers(0, 1_000_000, (seconds, width)), axis=1)
    times = (BEGAN + np.arange(seconds)[:, None] * 1_000_000 + inside).ravel()

    def with_marks(column: npt.NDArray[Any], mark: Any, dtype: type) -> npt.NDArray[Any]:
        return np.insert(column, ends, mark).astype(dtype)

    columns = (
        with_marks(np.full(count, RowKind.TRADE), RowKind.MARK, np.int8),
        with_marks(key_ids, -1, np.int32),
        with_marks(times, BEGAN + np.arange(seconds) * 1_000_000 + 999_999, np.int64),
        with_marks(30_000 + random.normal(size=count).cumsum() / 100, 0.0, np.float64),
        with_marks(random.integers(1, 10**9, count) / 1e8, 0.0, np.float64),
        with_marks(random.integers(0, 3, count), 0, np.int64),
        with_marks(sequences, -1, np.int64),
        np.arange(count + seconds),
    )
    keys = [f"binance:S{index}/USDT" for index in range(symbols)]
    cut = []
    for start in range(0, count + seconds, BATCH):
        parts = (np.ascontiguousarray(column[start : start + BATCH]) for column in columns)
        kinds, ids, moments, prices, sizes, sides, numbers, offsets = parts
        rows = np.flatnonzero(kinds == RowKind.MARK).tolist()
        marks = {row: TimeMark("binance", "a", int(moments[row]), False, "bench") for row in rows}
        cut.append(CandleRows(keys, kinds, ids, moments, prices, sizes, sides, numbers, offsets, marks))
    return cut


def nanoseconds_a_trade(symbols: int) -> float:
    """Mean over the last three quarters."""
    log = batches(symbols)
    builder = CandleBuilder(CandleRules.of())
    first = len(log) // 4
    for batch in log[:first]:
        builder.fold(batch)
    started = time.perf_counter()
    for batch in log[first:]:
        builder.fold(batch)
    return (time.perf_counter() - started) * 1e9 / sum(len(batch) for batch in log[first:])


def main() -> None:
    """Measure and print."""
    cost = {symbols: nanoseconds_a_trade(symbols) for symbols in (10, 200, 1_000, 10_000)}
    result = {
        "ns_per_trade": {str(symbols): round(value, 1) for symbols, value in cost.items()},
        "trades_per_s": {str(symbols): round(1e9 / value) for symbols, value in cost.items()},
        "ratio_10000_to_10": round(cost[10_000] / cost[10], 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
