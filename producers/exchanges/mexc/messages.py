"""What MEXC's spot market pushes: its protobuf messages, declared.

The layout is the venue's, published at https://github.com/mexcdevelop/websocket-proto: every frame is a
`PushDataV3ApiWrapper` whose one body says what it is about. Bodies that no channel of ours needs are not
declared, and skipped.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from producers import protobuf
from producers.protobuf import Message


class Level(Message):
    """A price of the book and what stands there in all, 0 to remove it."""

    numbers: ClassVar[Mapping[str, int]] = {"price": 1, "quantity": 2}
    price: str = ""
    quantity: str = ""


class Depths(Message):
    """Changes of the book from one version to another, both included."""

    numbers: ClassVar[Mapping[str, int]] = {
        "asks": 1,
        "bids": 2,
        "event_type": 3,
        "from_version": 4,
        "to_version": 5,
        "last_order_create_time": 6,
    }
    asks: list[Level] = msgspec.field(default_factory=list)
    bids: list[Level] = msgspec.field(default_factory=list)
    event_type: str = ""
    from_version: str = ""
    to_version: str = ""
    last_order_create_time: int = 0


class Deal(Message):
    """One trade; `trade_type` is 1 where the aggressor bought, 2 where it sold; `time` in ms."""

    numbers: ClassVar[Mapping[str, int]] = {
        "price": 1,
        "quantity": 2,
        "trade_type": 3,
        "time": 4,
        "trade_id": 5,
    }
    price: str = ""
    quantity: str = ""
    trade_type: int = 0
    time: int = 0
    trade_id: str = ""


class Deals(Message):
    """The trades of a tenth of a second."""

    numbers: ClassVar[Mapping[str, int]] = {"deals": 1, "event_type": 2}
    deals: list[Deal] = msgspec.field(default_factory=list)
    event_type: str = ""


class BookTicker(Message):
    """Best bid and ask; `version` is that of the book, empty in frames from before 2026-06."""

    numbers: ClassVar[Mapping[str, int]] = {
        "bid_price": 1,
        "bid_quantity": 2,
        "ask_price": 3,
        "ask_quantity": 4,
        "version": 5,
        "last_order_create_time": 6,
    }
    bid_price: str = ""
    bid_quantity: str = ""
    ask_price: str = ""
    ask_quantity: str = ""
    version: str = ""
    last_order_create_time: int = 0


class MiniTicker(Message):
    """24 hour figures; rates are fractions, `volume` is in quote currency, `quantity` in base units."""

    numbers: ClassVar[Mapping[str, int]] = {
        "symbol": 1,
        "price": 2,
        "rate": 3,
        "zoned_rate": 4,
        "high": 5,
        "low": 6,
        "volume": 7,
        "quantity": 8,
    }
    symbol: str = ""
    price: str = ""
    rate: str = ""
    zoned_rate: str = ""
    high: str = ""
    low: str = ""
    volume: str = ""
    quantity: str = ""


class Kline(Message):
    """A candle, open or closed; its window in s; `volume` in base units, `amount` in quote currency."""

    numbers: ClassVar[Mapping[str, int]] = {
        "interval": 1,
        "window_start": 2,
        "opening_price": 3,
        "closing_price": 4,
        "highest_price": 5,
        "lowest_price": 6,
        "volume": 7,
        "amount": 8,
        "window_end": 9,
    }
    interval: str = ""
    window_start: int = 0
    opening_price: str = ""
    closing_price: str = ""
    highest_price: str = ""
    lowest_price: str = ""
    volume: str = ""
    amount: str = ""
    window_end: int = 0


class Push(Message):
    """A frame: `channel` as it was subscribed, times in ms, and one of the bodies."""

    numbers: ClassVar[Mapping[str, int]] = {
        "channel": 1,
        "symbol": 3,
        "create_time": 5,
        "send_time": 6,
        "public_spot_kline": 308,
        "public_mini_ticker": 309,
        "public_aggre_depths": 313,
        "public_aggre_deals": 314,
        "public_aggre_book_ticker": 315,
    }
    channel: str = ""
    symbol: str = ""
    create_time: int = 0
    send_time: int = 0
    public_spot_kline: Kline | None = None
    public_mini_ticker: MiniTicker | None = None
    public_aggre_depths: Depths | None = None
    public_aggre_deals: Deals | None = None
    public_aggre_book_ticker: BookTicker | None = None


class Text(Push):
    """A text frame: a push in protobuf's JSON form, or the answer to a request."""

    id: int | None = None
    code: int | None = None
    msg: str = ""


class ChannelOnly(Message):
    """A frame of which only the channel is wanted."""

    numbers: ClassVar[Mapping[str, int]] = {"channel": 1}
    channel: str = ""


def frame_of(push: Mapping[str, Any]) -> bytes:
    """The binary frame of a push in protobuf's JSON form, as the venue would send it.

    `frame_of({"channel": "spot@public...@BTCUSDT", "symbol": "BTCUSDT", "sendTime": "1710000000000",
    "publicAggreDeals": {"deals": [{"price": "100.1", "quantity": "0.2", "tradeType": 1}]}})`

    Raises:
        msgspec.ValidationError: A value has not the type of its field.
    """
    return protobuf.encode(msgspec.convert(push, Push, strict=False))
