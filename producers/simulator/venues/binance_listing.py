"""How Binance lists its symbols, and words its figures."""

from typing import Any

from producers.simulator.figures import Bar


def spot_listing(unified: str, venue_symbol: str) -> dict[str, Any]:
    """A symbol of spot's `exchangeInfo`."""
    base, _, quote = unified.partition("/")
    return {
        "symbol": venue_symbol,
        "status": "TRADING",
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
        "filters": _filters("minNotional", "NOTIONAL"),
    }


def futures_listing(unified: str, venue_symbol: str) -> dict[str, Any]:
    """A contract of the futures' `exchangeInfo`."""
    contract, _, settle = unified.partition(":")
    base, _, quote = contract.partition("/")
    return {
        "symbol": venue_symbol,
        "pair": base + quote,
        "contractType": "CURRENT_QUARTER" if "-" in settle else "PERPETUAL",
        "deliveryDate": 4_133_404_800_000,
        "onboardDate": 1_569_398_400_000,
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": quote,
        "marginAsset": settle.partition("-")[0] or quote,
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "underlyingType": "COIN",
        "filters": _filters("notional", "MIN_NOTIONAL"),
    }


def kline_row(bar: Bar, interval_ms: int) -> list[Any]:
    """A row of `klines`."""
    return [
        bar.open_ms,
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        f"{bar.volume:.8f}",
        bar.open_ms + interval_ms - 1,
        f"{bar.worth:.8f}",
        bar.count,
        f"{bar.taker_volume:.8f}",
        f"{bar.taker_worth:.8f}",
        "0",
    ]


def day_figures(
    venue_symbol: str, bar: Bar, close_ms: int, bid: tuple[str, str], ask: tuple[str, str]
) -> dict[str, Any]:
    """The answer of `ticker/24hr`."""
    change = float(bar.close) - float(bar.open)
    return {
        "symbol": venue_symbol,
        "priceChange": f"{change:.8f}",
        "priceChangePercent": f"{100 * change / float(bar.open):.3f}",
        "weightedAvgPrice": f"{bar.worth / bar.volume if bar.volume else 0.0:.8f}",
        "prevClosePrice": bar.open,
        "lastPrice": bar.close,
        "lastQty": "0",
        "bidPrice": bid[0],
        "bidQty": bid[1],
        "askPrice": ask[0],
        "askQty": ask[1],
        "openPrice": bar.open,
        "highPrice": bar.high,
        "lowPrice": bar.low,
        "volume": f"{bar.volume:.8f}",
        "quoteVolume": f"{bar.worth:.8f}",
        "openTime": bar.open_ms,
        "closeTime": close_ms,
        "firstId": bar.first_id,
        "lastId": bar.last_id,
        "count": bar.count,
    }


def _filters(notional: str, kind: str) -> list[dict[str, str]]:
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": "0.00000001",
            "maxPrice": "1000000.00",
            "tickSize": "0.00000001",
        },
        {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00", "stepSize": "0.00001000"},
        {"filterType": kind, notional: "5.00000000"},
    ]
