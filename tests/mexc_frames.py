"""Frames of MEXC's spot market for tests."""

from typing import Any

import pytest

from producers.exchange import BadRecord
from producers.exchanges.mexc.messages import frame_of
from producers.exchanges.mexc.spot import MexcSpot
from schemas.records import Instrument, Trade

RECEIVED = 1_782_208_006_200_000

DEALS = "spot@public.aggre.deals.v3.api.pb@100ms@BTCUSDT"
BOOK_TICKER = "spot@public.aggre.bookTicker.v3.api.pb@100ms@BTCUSDT"
DEPTH = "spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT"
TICKER = "spot@public.miniTicker.v3.api.pb@BTCUSDT@24H"
KLINE = "spot@public.kline.v3.api.pb@BTCUSDT@Min15"

DEAL = {"price": "62383.56", "quantity": "0.00008235", "tradeType": 2, "time": "1782208006167"}
BEST = {
    "bidPrice": "62383.56",
    "bidQuantity": "0.07956651",
    "askPrice": "62383.57",
    "askQuantity": "0.09556",
    "version": "74891313262",
}
CHANGE = {
    "asks": [{"price": "61760.1", "quantity": "0"}],
    "bids": [{"price": "61759.73", "quantity": "0.0001778"}],
    "fromVersion": "74891313263",
    "toVersion": "74891313265",
}
DAY = {
    "symbol": "BTCUSDT",
    "price": "2.5174",
    "rate": "0.01",
    "zonedRate": "-0.0766",
    "high": "2.6299",
    "low": "2.302",
    "volume": "11336518.0264",
    "quantity": "4638390.17",
}
CANDLE = {
    "interval": "Min15",
    "windowStart": "1736410500",
    "openingPrice": "92925",
    "closingPrice": "93158.47",
    "highestPrice": "93158.47",
    "lowestPrice": "92800",
    "volume": "36.83803224",
    "amount": "3424811.05",
    "windowEnd": "1736411400",
}


def instruments(*symbols: str) -> list[Instrument]:
    found = [MexcSpot.guess(symbol) for symbol in symbols]
    return [instrument for instrument in found if instrument is not None]


def frame(stream: str, body: str, value: dict[str, Any], **fields: Any) -> bytes:
    push = {"channel": stream, "symbol": "BTCUSDT", "sendTime": "1782208006171", body: value}
    return frame_of(push | fields)


def deals(*changes: dict[str, Any], **fields: Any) -> bytes:
    return frame(DEALS, "publicAggreDeals", {"deals": [DEAL | change for change in changes]}, **fields)


def ids(exchange: MexcSpot, data: bytes) -> list[str]:
    return [record.trade_id for record in exchange.parse(data, RECEIVED) if isinstance(record, Trade)]


def reason(exchange: MexcSpot, data: bytes) -> str:
    with pytest.raises(BadRecord) as caught:
        exchange.parse(data, RECEIVED)
    return caught.value.reason


# channels
