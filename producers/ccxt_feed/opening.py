"""Opens connections to a venue by ccxt, as `producers.connection.open_connection` does to others."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from producers.ccxt_feed.calls import CcxtCalls
from producers.ccxt_feed.connection import CcxtConnection
from producers.ccxt_feed.exchange import POLLS, CcxtExchange
from producers.ccxt_feed.polling import Desk
from producers.ccxt_feed.watchdog import Watchdog
from producers.manager.client import Client
from schemas.errors import UnavailableError

MARKETS_WITHIN_S: Final = 60.0


class CcxtOpening:
    """Opens the connections of one feed.

    Args:
        exchange: The venue's market, set up for the feed.
        make: Makes an object of ccxt; each connection has its own.
        calls: Knows the markets once they were asked for.
        desk: Makes calls.
        pace_ms: Between two calls.
        simulated: Whether the venue is one of this machine.
    """

    def __init__(
        self,
        exchange: CcxtExchange,
        make: Callable[[], Client],
        calls: CcxtCalls,
        desk: Desk,
        pace_ms: float,
        simulated: bool = False,
    ) -> None:
        self._exchange = exchange
        self._make = make
        self._calls = calls
        self._desk = desk
        self._pace_ms = pace_ms
        self._simulated = simulated
        self.watchdog = Watchdog(exchange, pace_ms)

    async def __call__(
        self,
        url: str,
        *,
        open_timeout_s: float,
        close_timeout_s: float,
        frame_bytes: int,
        wake: asyncio.Event | None = None,
        is_trade: Callable[[bytes], bool] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> CcxtConnection:
        """A connection; ccxt opens its sockets when streams are subscribed. See `open_connection`.

        Raises:
            OSError: The venue does not tell its markets.
            TimeoutError: It does not tell them in time.
        """
        if not self._calls.markets:
            try:
                async with asyncio.timeout(MARKETS_WITHIN_S):
                    await self._desk.fetch(self._exchange.instruments_call())
            except UnavailableError as error:
                raise OSError(str(error)) from None
        client: Client | None = None
        if not url.endswith(POLLS):
            client = self._make()
            client.set_markets(dict(self._calls.markets), dict(self._calls.currencies))
        return CcxtConnection(
            self._exchange,
            client,
            self._desk,
            self.watchdog,
            self._pace_ms,
            wake or asyncio.Event(),
            self._simulated,
        )
