"""What a venue has, by ccxt's own table: which channels, and by which of ccxt's methods they come."""

import difflib
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from producers.exchange import Channel
from schemas.errors import ConfigurationError

Kind: TypeAlias = Literal["spot", "swap", "future"]
KINDS: Final[Mapping[str, Kind]] = {
    "spot": "spot",
    "swap": "swap",
    "perpetual": "swap",
    "futures": "swap",
    "future": "future",
    "delivery": "future",
}
"""Kinds of market as users name them, and as ccxt does: `futures` of a venue are mostly perpetuals."""

NEAR: Final = 3
"""Names that are offered in place of one that does not exist."""

DEFAULT_PACE_MS: Final = 1_000.0


class Way(NamedTuple):
    """A method of ccxt that brings a channel.

    Attributes:
        has: Its name in ccxt's table.
        takes: Its arguments: one symbol, a list with one, a symbol and an interval.
    """

    has: str
    takes: Literal["symbol", "list", "interval"] = "symbol"

    @property
    def method(self) -> str:
        """Its name in Python: `watchOHLCV` is `watch_ohlcv`."""
        text = self.has.replace("OHLCV", "Ohlcv")
        return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in text)

    @property
    def is_stream(self) -> bool:
        """Whether the venue sends, instead of being asked."""
        return self.has.startswith("watch")


WAYS: Final[Mapping[Channel, tuple[Way, ...]]] = {
    "trades": (Way("watchTrades"), Way("fetchTrades")),
    "quotes": (
        Way("watchBidsAsks", "list"),
        Way("watchTicker"),
        Way("fetchBidsAsks", "list"),
        Way("fetchTicker"),
    ),
    "books": (Way("watchOrderBook"), Way("fetchOrderBook")),
    "tickers": (
        Way("watchTicker"),
        Way("watchTickers", "list"),
        Way("fetchTicker"),
        Way("fetchTickers", "list"),
    ),
    "candles": (Way("watchOHLCV", "interval"), Way("fetchOHLCV", "interval")),
    "derivatives": (
        Way("watchFundingRate"),
        Way("watchMarkPrice"),
        Way("fetchFundingRate"),
        Way("fetchMarkPrice"),
    ),
    "liquidations": (Way("watchLiquidations"), Way("fetchLiquidations")),
}
"""How a channel may come, the best way first."""

CONTRACTS_ONLY: Final[frozenset[Channel]] = frozenset({"derivatives", "liquidations"})

PAGE: Final = 1_000
"""Trades asked for at once; a venue that refuses the number is asked without one."""

OPTIONS: Final[Mapping[tuple[str, Kind], Mapping[str, Any]]] = {
    # Single trades, as the stream has them; by default these ask for aggregated ones, with other ids.
    ("binance", "spot"): {"fetchTradesMethod": "publicGetTrades"},
    ("binancecoinm", "swap"): {"fetchTradesMethod": "dapiPublicGetTrades"},
    ("binancecoinm", "future"): {"fetchTradesMethod": "dapiPublicGetTrades"},
    ("mexc", "spot"): {"fetchTradesMethod": "spotPublicGetTrades"},
}
"""Options that a market needs for stream and REST to say the same."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What ccxt knows of a venue's market.

    Attributes:
        ccxt_id: Name of the class in ccxt.
        kind: Of the market.
        ways: How each channel may come, the best way first; channels that do not come are not named.
        pace_ms: Between two calls.
        has_testnet: Whether ccxt knows a test network.
        has_time: Whether the venue tells its time.
        intervals: Of candles.
    """

    ccxt_id: str
    kind: Kind
    ways: Mapping[Channel, tuple[Way, ...]]
    pace_ms: float
    has_testnet: bool
    has_time: bool
    intervals: frozenset[str]


def is_known(venue: str) -> bool:
    """Whether ccxt has a class of this name."""
    return venue in _ids()


@functools.cache
def capabilities(venue: str, market: str) -> Capabilities:
    """What ccxt knows of a venue's market.

    Args:
        venue: A name of ccxt, lower case.
        market: Kind of market, as in `KINDS`.

    Raises:
        ConfigurationError: ccxt has no such venue, or the venue no such market; near matches are named.
    """
    kind = KINDS.get(market)
    if not is_known(venue):
        near = difflib.get_close_matches(venue, sorted(_ids()), n=NEAR)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise ConfigurationError(f"{venue} is not supported, neither by a file of its own nor by ccxt{hint}")
    described = ccxt_class(venue)()
    has: Mapping[str, Any] = described.has
    kinds = [known for known in ("spot", "swap", "future") if has.get(known)]
    if kind is None or kind not in kinds:
        raise ConfigurationError(f"{venue} has no market {market}; it has {', '.join(kinds) or 'none'}")
    ways = {
        channel: found
        for channel, all_ways in WAYS.items()
        if (kind != "spot" or channel not in CONTRACTS_ONLY)
        and (found := tuple(way for way in all_ways if _has(way, has.get(way.has))))
    }
    return Capabilities(
        venue,
        kind,
        ways,
        described.rateLimit if described.rateLimit and described.rateLimit > 0 else DEFAULT_PACE_MS,
        "test" in described.urls,
        has.get("fetchTime") is True,
        frozenset(described.timeframes or ()),
    )


def ccxt_class(venue: str) -> Any:
    """The class of ccxt for a venue: one that streams, where there is one."""
    import ccxt.async_support
    import ccxt.pro

    return getattr(ccxt.pro, venue, None) or getattr(ccxt.async_support, venue)


def _has(way: Way, told: object) -> bool:
    """Some calls are made out of others by ccxt; a stream is the venue's own or none."""
    return told is True or (told == "emulated" and not way.is_stream)


@functools.cache
def _ids() -> frozenset[str]:
    import ccxt

    return frozenset(ccxt.exchanges)
