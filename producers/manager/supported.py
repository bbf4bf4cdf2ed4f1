"""All venues that can be asked or fed, and what each has: ours by their channels, ccxt's by what it says."""

from collections.abc import Mapping
from typing import Any, Final

import ccxt.async_support as rest_classes
import ccxt.pro as stream_classes
import msgspec

from producers.exchange import CHANNELS, Channel
from producers.manager.names import OWN
from producers.markets import exchanges

STREAMS: Final[dict[str, Channel]] = {
    "watchTrades": "trades",
    "watchBidsAsks": "quotes",
    "watchOrderBook": "books",
    "watchTicker": "tickers",
    "watchOHLCV": "candles",
    "watchFundingRate": "derivatives",
    "watchMarkPrice": "derivatives",
    "watchLiquidations": "liquidations",
}
"""What a method of ccxt streams."""

POLLS: Final[dict[str, Channel]] = {
    "fetchTrades": "trades",
    "fetchBidsAsks": "quotes",
    "fetchOrderBook": "books",
    "fetchTicker": "tickers",
    "fetchOHLCV": "candles",
    "fetchFundingRate": "derivatives",
    "fetchMarkPrice": "derivatives",
    "fetchLiquidations": "liquidations",
}
"""What a method of ccxt has by REST."""


class SupportedVenue(msgspec.Struct, frozen=True):
    """A venue's market.

    Attributes:
        venue: Name, as commands take it.
        market: Kind of market; empty where one client of ccxt speaks for all of them.
        feed: Whose feed of it there is: `kandle` or `ccxt`.
        streams: Channels that are streamed.
        rest: Channels that ccxt can ask for by REST.
    """

    venue: str
    market: str
    feed: str
    streams: list[Channel]
    rest: list[Channel]


def supported() -> list[SupportedVenue]:
    """Ours first, then ccxt's others, by name."""
    own = [
        SupportedVenue(name, market, "kandle", _ordered(cls.channels_available), _rest_of_own(name, market))
        for (name, market), cls in sorted(exchanges().items())
    ]
    taken = {name.ccxt_id for name in OWN.values()}
    others = [
        SupportedVenue(ccxt_id, "", "ccxt", _channels(ccxt_id, STREAMS), _channels(ccxt_id, POLLS))
        for ccxt_id in sorted(rest_classes.exchanges)
        if ccxt_id not in taken
    ]
    return own + others


def _rest_of_own(venue: str, market: str) -> list[Channel]:
    ids = (name.ccxt_id for name in OWN.values() if (name.venue, name.market) == (venue, market))
    return [channel for ccxt_id in ids for channel in _channels(ccxt_id, POLLS)]


def _channels(ccxt_id: str, methods: Mapping[str, Channel]) -> list[Channel]:
    cls: Any = getattr(stream_classes, ccxt_id, None) or getattr(rest_classes, ccxt_id)
    has = cls().has
    return _ordered({channel for method, channel in methods.items() if has.get(method) is True})


def _ordered(channels: set[Channel] | frozenset[Channel]) -> list[Channel]:
    return [channel for channel in CHANNELS if channel in channels]
