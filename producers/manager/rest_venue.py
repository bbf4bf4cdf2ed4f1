"""One venue's market by REST: every call through the guard, every answer judged at the edge."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import ccxt
import msgspec

from infra.resilience.cache import Cache
from infra.resilience.cache_key import cache_key
from infra.resilience.call_guard import CallGuard, CallPolicy
from infra.resilience.token_bucket import MINUTE_S, TokenBucket
from infra.settings import VenueSettings
from producers.manager import readings
from producers.manager.answer import HttpAnswer, current
from producers.manager.client import client, pace, secrets
from producers.manager.errors import error_of
from producers.manager.names import VenueName, nearest
from producers.manager.records import Candles, Check, PastTrade, VenueTicker
from schemas.errors import (
    AuthenticationError,
    AuthorizationError,
    ClientError,
    KandleError,
)
from schemas.records import Micros

T = TypeVar("T")

CANDLES: Final = 500
CONTEXTS: Final = 200
"""Contexts such as `fetchTicker:BTC/USDT` that a venue has metrics for; more share that of the operation."""
TRADES_BY_TIME: Final = ("binance", "binanceus")
"""Venues that tell, by ccxt, the trades from a time on, with numbers for ids."""
SINGLE_CALLS: Final = 4
"""Calls at once, where a venue must be asked for each symbol."""


class RestVenue:
    """Asks one venue's market.

    Args:
        name: Which one.
        settings: How it is called.
        cache: Tickers and lists of markets, by the venue's name and address.
        policy: Attempts and their time.

    Raises:
        ConfigurationError: The settings do not fit the venue.
    """

    def __init__(
        self, name: VenueName, settings: VenueSettings, cache: Cache, policy: CallPolicy | None = None
    ) -> None:
        self.name = name
        self._settings = settings
        self._cache = cache
        self._client = client(name, settings)
        self._secrets = secrets(settings)
        per_minute = pace(name, settings) or MINUTE_S * 1_000 / self._client.rateLimit
        bucket = TokenBucket(name.label, 1.0, per_minute / MINUTE_S)
        self._guard = CallGuard(name.label, bucket, cache=cache, policy=policy)
        self._contexts: set[str] = set()
        self._clock_corrected = False

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    # what can be asked

    async def markets(self) -> Mapping[str, Any]:
        """The markets by unified symbol, as ccxt describes them; asked for once an hour.

        Raises:
            KandleError: They could not be had.
        """
        if not self._client.markets:
            fetch = self._market_list()
            key = self._key("instruments", form=ccxt.__version__)
            listed = await self._call("loadMarkets", "", fetch, key=key)
            self._client.set_markets(listed)
        markets: Mapping[str, Any] = self._client.markets
        return markets

    async def ticker(self, symbol: str) -> VenueTicker:
        """The ticker of a symbol, at most 60 s old.

        Raises:
            ClientError: The venue does not have the symbol, or no tickers.
            ValidationError: A figure breaks a rule.
            KandleError: It could not be had.
        """
        symbol = await self._symbol(symbol)
        self._must_have("fetchTicker", "tickers")

        async def fetch() -> dict[str, Any]:
            return self._read_ticker(symbol, await self._client.fetch_ticker(symbol))

        found = await self._call("fetchTicker", symbol, fetch, key=self._ticker_key(symbol))
        return msgspec.convert(found, VenueTicker)

    async def tickers(self, symbols: Sequence[str]) -> dict[str, VenueTicker | KandleError]:
        """Tickers of many symbols, by a single call where the venue has one; each with its own error.

        Raises:
            KandleError: The list of markets could not be had.
        """
        found: dict[str, VenueTicker | KandleError] = {}
        by_type: dict[str, dict[str, str]] = {}
        markets = await self.markets()
        for asked in symbols:
            try:
                symbol = await self._symbol(asked)
                # No venue tells of spot and of futures in one answer.
                by_type.setdefault(markets[symbol].get("type") or "", {})[asked] = symbol
            except ClientError as error:
                found[asked] = error
        for named in by_type.values():
            found |= await self._tickers_of_type(named)
        return found

    async def candles(
        self, symbol: str, interval: str, limit: int = CANDLES, since: Micros | None = None
    ) -> Candles:
        """Candles of a symbol, the newest unless a time is named; the last one may not be closed.

        Args:
            symbol: Unified symbol, in any case.
            interval: As `1m`, `1h`, `1d`; the case counts where a venue has `1m` and `1M`.
            limit: How many at most; a venue may give fewer.
            since: The first ones that open at this time or later; some venues tell the newest alone.

        Raises:
            ClientError: The venue does not have the symbol, the interval, or no candles.
            KandleError: They could not be had.
        """
        symbol = await self._symbol(symbol)
        self._must_have("fetchOHLCV", "candles")
        interval = self._interval(interval)

        async def fetch() -> list[list[Any]]:
            rows: list[list[Any]] = await self._client.fetch_ohlcv(symbol, interval, since_ms, limit)
            return rows

        since_ms = None if since is None else -(-since // 1_000)
        rows = await self._call("fetchOHLCV", f"{symbol}:{interval}", fetch)
        market = self._client.markets[symbol]
        multiplier = market.get("contractSize") if self.name.contract_volumes else 1.0
        return readings.candles(self.name.venue, symbol, interval, rows, multiplier, _now())

    async def trades(self, symbol: str, since: Micros, limit: int) -> list[PastTrade]:
        """Public trades of the hour from a time on, as the venue adds them up, oldest first.

        Args:
            symbol: Unified symbol, in any case.
            since: Not before the millisecond of this time.
            limit: How many at most; fewer where the hour holds fewer.

        Raises:
            ClientError: The venue does not have the symbol, or tells no trades of a time.
            KandleError: They could not be had.
        """
        if self.name.venue not in TRADES_BY_TIME:
            raise ClientError(
                f"{self.name.label} tells no trades of a time over REST; {', '.join(TRADES_BY_TIME)} do"
            )
        symbol = await self._symbol(symbol)

        async def fetch() -> list[dict[str, Any]]:
            rows: list[dict[str, Any]] = await self._client.fetch_trades(symbol, since // 1_000, limit)
            return rows

        rows = await self._call("fetchTrades", symbol, fetch)
        return readings.trades(rows)

    async def balance(self) -> dict[str, float]:
        """What the key's account holds, by currency.

        Raises:
            AuthenticationError: The key is not known, or there is none.
            AuthorizationError: It may not do this.
            KandleError: It could not be had.
        """
        if not self._secrets:
            raise AuthenticationError(f"no key of {self.name.label} is configured")
        await self.markets()
        if self._settings.correct_clock and not self._clock_corrected:
            await self._server_time()
        found = await self._call("fetchBalance", "", self._client.fetch_balance)
        totals = found.get("total") or {}
        return {currency: float(total) for currency, total in totals.items() if total}

    async def check(self) -> Check:
        """Whether the venue can be reached, what its clock says, and whether the key is valid.

        Without a key the list of markets and the time are asked for, with one the balance as well. What goes
        wrong is in the answer.
        """
        known: dict[str, Any] = {"venue": self.name.venue, "market": self.name.market}
        try:
            if self._client.has.get("fetchTime"):
                known["latency_ms"], known["clock_difference_ms"] = await self._server_time()
            began = time.perf_counter()
            known["markets"] = len(await self.markets())
            known.setdefault("latency_ms", _since_ms(began))
            if not self._secrets:
                known["key"] = "none"
            else:
                known["assets"] = len(await self.balance())
                known["key"] = "valid"
        except (AuthenticationError, AuthorizationError) as error:
            key = "refused" if self._secrets and "markets" in known else "unknown"
            return Check(**(known | {"key": key}), error=error)
        except KandleError as error:
            return Check(**known, error=error)
        return Check(**known)

    # how it is asked

    def _market_list(self) -> Callable[[], Awaitable[list[Any]]]:
        # This class has no setting for one kind of market, but a method for each.
        if self.name.venue == "mexc":
            kind = "spot" if self.name.market == "spot" else "swap"
            listing: Callable[[], Awaitable[list[Any]]] = getattr(self._client, f"fetch_{kind}_markets")
        else:
            listing = self._client.fetch_markets
        return listing

    async def _tickers_of_type(self, named: Mapping[str, str]) -> dict[str, VenueTicker | KandleError]:
        has = self._client.has
        if has.get("fetchTickers") and (len(named) > 1 or not has.get("fetchTicker")):
            try:
                return await self._many(named)
            except KandleError as error:
                return dict.fromkeys(named, error)
        places = asyncio.Semaphore(SINGLE_CALLS)

        async def one(symbol: str) -> VenueTicker | KandleError:
            async with places:
                try:
                    return await self.ticker(symbol)
                except KandleError as error:
                    return error

        return dict(zip(named, await asyncio.gather(*map(one, named.values())), strict=True))

    async def _many(self, named: Mapping[str, str]) -> dict[str, VenueTicker | KandleError]:
        found: dict[str, VenueTicker | KandleError] = {}
        missing: dict[str, str] = {}
        for asked, symbol in named.items():
            cached = await self._cache.get(self._ticker_key(symbol))
            if cached is None:
                missing[asked] = symbol
            else:
                found[asked] = msgspec.convert(cached[0], VenueTicker)
        if not missing:
            return found
        symbols = sorted(set(missing.values()))

        async def fetch() -> dict[str, Any]:
            rows: dict[str, Any] = await self._client.fetch_tickers(symbols)
            return rows

        rows = await self._call("fetchTickers", "", fetch, key=self._key("tickers", symbols=symbols))
        for asked, symbol in missing.items():
            try:
                row = rows.get(symbol)
                if row is None:
                    raise ClientError(f"{self.name.label} has no ticker of {symbol}")
                ticker = self._read_ticker(symbol, row)
                await self._cache.put(self._ticker_key(symbol), ticker)
                found[asked] = msgspec.convert(ticker, VenueTicker)
            except KandleError as error:
                found[asked] = error
        return found

    async def _server_time(self) -> tuple[float, float | None]:
        """Latency of the call and the venue's clock less ours, both in ms; corrects ccxt's clock by it."""
        told: int | None = None
        latency_ms = 0.0
        middle_ms = 0.0

        async def fetch() -> None:
            nonlocal told, latency_ms, middle_ms
            began, began_ms = time.perf_counter(), time.time() * 1_000
            told = await self._client.fetch_time()
            latency_ms = _since_ms(began)
            middle_ms = began_ms + latency_ms / 2

        await self._call("fetchTime", "", fetch)
        if told is None:
            return latency_ms, None
        difference_ms = told - middle_ms
        if self._settings.correct_clock:
            self._client.options["timeDifference"] = -round(difference_ms)
            self._clock_corrected = True
        return latency_ms, difference_ms

    async def _call(
        self, operation: str, subject: str, work: Callable[[], Awaitable[T]], *, key: str | None = None
    ) -> T:
        context = f"{operation}:{subject}" if subject else operation
        if len(self._contexts) < CONTEXTS:
            self._contexts.add(context)

        async def attempt() -> T:
            answer = HttpAnswer()
            token = current.set(answer)
            try:
                return await work()
            except Exception as error:
                raise error_of(error, f"{self.name.label} {context}", answer, self._secrets) from None
            finally:
                current.reset(token)

        return await self._guard.call(context if context in self._contexts else operation, attempt, key=key)

    async def _symbol(self, symbol: str) -> str:
        """The symbol as the venue's list has it, by any case.

        Raises:
            ClientError: It is not in the list.
        """
        markets = await self.markets()
        if symbol in markets:
            return symbol
        upper = symbol.upper()
        found: str | None = next((known for known in markets if known.upper() == upper), None)
        if found is None:
            near = nearest(upper, markets)
            hint = f"; near it: {', '.join(near)}" if near else ""
            raise ClientError(f"{self.name.label} has no market {symbol}{hint}")
        return found

    def _interval(self, interval: str) -> str:
        known = self._client.timeframes or {}
        if interval in known:
            return interval
        found: list[str] = [name for name in known if name.lower() == interval.lower()]
        if len(found) != 1:
            raise ClientError(
                f"{self.name.label} has no candles of {interval}; it has {', '.join(known) or 'none'}"
            )
        return found[0]

    def _must_have(self, method: str, what: str) -> None:
        if not self._client.has.get(method):
            raise ClientError(f"{self.name.label} has no {what} over REST")

    def _read_ticker(self, symbol: str, row: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.to_builtins(
            readings.ticker(self.name.venue, self.name.market, symbol, row, _now())
        )
        return found

    def _ticker_key(self, symbol: str) -> str:
        return self._key("ticker", symbol=symbol, form=VenueTicker.__struct_encode_fields__)

    def _key(self, context: str, **parameters: Any) -> str:
        """The key of a cached value; its `form` keeps values of another version of this program apart."""
        where = {"venue": self.name.label, "testnet": self._settings.testnet, "url": self._settings.rest_url}
        return cache_key(context, {**where, **parameters})


def _now() -> Micros:
    return time.time_ns() // 1_000


def _since_ms(began: float) -> float:
    return (time.perf_counter() - began) * 1_000
