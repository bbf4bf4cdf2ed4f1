"""Binance's USD-M futures: perpetuals and dated ones, margined in the quote asset, sized in base units.

What differs from spot: streams are split over two paths, depth chains by `pu`, trades have a kind, and there
are mark prices, funding, open interest and liquidations.

Trades of kind `INSURANCE_FUND`, `ADL` and `NA` are none of the market: no order of the book took part in
them, their prices are those of a bankruptcy (0 for `NA`), and neither `@aggTrade` nor REST has them. They do
use ids of trades up, so they are told as `OffBookTrade`.

Past trades: `historicalTrades` needs a key, `trades` has the newest 1000 without one and with the ids of
`@trade`; what is older is announced as a gap. Symbols that are fed from `@aggTrade` fill any gap by id.
"""

import re
from typing import Any, ClassVar, Final

from producers import validation
from producers.exchange import BadRecord, Channel, Limits, OffBookTrade, Poll
from producers.exchanges.binance import wire
from producers.exchanges.binance.frames import Binance, Handler
from schemas.records import DerivativeTicker, Instrument, Liquidation, Micros, Side, Trade

SETTLING_ASSETS: Final = ("FDUSD", "USDT", "USDC", "BUSD", "USD1", "BTC")
"""Quote assets of USD-M futures, which are margined in them."""

DATED: Final = re.compile(r"(.+)_(\d{6})")
"""A dated future: `BTCUSDT_210625`."""

OFF_BOOK: Final = frozenset({"INSURANCE_FUND", "ADL", "NA"})
"""Kinds of trades that no order of the book took part in."""

PATHS: Final[dict[Channel, str]] = {
    "trades": "/public/stream",
    "quotes": "/public/stream",
    "books": "/public/stream",
}
"""All other channels are served by `/market/stream`."""

OPEN_INTEREST_EVERY_S: Final = 60.0
"""The venue counts open interest anew about so often."""

SIDES: Final[dict[str, Side]] = {"BUY": "buy", "SELL": "sell"}


class BinanceUsdM(Binance):
    """USD-M futures; see the head of the file."""

    venue: ClassVar[str] = "binance"
    market: ClassVar[str] = "usdm"
    aliases: ClassVar[tuple[str, ...]] = ("binance-futures", "binance-usdm")
    websocket_url: ClassVar[str] = "wss://fstream.binance.com"
    rest_url: ClassVar[str] = "https://fapi.binance.com"
    testnet_websocket_url: ClassVar[str | None] = "wss://fstream.binancefuture.com"
    testnet_rest_url: ClassVar[str | None] = "https://testnet.binancefuture.com"
    ping_path: ClassVar[str] = "/fapi/v1/time"
    ping_after_s: ClassVar[float] = 1.0
    channels_available: ClassVar[frozenset[Channel]] = frozenset(
        {
            "trades",
            "aggregated_trades",
            "quotes",
            "books",
            "tickers",
            "candles",
            "derivatives",
            "liquidations",
        }
    )
    limits: ClassVar[Limits] = Limits(
        messages_per_s=10,
        streams_per_message=200,
        streams_per_connection=200,
        rest_weight_per_minute=2_400,
    )
    intervals: ClassVar[tuple[str, ...]] = wire.INTERVALS[1:]
    api: ClassVar[str] = "/fapi/v1"
    trades_endpoint: ClassVar[str] = "trades"
    trades_from_id: ClassVar[bool] = False
    weights: ClassVar[dict[str, int]] = {
        "exchangeInfo": 1,
        "depth": 20,
        "trades": 5,
        "historicalTrades": 20,
        "aggTrades": 20,
        "klines": 5,
        "ticker/24hr": 1,
        "openInterest": 1,
        "time": 1,
    }

    @classmethod
    def guess(cls, venue_symbol: str) -> Instrument | None:
        """`BTCUSDT` is BTC/USDT:USDT, `BTCUSDT_210625` is BTC/USDT:USDT-210625; None where no asset fits."""
        dated = DATED.fullmatch(venue_symbol)
        pair = dated[1] if dated else venue_symbol
        for quote in SETTLING_ASSETS:
            if pair.endswith(quote) and pair != quote:
                return cls.identity(venue_symbol, pair.removesuffix(quote), quote, quote)
        return None

    @classmethod
    def identity(cls, venue_symbol: str, base: str, quote: str, settle: str) -> Instrument:
        """See `BinanceRest.identity`; a date in the name makes it a future, else it is a perpetual."""
        dated = DATED.fullmatch(venue_symbol)
        return Instrument(
            venue=cls.venue,
            symbol=f"{base}/{quote}:{settle}" + (f"-{dated[2]}" if dated else ""),
            venue_symbol=venue_symbol,
            base=base,
            quote=quote,
            kind="future" if dated else "perpetual",
            status="trading",
            tick_size=None,
            lot_size=None,
            min_notional=None,
            multiplier=1.0,
            event_time=0,
        )

    def path_of(self, channel: Channel) -> str:
        """Order book and single trades are `/public`, what is derived from them `/market`."""
        return PATHS.get(channel, "/market/stream")

    def polls(self) -> list[Poll]:
        """Open interest of each symbol, which no stream has."""
        if "derivatives" not in self.channels:
            return []
        return [Poll(self.call("openInterest", symbol), OPEN_INTEREST_EVERY_S) for symbol in self.instruments]

    # channels

    def handlers(self) -> dict[Channel, tuple[type[Any], Handler]]:
        """See `Binance.handlers`."""
        return super().handlers() | {
            "derivatives": (wire.MarkPriceMessage, self.on_mark_price),
            "liquidations": (wire.ForceOrderMessage, self.on_force_order),
        }

    def on_trade(self, message: wire.TradeMessage, symbol: str, receive_time: Micros) -> Trade:
        """One execution; `X` is its kind, and only those of the book are trades of the market.

        {"stream":"btcusdt@trade","data":{"e":"trade","E":1596240000596,"T":1596240000519,"s":"BTCUSDT",
        "t":173525189,"p":"11343.67","q":"0.467","X":"MARKET","m":true}}
        """
        if message.X not in OFF_BOOK:
            return super().on_trade(message, symbol, receive_time)
        return OffBookTrade(
            venue=self.venue,
            symbol=symbol,
            trade_id=str(message.t),
            sequence=validation.sequence(message.t),
            price=validation.price_or_empty(message.p) or 0.0,
            size=validation.size(message.q),
            side="unknown",
            event_time=validation.micros(message.T),
            receive_time=receive_time,
        )

    def on_mark_price(
        self, message: wire.MarkPriceMessage, symbol: str, receive_time: Micros
    ) -> DerivativeTicker:
        """Mark and index price, and the funding to come; a dated future has none: `r` empty or 0, `T` 0.

        {"stream":"btcusdt@markPrice","data":{"e":"markPriceUpdate","E":1617308820003,"s":"BTCUSDT",
        "p":"58940.14924532","P":"58905.14663658","i":"58857.26693664","r":"0.00058455","T":1617321600000}}
        """
        has_funding = message.T != 0 and message.r != ""
        return DerivativeTicker(
            venue=self.venue,
            symbol=symbol,
            mark_price=validation.positive_price(message.p),
            index_price=None if message.i is None else validation.price_or_empty(message.i),
            funding_rate=validation.signed(message.r) if has_funding else None,
            next_funding_time=validation.micros(message.T) if has_funding else None,
            open_interest=None,
            event_time=validation.micros(message.E),
            receive_time=receive_time,
        )

    def on_force_order(
        self, message: wire.ForceOrderMessage, symbol: str, receive_time: Micros
    ) -> Liquidation | None:
        """An order that closes a position by force; the venue sends at most the newest one of a second.

        What counts is what was executed, `z` at `ap` on average; an order that has not begun says nothing.

        {"stream":"btcusdt@forceOrder","data":{"e":"forceOrder","E":1584059031426,"o":{"s":"BTCUSDT",
        "S":"BUY","o":"LIMIT","f":"IOC","q":"0.014","p":"4793.91","ap":"4706.04","X":"FILLED","l":"0.015",
        "z":"0.014","T":1584059031421}}}
        """
        order = message.o
        side = SIDES.get(order.S)
        if side is None:
            raise BadRecord("side", f"expected BUY or SELL, got {order.S[:40]!r}")
        size = validation.size(order.z)
        if not size:
            return None
        return Liquidation(
            venue=self.venue,
            symbol=symbol,
            side=side,
            price=validation.positive_price(order.ap),
            size=size,
            raw_size=None,
            event_time=validation.micros(order.T),
            receive_time=receive_time,
        )
