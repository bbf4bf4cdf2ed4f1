"""How MEXC words candles and the figures of 24 hours, in answers by REST."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from producers.exchanges.mexc.messages import Deal
from producers.simulator.figures import UNITS_MS, Bar, Execution, bar_of, bars_of, interval_ms_of
from producers.simulator.ledger import SimulatedBook
from producers.simulator.venue import limit_of, whole

FUTURES_INTERVALS: Final = {"Min": "m", "Hour": "h", "Day": "d", "Week": "w"}
"""Units of the futures' intervals, `Min15`."""

MULTIPLIER: Final = 0.0001
"""Base units of a contract of the markets that are made up here."""


def spot_executions(deals: Iterable[Deal]) -> list[Execution]:
    """Trades of spot, which are numbered here alone."""
    return [
        Execution(number, deal.price, deal.quantity, deal.time, deal.trade_type == 2)
        for number, deal in enumerate(deals)
    ]


def futures_executions(deals: Iterable[Mapping[str, Any]]) -> list[Execution]:
    """Trades of futures, sizes in contracts."""
    return [
        Execution(number, str(deal["p"]), str(deal["v"]), int(deal["t"]), deal["T"] == 2)
        for number, deal in enumerate(deals)
    ]


def klines(trades: list[Execution], query: Mapping[str, str]) -> list[list[Any]] | None:
    """The answer of spot's `klines`, oldest first; None if the interval is none."""
    interval_ms = interval_ms_of(query.get("interval", "").lower())
    if interval_ms is None:
        return None
    start, end = whole(query, "startTime"), whole(query, "endTime")
    bars = bars_of(trades, interval_ms)
    found = [bar for bar in bars if (start or 0) <= bar.open_ms <= (end or bar.open_ms)]
    return [
        [
            bar.open_ms,
            bar.open,
            bar.high,
            bar.low,
            bar.close,
            f"{bar.volume:.8f}",
            bar.open_ms + interval_ms,
            f"{bar.worth:.8f}",
        ]
        for bar in found[-limit_of(query, 500, 1_000) :]
    ]


def kline_columns(trades: list[Execution], query: Mapping[str, str]) -> dict[str, Any] | None:
    """The data of the futures' `kline`: a list for each figure; None if the interval is none."""
    name = query.get("interval", "Min1")
    unit = name.rstrip("0123456789")
    interval_ms = interval_ms_of(f"{name.removeprefix(unit)}{FUTURES_INTERVALS.get(unit, '')}")
    if interval_ms is None:
        return None
    bars = bars_of(trades, interval_ms)[-2_000:]
    columns = {name: [float(getattr(bar, name)) for bar in bars] for name in ("open", "close", "high", "low")}
    return {
        "time": [bar.open_ms // 1_000 for bar in bars],
        **columns,
        "vol": [bar.volume for bar in bars],
        "amount": [bar.worth * MULTIPLIER for bar in bars],
    }


def spot_day(symbol: str, trades: list[Execution], book: SimulatedBook, now_ms: int) -> dict[str, Any] | None:
    """A row of spot's `ticker/24hr`; None for a symbol that was not traded."""
    bar = _day(trades, now_ms)
    if bar is None:
        return None
    change = float(bar.close) - float(bar.open)
    bid, ask = _best(book)
    return {
        "symbol": symbol,
        "priceChange": f"{change:.8f}",
        "priceChangePercent": f"{change / float(bar.open):.4f}",
        "prevClosePrice": bar.open,
        "lastPrice": bar.close,
        "bidPrice": bid[0],
        "bidQty": bid[1],
        "askPrice": ask[0],
        "askQty": ask[1],
        "openPrice": bar.open,
        "highPrice": bar.high,
        "lowPrice": bar.low,
        "volume": f"{bar.volume:.8f}",
        "quoteVolume": f"{bar.worth:.8f}",
        "openTime": bar.open_ms,
        "closeTime": now_ms,
        "count": None,
    }


def futures_day(
    symbol: str, trades: list[Execution], book: SimulatedBook, now_ms: int
) -> dict[str, Any] | None:
    """A row of the futures' `ticker`; None for a symbol that was not traded."""
    bar = _day(trades, now_ms)
    if bar is None:
        return None
    change = float(bar.close) - float(bar.open)
    bid, ask = _best(book)
    return {
        "symbol": symbol,
        "lastPrice": float(bar.close),
        "bid1": float(bid[0]),
        "ask1": float(ask[0]),
        "volume24": int(bar.volume),
        "amount24": bar.worth * MULTIPLIER,
        "holdVol": 0,
        "lower24Price": float(bar.low),
        "high24Price": float(bar.high),
        "riseFallRate": round(change / float(bar.open), 4),
        "riseFallValue": round(change, 8),
        "indexPrice": float(bar.close),
        "fairPrice": float(bar.close),
        "fundingRate": 0.0001,
        "timestamp": now_ms,
    }


def _day(trades: list[Execution], now_ms: int) -> Bar | None:
    since_ms = now_ms - UNITS_MS["d"]
    return bar_of((one for one in trades if one.time_ms > since_ms), since_ms)


def _best(book: SimulatedBook) -> tuple[tuple[str, str], tuple[str, str]]:
    return next(iter(book.bids(1)), ("0", "0")), next(iter(book.asks(1)), ("0", "0"))
