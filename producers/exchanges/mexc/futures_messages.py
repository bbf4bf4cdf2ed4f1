"""The shapes of MEXC's futures: its pushes and REST answers, by the venue's own field names.

Numbers come as JSON numbers. Where a record says whether a number survived, it is kept as it was written.
"""

from typing import Final

import msgspec


class Push(msgspec.Struct):
    """Any frame: a push, an answer to a request or to a ping."""

    channel: str = ""
    symbol: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    ts: int | str | None = None


class Deal(msgspec.Struct, gc=False):
    """A trade: price, contracts, aggressor (1 buys, 2 sells), time in ms, id of the venue."""

    p: msgspec.Raw
    v: msgspec.Raw
    T: int
    t: int
    i: str | int = ""


class Depth(msgspec.Struct, gc=False):
    """Levels as price, contracts and number of orders; the versions that a merged push covers."""

    version: int
    asks: list[tuple[float, ...]] = msgspec.field(default_factory=list)
    bids: list[tuple[float, ...]] = msgspec.field(default_factory=list)
    begin: int | None = None
    end: int | None = None
    cts: int | None = None
    timestamp: int | None = None


class FullDepth(msgspec.Struct, gc=False):
    """The best levels, numbers as written."""

    version: int
    asks: list[list[msgspec.Raw]] = msgspec.field(default_factory=list)
    bids: list[list[msgspec.Raw]] = msgspec.field(default_factory=list)
    cts: int | None = None


class Ticker(msgspec.Struct, rename="camel", gc=False):
    """24 hour figures, and what else there is to say of a contract; volumes in contracts."""

    last_price: float
    timestamp: int
    symbol: str = ""
    bid1: float | None = None
    ask1: float | None = None
    high24_price: float | None = None
    lower24_price: float | None = None
    volume24: float | None = None
    amount24: float | None = None
    rise_fall_value: float | None = None
    rise_fall_rate: float | None = None
    fair_price: float | None = None
    index_price: float | None = None
    funding_rate: float | None = None
    hold_vol: float | None = None


class Kline(msgspec.Struct, gc=False):
    """A candle. `q` is in contracts, `a` in the currency that they settle in.

    `o`, and with it `h` and `l`, take in the close of the candle before, as frames show; what was traded is
    in `ro`, `rh`, `rl` and `rc`.
    """

    interval: str
    t: int
    o: float
    h: float
    l: float  # noqa: E741 - the venue's name
    c: float
    q: float
    a: float
    ro: float | None = None
    rh: float | None = None
    rl: float | None = None
    rc: float | None = None


class FundingRate(msgspec.Struct, rename="camel", gc=False):
    """The next funding."""

    rate: float
    next_settle_time: int | None = None


class Price(msgspec.Struct, gc=False):
    """A mark price or an index."""

    price: float


class Contract(msgspec.Struct, rename="camel"):
    """What `contract/detail` lists; the state is 0 enabled, 1 delivery, 2 completed, 3 offline, 4 paused."""

    symbol: str
    base_coin: str
    quote_coin: str
    settle_coin: str
    contract_size: float
    state: int = 0
    price_unit: float | None = None
    vol_unit: float | None = None
    future_type: int = 1


class Klines(msgspec.Struct, rename="camel"):
    """Candles by columns; times in s."""

    time: list[int]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    vol: list[float]
    amount: list[float]
    real_open: list[float] | None = None
    real_high: list[float] | None = None
    real_low: list[float] | None = None
    real_close: list[float] | None = None


class Answer(msgspec.Struct):
    """Any REST answer; a book may come without this around it."""

    success: bool | None = None
    code: int | None = None
    message: str = ""
    data: msgspec.Raw = msgspec.Raw()


PUSH: Final = msgspec.json.Decoder(Push)
DEALS: Final = msgspec.json.Decoder(list[Deal] | Deal)
DEPTH: Final = msgspec.json.Decoder(Depth)
FULL_DEPTH: Final = msgspec.json.Decoder(FullDepth)
TICKER: Final = msgspec.json.Decoder(Ticker)
KLINE: Final = msgspec.json.Decoder(Kline)
FUNDING_RATE: Final = msgspec.json.Decoder(FundingRate)
PRICE: Final = msgspec.json.Decoder(Price)
ANSWER: Final = msgspec.json.Decoder(Answer)
CONTRACTS: Final = msgspec.json.Decoder(list[Contract] | Contract)
KLINES: Final = msgspec.json.Decoder(Klines)
