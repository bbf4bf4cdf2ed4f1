"""Calls of ccxt's REST methods, with the face of an HTTP client: a desk queues, paces and repeats them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from infra.http import HttpAnswer
from infra.settings import VenueSettings
from producers.ccxt_feed.encoding import encoded, encoded_markets
from producers.ccxt_feed.exchange import CcxtExchange
from producers.exchange import Channel
from producers.manager.answer import HttpAnswer as LastAnswer
from producers.manager.answer import current
from producers.manager.client import Client, secrets
from producers.manager.errors import error_of
from schemas.errors import ClientError, KandleError


class CcxtCalls:
    """Answers paths such as `/fetch_trades?symbol=BTC/USD&limit=1000` by ccxt.

    Args:
        market: Whose they are.
        make: Makes the object of ccxt that is used.
        settings: Whose secrets no message may show.
    """

    def __init__(
        self, market: type[CcxtExchange], make: Callable[[], Client], settings: VenueSettings
    ) -> None:
        self._market = market
        self._client = make()
        self._secrets = secrets(settings)
        self._unlimited: set[str] = set()
        """Methods that do not take the number of rows that is asked for."""

    @property
    def markets(self) -> Mapping[str, Any]:
        """All markets as ccxt describes them; empty before they were asked for."""
        return self._client.markets or {}

    @property
    def currencies(self) -> Mapping[str, Any]:
        """The same of currencies."""
        return self._client.currencies or {}

    async def get(self, path: str) -> HttpAnswer:
        """The answer to a path.

        Raises:
            KandleError: None came, or ccxt does not know the path.
        """
        parts = urlsplit(path)
        endpoint = parts.path.removeprefix("/")
        query = dict(parse_qsl(parts.query))
        if endpoint in self._unlimited:
            query.pop("limit", None)
        try:
            data = await self._guarded(endpoint, query)
        except ClientError:
            if "limit" not in query:
                raise
            del query["limit"]
            data = await self._guarded(endpoint, query)
            self._unlimited.add(endpoint)
        return HttpAnswer(200, {}, b'{"data":' + data + b"}")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _guarded(self, endpoint: str, query: dict[str, str]) -> bytes:
        last = LastAnswer()
        token = current.set(last)
        try:
            return await self._call(endpoint, query)
        except KandleError:
            raise
        except Exception as error:
            where = f"{self._market.venue} {endpoint} {query.get('symbol', '')}".strip()
            raise error_of(error, where, last, self._secrets) from None
        finally:
            current.reset(token)

    async def _call(self, endpoint: str, query: dict[str, str]) -> bytes:
        client = self._client
        if endpoint == "load_markets":
            listed = await client.load_markets(True)
            return encoded_markets(listed.values(), client.precisionMode)
        if endpoint == "fetch_time":
            if not self._market.capabilities.has_time:
                raise ClientError(f"{self._market.venue} does not tell its time")
            return msgspec.json.encode(await client.fetch_time())
        method: Callable[..., Awaitable[Any]] | None = getattr(client, endpoint, None)
        if method is None or not endpoint.startswith("fetch_"):
            raise ClientError(f"ccxt has no call {endpoint}")
        symbol = query.get("symbol", "")
        channel = _CHANNELS.get(endpoint, "tickers")
        limit = int(query["limit"]) if "limit" in query else None
        match endpoint:
            case "fetch_trades":
                result = await method(symbol, None, limit)
            case "fetch_ohlcv":
                result = await method(symbol, query.get("interval", "1m"), None, limit)
            case "fetch_bids_asks" | "fetch_tickers":
                result = await method([symbol])
            case _:
                result = await method(symbol)
        return encoded(channel, result, symbol) or (b"[]" if channel in _LISTS else b"{}")


_CHANNELS: Final[Mapping[str, Channel]] = {
    "fetch_trades": "trades",
    "fetch_order_book": "books",
    "fetch_ohlcv": "candles",
    "fetch_funding_rate": "derivatives",
    "fetch_mark_price": "derivatives",
    "fetch_liquidations": "liquidations",
}
_LISTS: Final[frozenset[Channel]] = frozenset({"trades", "candles", "liquidations"})
