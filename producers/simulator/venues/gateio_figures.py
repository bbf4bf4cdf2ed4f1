"""How Gate.io words candles and the figures of 24 hours, in answers by REST."""

from collections.abc import Iterable, Mapping
from typing import Any

from producers.simulator.figures import UNITS_MS, Bar, Execution, bar_of, bars_of, interval_ms_of
from producers.simulator.ledger import SimulatedBook
from producers.simulator.venue import limit_of, whole

MULTIPLIER = 0.0001
"""Base units of a contract of the markets that are made up here."""


def executions(trades: Iterable[Mapping[str, Any]]) -> list[Execution]:
    """Trades of both markets: those of futures have a size with a sign, in contracts."""
    found = []
    for trade in trades:
        size = str(trade["amount"] if "amount" in trade else trade["size"])
        sells = trade.get("side") == "sell" or size.startswith("-")
        time_ms = int(float(trade.get("create_time_ms") or float(trade["create_time"]) * 1_000))
        found.append(Execution(int(trade["id"]), str(trade["price"]), size.lstrip("-"), time_ms, sells))
    return found


def candles(trades: list[Execution], query: Mapping[str, str], futures: bool) -> list[Any] | None:
    """The answer of `candlesticks`, oldest first; None if the interval is none."""
    interval_ms = interval_ms_of(query.get("interval", "30m"))
    if interval_ms is None:
        return None
    start, end = whole(query, "from"), whole(query, "to")
    rows = [
        bar
        for bar in bars_of(trades, interval_ms)
        if (start or 0) <= bar.open_ms // 1_000 <= (end if end is not None else bar.open_ms)
    ]
    chosen = rows[-limit_of(query, 100, 1_000) :]
    return [_futures_candle(bar) if futures else _spot_candle(bar) for bar in chosen]


def day_figures(
    symbol: str, trades: list[Execution], book: SimulatedBook, now_ms: int, futures: bool
) -> dict[str, Any] | None:
    """A row of `tickers`; None for a symbol that was not traded."""
    since_ms = now_ms - UNITS_MS["d"]
    bar = bar_of((one for one in trades if one.time_ms > since_ms), since_ms)
    if bar is None:
        return None
    percent = 100 * (float(bar.close) / float(bar.open) - 1)
    row = {
        "contract" if futures else "currency_pair": symbol,
        "last": bar.close,
        "lowest_ask": next((price for price, _ in book.asks(1)), ""),
        "highest_bid": next((price for price, _ in book.bids(1)), ""),
        "change_percentage": f"{percent:.2f}",
        "high_24h": bar.high,
        "low_24h": bar.low,
    }
    if not futures:
        return row | {"base_volume": f"{bar.volume:.8f}", "quote_volume": f"{bar.worth:.8f}"}
    worth = f"{bar.worth * MULTIPLIER:.8f}"
    return row | {
        "total_size": "0",
        "volume_24h": f"{bar.volume:.0f}",
        "volume_24h_base": f"{bar.volume * MULTIPLIER:.8f}",
        "volume_24h_quote": worth,
        "volume_24h_settle": worth,
        "mark_price": bar.close,
        "index_price": bar.close,
        "funding_rate": "0.0001",
        "quanto_multiplier": f"{MULTIPLIER}",
    }


def _spot_candle(bar: Bar) -> list[str]:
    figures = [bar.close, bar.high, bar.low, bar.open]
    return [f"{bar.open_ms // 1_000}", f"{bar.worth:.8f}", *figures, f"{bar.volume:.8f}", "true"]


def _futures_candle(bar: Bar) -> dict[str, Any]:
    return {
        "t": bar.open_ms // 1_000,
        "v": int(bar.volume),
        "c": bar.close,
        "h": bar.high,
        "l": bar.low,
        "o": bar.open,
        "sum": f"{bar.worth * MULTIPLIER:.8f}",
    }
