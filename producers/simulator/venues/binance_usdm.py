"""Binance USD-M futures, the server's side.

Wire: https://developers.binance.com/docs/derivatives/usds-margined-futures.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

from producers.simulator.ledger import SimulatedBook
from producers.simulator.venues.binance import BinanceSpotSimulated
from producers.simulator.venues.binance_listing import futures_listing

PUBLIC: Final = frozenset({"trade", "bookTicker", "depth"})
"""Streams of USD-M futures that come by `/public`; the others come by `/market`, and all by plain paths."""


class BinanceUsdmSimulated(BinanceSpotSimulated):
    """USD-M futures: `/fapi/v1`, and paths that split the streams by kind."""

    market: ClassVar[str] = "usdm"
    messages_per_s: ClassVar[float] = 10.0
    weight_per_minute: ClassVar[int] = 2_400
    settle_s: ClassVar[float] = 0.3
    base: ClassVar[str] = "/fapi/v1"
    kinds: ClassVar[Mapping[str, Callable[[str], bool]]] = {
        "public": lambda kind: kind in PUBLIC,
        "market": lambda kind: kind not in PUBLIC,
    }
    weights: ClassVar[Mapping[str, int]] = {"trades": 5, "historicalTrades": 20, "aggTrades": 20}
    depth_weights: ClassVar[Sequence[tuple[int, int]]] = ((50, 2), (100, 5), (500, 10), (5_000, 20))
    depth_default: ClassVar[int] = 500

    def _depth(self, symbol: str, limit: int, now_ms: int) -> dict[str, Any]:
        body = super()._depth(symbol, min(limit, 1_000), now_ms)
        return body | {"E": now_ms, "T": (self._books.get(symbol) or SimulatedBook()).time_ms or now_ms}

    @staticmethod
    def _listing(unified: str, venue_symbol: str) -> dict[str, Any]:
        return futures_listing(unified, venue_symbol)
