"""What a capture's candles must be, computed from its lines with nothing of the product."""

import gzip
import json
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INTERVAL_MS = {"1s": 1_000, "1m": 60_000}


@dataclass(frozen=True)
class WireTrade:
    """A trade as it stands in the capture."""

    symbol: str
    number: int
    price: float
    size: float
    time_ms: int
    buyer_is_maker: bool


def wire_trades(path: Path) -> list[WireTrade]:
    """The trades of the `trade` streams, in order of arrival."""
    found = []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for text in file:
            if text.startswith("#"):
                continue
            frame = json.loads(text.split(" ", 1)[1])
            data = frame.get("data", frame)
            if data.get("e") == "trade":
                symbol = data["s"].replace("USDT", "/USDT")
                found.append(
                    WireTrade(symbol, data["t"], float(data["p"]), float(data["q"]), data["T"], data["m"])
                )
    return found


def expected_candles(trades: list[WireTrade], interval: str) -> dict[tuple[str, int], dict[str, Any]]:
    """By symbol and open time in ms: open, high, low, close, volume, quote_volume, trade_count, complete."""
    step = INTERVAL_MS[interval]
    groups: dict[tuple[str, int], list[WireTrade]] = defaultdict(list)
    for trade in trades:
        groups[trade.symbol, trade.time_ms - trade.time_ms % step].append(trade)
    began, ended = trades[0].time_ms, max(trade.time_ms for trade in trades)
    candles = {}
    for (symbol, open_ms), members in groups.items():
        ordered = sorted(members, key=lambda trade: (trade.time_ms, trade.number))
        prices = [trade.price for trade in ordered]
        candles[symbol, open_ms] = {
            "open": prices[0],
            "high": max(prices),
            "low": min(prices),
            "close": prices[-1],
            "volume": math.fsum(trade.size for trade in ordered),
            "quote_volume": math.fsum(trade.size * trade.price for trade in ordered),
            "trade_count": len(ordered),
            "complete": open_ms >= began and open_ms + step <= ended,
        }
    return candles
