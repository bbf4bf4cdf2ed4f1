"""How a market is reached: by sockets and HTTP of our own, or by ccxt where a venue has no file of ours."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from infra.http import LOOPBACK
from infra.resilience.events import OnEvent, ignore
from infra.settings import VenueSettings
from producers.connection import open_connection
from producers.exchange import Exchange, Limits
from producers.rest_desk import RestDesk
from schemas.errors import UnavailableError


class Opening(Protocol):
    """Opens connections, as `producers.connection.open_connection` does."""

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
    ) -> Any:
        """An open connection, with the face of `FeedConnection`."""
        ...


@dataclass(frozen=True, slots=True)
class Transport:
    """The ways to a market.

    Attributes:
        desk: Makes its REST calls; run it, and close it.
        opening: What opens the connections of an exchange that is set up.
    """

    desk: RestDesk
    opening: Callable[[Exchange], Opening]

    async def answers(self, market: type[Exchange], within_s: float) -> bool:
        """Whether the market tells its instruments within some seconds; the transport is closed then."""
        making = asyncio.create_task(self.desk.run(asyncio.Event()))
        try:
            async with asyncio.timeout(within_s):
                await self.desk.fetch(market.instruments_call())
        except (UnavailableError, TimeoutError):
            return False
        else:
            return True
        finally:
            making.cancel()
            await asyncio.gather(making, return_exceptions=True)
            await self.desk.close()


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a market is, if not where it is known to be.

    Attributes:
        websocket_url: Base of the WebSocket endpoint; None for the venue's own.
        rest_url: Base of the REST endpoint; None for the venue's own.
        testnet: Whether the test network is meant instead.
    """

    websocket_url: str | None = None
    rest_url: str | None = None
    testnet: bool = False

    def websocket_base(self, market: type[Exchange]) -> str:
        """Base URL of the WebSocket interface."""
        test = market.testnet_websocket_url if self.testnet else None
        return self.websocket_url or test or market.websocket_url

    def rest_base(self, market: type[Exchange]) -> str:
        """Base URL of the REST interface."""
        return self.rest_url or (market.testnet_rest_url if self.testnet else None) or market.rest_url


@dataclass(frozen=True, slots=True)
class _Paced:
    """A market at the pace of the settings; see `producers.rest_desk.RestMarket`."""

    venue: str
    market: str
    limits: Limits
    ping_path: str


def transport_of(
    market: type[Exchange],
    addresses: Addresses,
    venue: VenueSettings | None = None,
    on_event: OnEvent = ignore,
) -> Transport:
    """The transport of a market.

    Args:
        market: The venue's market.
        addresses: Where it is.
        venue: How it is called; for venues of ccxt alone.
        on_event: Told of limits, budgets and the breaker.

    Raises:
        ConfigurationError: The settings do not fit the venue.
    """
    if market.websocket_url.startswith("ccxt:"):
        return _by_ccxt(market, addresses, venue or VenueSettings(), on_event)
    desk = RestDesk(
        market, addresses.rest_base(market), lambda _: None, on_event=on_event, headers=market.headers
    )
    return Transport(desk, lambda _: open_connection)


def _by_ccxt(
    market: type[Exchange], addresses: Addresses, venue: VenueSettings, on_event: OnEvent
) -> Transport:
    # ccxt takes half a second to import: only who needs it waits for it.
    from producers.ccxt_feed.calls import CcxtCalls
    from producers.ccxt_feed.clients import feed_client
    from producers.ccxt_feed.exchange import CcxtExchange
    from producers.ccxt_feed.opening import CcxtOpening

    assert issubclass(market, CcxtExchange)
    chosen = venue.model_copy(update={"testnet": addresses.testnet or venue.testnet})

    def make() -> Any:
        return feed_client(market.capabilities, chosen, addresses.websocket_url, addresses.rest_url)

    simulated = urlsplit(addresses.websocket_url or "").hostname in LOOPBACK
    pace_ms = market.capabilities.pace_ms
    if chosen.calls_per_minute is not None:
        pace_ms = 60_000 / chosen.calls_per_minute
    limits = replace(market.limits, rest_weight_per_minute=60_000 / pace_ms)
    paced = _Paced(market.venue, market.market, limits, market.ping_path)
    calls = CcxtCalls(market, make, chosen)
    desk = RestDesk(paced, market.rest_url, lambda _: None, on_event=on_event, client=calls)

    def opening(exchange: Exchange) -> Opening:
        assert isinstance(exchange, CcxtExchange)
        return CcxtOpening(exchange, make, calls, desk, pace_ms, simulated)

    return Transport(desk, opening)
