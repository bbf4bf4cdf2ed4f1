"""The newest rows of the database, for the picture of a running pipeline."""

from datetime import datetime, timedelta
from typing import Any

from kandle.up.database import Database
from kandle.up.view import MarketRow

SYMBOLS_SHOWN = 12
SIGNALS_SHOWN = 5
FRESH = timedelta(minutes=1)


class MarketWatch:
    """Small queries, bounded in time, once a second.

    Args:
        database: Where to ask.
        interval: Of the candles and indicators to show.
    """

    def __init__(self, database: Database, interval: str) -> None:
        self._database = database
        self.interval = interval

    async def markets(self) -> list[MarketRow]:
        """The newest candle and indicators of each symbol."""
        last = await self._rows(
            "SELECT DISTINCT ON (venue, symbol) venue, symbol, close FROM candles"
            " WHERE time > (SELECT max(time) - interval '10 minutes' FROM candles)"
            " ORDER BY venue, symbol, time DESC, interval DESC LIMIT %s",
            SYMBOLS_SHOWN,
        )
        candles = {
            (venue, symbol): tuple(values)
            for venue, symbol, *values in await self._rows(
                "SELECT DISTINCT ON (venue, symbol) venue, symbol, open, high, low, close, volume"
                " FROM candles WHERE interval = %s"
                " AND time > (SELECT max(time) - interval '1 day' FROM candles)"
                " ORDER BY venue, symbol, time DESC",
                self.interval,
            )
        }
        found = await self._rows(
            "SELECT DISTINCT ON (venue, symbol, name) venue, symbol, name, value, time FROM indicators"
            " WHERE interval = %s AND time > (SELECT max(time) - interval '10 minutes' FROM indicators)"
            " ORDER BY venue, symbol, name, time DESC",
            self.interval,
        )
        newest: dict[tuple[str, str], datetime] = {}
        for venue, symbol, _, _, time in found:
            newest[venue, symbol] = max(time, newest.get((venue, symbol), time))
        indicators: dict[tuple[str, str], dict[str, float]] = {}
        for venue, symbol, name, value, time in found:
            # One that the workers do not compute any more is not put beside the newest candle.
            if newest[venue, symbol] - time < FRESH:
                indicators.setdefault((venue, symbol), {})[name] = value
        return [
            MarketRow(venue, symbol, price, candles.get((venue, symbol)), indicators.get((venue, symbol), {}))
            for venue, symbol, price in last
        ]

    async def signals(self) -> list[str]:
        """The newest signals, as lines."""
        found = await self._rows(
            "SELECT time, venue, symbol, interval, rule, direction, strength FROM signals"
            " WHERE time > (SELECT max(time) - interval '1 day' FROM signals) ORDER BY time DESC LIMIT %s",
            SIGNALS_SHOWN,
        )
        return [
            f"{time:%Y-%m-%d %H:%M:%S} {venue} {symbol} {interval} {rule} {direction} ({strength:.3f})"
            for time, venue, symbol, interval, rule, direction, strength in found
        ]

    async def _rows(self, query: str, argument: object) -> list[Any]:
        return await self._database.rows(query, (argument,))
