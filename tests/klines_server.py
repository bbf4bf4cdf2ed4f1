"""A venue on loopback that speaks Binance's klines and aggregated trades, and fails when a test says so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

from tests.rest_server import Reply, RestServer

MINUTE_MS = 60_000
STEPS = {"1m": MINUTE_MS, "1h": 60 * MINUTE_MS, "1d": 1440 * MINUTE_MS}
INFO = {
    "symbols": [
        {
            "symbol": f"{base}USDT",
            "status": "TRADING",
            "baseAsset": base,
            "quoteAsset": "USDT",
            "isSpotTradingAllowed": True,
            "permissions": ["SPOT"],
            "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.01"}],
        }
        for base in ("BTC", "ETH")
    ]
}


class KlinesVenue:
    """What the venue knows, and how it answers.

    Args:
        listed_ms: Its first candle opens then, ms since the epoch.
        end_ms: Its last one has closed then.
        closed: Spans [from, to) in ms without trading.

    Attributes:
        faults: Given instead of the next answers about history, one after the other.
        asked: The queries about history, in order.
        newest_only: Whether it tells its newest candles, whatever time is asked for.
    """

    def __init__(self, listed_ms: int, end_ms: int, closed: Sequence[tuple[int, int]] = ()) -> None:
        self.listed_ms, self.end_ms, self.closed = listed_ms, end_ms, closed
        self.faults: list[Reply] = []
        self.asked: list[dict[str, str]] = []
        self.newest_only = False
        self.server = RestServer(self._answer)

    def opens(self, interval: str, since_ms: int, limit: int) -> list[int]:
        """Open times from a time on."""
        step = STEPS[interval]
        if self.newest_only:
            since_ms = self.end_ms - limit * step
        at = max(-(-since_ms // step) * step, self.listed_ms // step * step)
        found: list[int] = []
        while len(found) < limit and at + step <= self.end_ms:
            hole = next((stop for start, stop in self.closed if start <= at and at + step <= stop), None)
            if hole is None:
                found.append(at)
                at += step
            else:
                at = hole // step * step
        return found

    def _answer(self, path: str) -> Reply:
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path.endswith("/exchangeInfo"):
            return Reply(json.dumps(INFO).encode())
        self.asked.append(query)
        if self.faults:
            return self.faults.pop(0)
        limit = int(query.get("limit", 500))
        if parts.path.endswith("/klines"):
            opens = self.opens(query["interval"], int(query["startTime"]), limit)
            return Reply(json.dumps([kline(at, STEPS[query["interval"]]) for at in opens]).encode())
        since, until = int(query["startTime"]), int(query["endTime"])
        # A trade each 10 s; three of one millisecond at each whole minute.
        times = [
            at
            for step in range(-(-since // 10_000), until // 10_000 + 1)
            for at in [step * 10_000] * (3 if step % 6 == 0 else 1)
            if self.listed_ms <= at < self.end_ms
        ]
        return Reply(json.dumps(self._trades(times)[:limit]).encode())

    def _trades(self, times: Sequence[int]) -> list[dict[str, object]]:
        found: list[dict[str, object]] = []
        for place, at in enumerate(times):
            nth = sum(1 for other in times[:place] if other == at)
            id_ = at // 10_000 * 3 + nth
            row = {"a": id_, "p": "100.5", "q": "0.25", "f": id_, "l": id_, "T": at, "m": nth == 1}
            found.append(row)
        return found


def kline(at_ms: int, step_ms: int) -> list[object]:
    """A kline whose prices follow from its time."""
    price = 100 + at_ms // MINUTE_MS % 97
    return [
        *(at_ms, f"{price}.00", f"{price + 2}.00", f"{price - 1}.00", f"{price + 1}.00", "3.5"),
        *(at_ms + step_ms - 1, "350.0", 7, "1.5", "150.0", "0"),
    ]
