"""The job of the processors' measurement in plain Python: what the peers in Python run on every record.

Candles of a second and a minute, an exponential average of each, all in dictionaries; fastavro decodes and
encodes. Imports nothing of this project, since a peer runs in an environment of its own.
"""

import io
import json
import struct
import time
from pathlib import Path
from typing import Any

import fastavro

SCHEMAS = Path(__file__).parents[2] / "schemas" / "avro"
HEADER = struct.Struct(">bI")
TRADE_ID, CANDLE_ID, VALUE_ID = 1, 18, 8
INTERVALS = (("1s", 1_000_000), ("1m", 60_000_000))
PERIOD = 20


def schema(file: str) -> Any:
    """A schema of the contract; times stay whole microseconds."""
    definition = json.loads((SCHEMAS / file).read_text("utf-8"))
    for field in definition["fields"]:
        if isinstance(field["type"], dict):
            field["type"].pop("logicalType", None)
            if field["type"]["type"] == "long":
                field["type"] = "long"
    return fastavro.parse_schema(definition)


class PlainCandles:
    """Trades in, encoded candles and averages out; a candle is written when the next one begins."""

    def __init__(self) -> None:
        self._trade = schema("trade.avsc")
        self._candle = schema("candle.avsc")
        self._value = schema("indicator_value.avsc")
        self._candles: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._averages: dict[tuple[str, str, str], tuple[int, float]] = {}

    def take(self, value: bytes) -> list[tuple[str, bytes]] | None:
        """(kind, value) of what follows from a record; None: it is no trade."""
        if value[4] != TRADE_ID:
            return None
        body = io.BytesIO(value)
        body.seek(HEADER.size)
        trade: Any = fastavro.schemaless_reader(body, self._trade, None)
        written: list[tuple[str, bytes]] = []
        for interval, length in INTERVALS:
            self._fold(trade, interval, length, written)
        return written

    def _fold(
        self, trade: dict[str, Any], interval: str, length: int, written: list[tuple[str, bytes]]
    ) -> None:
        series = trade["venue"], trade["symbol"], interval
        price, size, sequence = trade["price"], trade["size"], trade["sequence"]
        bought = size if trade["side"] == "buy" else 0.0
        opened = trade["event_time"] // length * length
        candle = self._candles.get(series)
        if candle is not None and candle["open_time"] == opened:
            candle["high"] = max(candle["high"], price)
            candle["low"] = min(candle["low"], price)
            candle["close"] = price
            candle["volume"] += size
            candle["quote_volume"] += price * size
            candle["taker_buy_volume"] += bought
            candle["trade_count"] += 1
            candle["last_sequence"] = sequence
            return
        if candle is not None:
            if opened < candle["open_time"]:
                return
            self._close(series, candle, written)
        self._candles[series] = {
            "venue": trade["venue"],
            "symbol": trade["symbol"],
            "interval": interval,
            "open_time": opened,
            "close_time": opened + length,
            "open": price,
            "high": price,
            "low": price,
            "close": price,
            "volume": size,
            "quote_volume": price * size,
            "taker_buy_volume": bought,
            "trade_count": 1,
            "first_sequence": sequence,
            "last_sequence": sequence,
            "revision": 0,
            "complete": True,
            "backfilled": False,
        }

    def _close(
        self, series: tuple[str, str, str], candle: dict[str, Any], written: list[tuple[str, bytes]]
    ) -> None:
        candle["vwap"] = candle["quote_volume"] / candle["volume"]
        written.append(("candle", self._encode(CANDLE_ID, self._candle, candle)))
        seen, average = self._averages.get(series, (0, 0.0))
        seen += 1
        weight = 1 / seen if seen <= PERIOD else 2 / (PERIOD + 1)
        average += (candle["close"] - average) * weight
        self._averages[series] = seen, average
        if seen >= PERIOD:
            value = {
                "venue": candle["venue"],
                "symbol": candle["symbol"],
                "interval": candle["interval"],
                "open_time": candle["open_time"],
                "name": "ema_20",
                "value": average,
                "revision": 0,
                "complete": True,
            }
            written.append(("value", self._encode(VALUE_ID, self._value, value)))

    @staticmethod
    def _encode(schema_id: int, parsed: Any, record: dict[str, Any]) -> bytes:
        buffer = io.BytesIO()
        buffer.write(HEADER.pack(0, schema_id))
        fastavro.schemaless_writer(buffer, parsed, record)
        return buffer.getvalue()


class Stopwatch:
    """Counts trades, and says how long those after the first ones took.

    Args:
        first: Trades that are not counted.
        last: Trades in all.
    """

    def __init__(self, first: int, last: int) -> None:
        self._first, self._last = first, last
        self._seen = 0
        self._began = self._began_cpu = 0.0

    def count(self) -> str | None:
        """One more; a JSON object once the last one has come."""
        self._seen += 1
        if self._seen == self._first:
            self._began, self._began_cpu = time.perf_counter(), time.process_time()
        if self._seen != self._last:
            return None
        took = {
            "trades": self._last - self._first,
            "seconds": time.perf_counter() - self._began,
            "cpu_s": time.process_time() - self._began_cpu,
        }
        return json.dumps(took)
