"""Binance's spot markets: binance.com, and Binance US, which differs by figures alone."""

from typing import ClassVar, Final

from producers.exchange import Channel, Limits
from producers.exchanges.binance.frames import Binance
from schemas.records import Instrument

QUOTE_ASSETS: Final = frozenset(
    (
        *("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USDP", "USDS", "USD1", "USDE", "RLUSD", "BFUSD", "XUSD"),
        *("USD", "EUR", "GBP", "AUD", "TRY", "BRL", "RUB", "UAH", "NGN", "ZAR", "PLN", "RON", "ARS", "JPY"),
        *("MXN", "CZK", "COP", "IDR", "KZT", "BIDR", "IDRT", "BVND", "BKRW", "GYEN", "EURI", "AEUR", "U"),
        *("BTC", "ETH", "BNB", "XRP", "TRX", "DOT", "SOL", "DOGE", "DAI", "VAI", "PAX", "UST"),
    )
)
"""Assets that prices are quoted in: what ends a symbol such as BTCUSDT where no instrument list says it."""

RARE_QUOTE_ASSETS: Final = frozenset({"AEUR", "XUSD"})
"""Quote a few large assets only, and look like the end of another pair: ADAEUR is ADA/EUR."""


class BinanceSpot(Binance):
    """Spot; single trades and aggregated ones can be asked for by any id without a key."""

    venue: ClassVar[str] = "binance"
    market: ClassVar[str] = "spot"
    websocket_url: ClassVar[str] = "wss://data-stream.binance.vision"
    # data-api.binance.vision would need no trading host, but lacks historicalTrades.
    rest_url: ClassVar[str] = "https://api.binance.com"
    testnet_websocket_url: ClassVar[str | None] = "wss://stream.testnet.binance.vision"
    testnet_rest_url: ClassVar[str | None] = "https://testnet.binance.vision"
    ping_path: ClassVar[str] = "/api/v3/time"
    ping_after_s: ClassVar[float] = 1.0
    channels_available: ClassVar[frozenset[Channel]] = frozenset(
        {"trades", "aggregated_trades", "quotes", "books", "tickers", "candles"}
    )
    limits: ClassVar[Limits] = Limits(
        messages_per_s=5,
        streams_per_message=200,
        streams_per_connection=1024,
        rest_weight_per_minute=6_000,
    )
    api: ClassVar[str] = "/api/v3"
    trades_endpoint: ClassVar[str] = "historicalTrades"
    trades_from_id: ClassVar[bool] = True
    weights: ClassVar[dict[str, int]] = {
        "exchangeInfo": 20,
        "depth": 50,
        "historicalTrades": 25,
        "trades": 25,
        "aggTrades": 4,
        "klines": 2,
        "ticker/24hr": 2,
        "time": 1,
    }

    @classmethod
    def guess(cls, venue_symbol: str) -> Instrument | None:
        """`BTCUSDT` is BTC/USDT by the longest asset at its end; None where none is known."""
        endings = [
            asset
            for asset in QUOTE_ASSETS
            if venue_symbol.endswith(asset)
            and venue_symbol != asset
            and (asset not in RARE_QUOTE_ASSETS or venue_symbol.removesuffix(asset) in QUOTE_ASSETS)
        ]
        if not endings:
            return None
        quote = max(endings, key=len)
        return cls.identity(venue_symbol, venue_symbol.removesuffix(quote), quote, quote)

    @classmethod
    def identity(cls, venue_symbol: str, base: str, quote: str, settle: str) -> Instrument:
        """See `BinanceRest.identity`."""
        return Instrument(
            venue=cls.venue,
            symbol=f"{base}/{quote}",
            venue_symbol=venue_symbol,
            base=base,
            quote=quote,
            kind="spot",
            status="trading",
            tick_size=None,
            lot_size=None,
            min_notional=None,
            multiplier=1.0,
            event_time=0,
        )


class BinanceUs(BinanceSpot):
    """Binance US speaks as spot does; older trades need a key there, so the newest 1000 have to do."""

    venue: ClassVar[str] = "binanceus"
    aliases: ClassVar[tuple[str, ...]] = ("binance-us",)
    websocket_url: ClassVar[str] = "wss://stream.binance.us:9443"
    rest_url: ClassVar[str] = "https://api.binance.us"
    testnet_websocket_url: ClassVar[str | None] = None
    testnet_rest_url: ClassVar[str | None] = None
    limits: ClassVar[Limits] = Limits(
        messages_per_s=5,
        streams_per_message=200,
        streams_per_connection=1024,
        rest_weight_per_minute=1_200,
    )
    trades_endpoint: ClassVar[str] = "trades"
    trades_from_id: ClassVar[bool] = False
    weights: ClassVar[dict[str, int]] = {
        "exchangeInfo": 10,
        "depth": 10,
        "trades": 1,
        "historicalTrades": 5,
        "aggTrades": 1,
        "klines": 1,
        "ticker/24hr": 1,
        "time": 1,
    }
