"""A venue of your own: Pebble, an exchange with a small WebSocket and REST interface.

A venue does no I/O. It says what to ask and to send, and reads what comes; links, reconnects, backfill by
id, marks, gaps and dead letters are done for it. How to run it, from this folder:

    export KANDLE_PRODUCER__PLUGINS=own_venue KANDLE_PRODUCER__VENUE=pebble
    kandle venues
    kandle parse pebble.capture.gz             # what `kandle record` has written, as normalized records
    KANDLE_PRODUCER__WEBSOCKET_URL=ws://localhost:9000 \
    KANDLE_PRODUCER__REST_URL=http://localhost:9000 kandle up --feed live
"""

import json
from collections.abc import Collection, Sequence
from typing import ClassVar, Literal
from urllib.parse import parse_qs, urlsplit

import msgspec

from kandle.venue import (
    BadRecord,
    Call,
    Channel,
    Control,
    Exchange,
    Instrument,
    Limits,
    MarketRecord,
    Micros,
    Request,
    Stream,
    Trade,
    decoded,
    instant,
    is_inexact,
    positive_price,
    sequence,
    size,
)


class Deal(msgspec.Struct):
    """A trade as Pebble writes it."""

    id: int
    price: str
    size: str
    side: Literal["buy", "sell"]
    time: int


class Message(msgspec.Struct):
    """A frame: a deal of a stream, or the answer to request `re`."""

    stream: str = ""
    deal: Deal | None = None
    re: int | None = None
    error: str = ""


class Market(msgspec.Struct):
    """A line of the list of markets."""

    name: str
    base: str
    quote: str
    tick: str
    lot: str


# Decoders are made once; `decoded` turns what they cannot read into a BadRecord.
MESSAGE = msgspec.json.Decoder(Message)
DEALS = msgspec.json.Decoder(list[Deal])
MARKETS = msgspec.json.Decoder(list[Market])


class Pebble(Exchange):
    """Spot trades with contiguous ids."""

    venue: ClassVar[str] = "pebble"
    market: ClassVar[str] = "spot"
    websocket_url: ClassVar[str] = "wss://stream.pebble.example"
    rest_url: ClassVar[str] = "https://api.pebble.example"
    ping_path: ClassVar[str] = "/time"  # answers {"serverTime": ms}
    channels_available: ClassVar[frozenset[Channel]] = frozenset({"trades"})
    dense_trades: ClassVar[bool] = True  # so a missing id is a gap, and is asked for by `trades_call`
    limits: ClassVar[Limits] = Limits(messages_per_s=5, streams_per_message=50, streams_per_connection=200)

    # symbols: `BTC-USDT` there, `BTC/USDT` here

    @classmethod
    def venue_symbol(cls, unified: str) -> str:
        """`BTC/USDT` -> `BTC-USDT`."""
        return unified.replace("/", "-")

    @classmethod
    def guess(cls, venue_symbol: str) -> Instrument | None:
        """`BTC-USDT` -> `BTC/USDT`, by the rule of the name alone."""
        base, dash, quote = venue_symbol.partition("-")
        if not (base and dash and quote):
            return None
        return _instrument(Market(venue_symbol, base, quote, "", ""), 0)

    @classmethod
    def instruments_call(cls) -> Call:
        """All markets at once."""
        return Call("instruments", "/markets")

    @classmethod
    def read_instruments(cls, body: bytes, receive_time: Micros) -> list[Instrument]:
        """[{"name":"BTC-USDT","base":"BTC","quote":"USDT","tick":"0.01","lot":"0.0001"}]."""
        return [_instrument(market, receive_time) for market in decoded(MARKETS.decode, body)]

    # streams: `deals:BTC-USDT`, all below one path

    def streams(self, symbols: Collection[str] | None = None) -> list[Stream]:
        """One stream a symbol."""
        chosen = self.instruments if symbols is None else symbols
        return [
            Stream(f"deals:{self.instruments[name].venue_symbol}", "trades", name, "/ws")
            for name in chosen
            if "trades" in self.channels
        ]

    def requests(
        self, streams: Sequence[Stream], number: int, now_s: float, subscribe: bool = True
    ) -> list[Request]:
        """{"id":1,"op":"subscribe","streams":["deals:BTC-USDT"]}."""
        step = self.limits.streams_per_message
        found = []
        for first in range(0, len(streams), step):
            names = tuple(stream.name for stream in streams[first : first + step])
            told = {"id": number, "op": "subscribe" if subscribe else "unsubscribe", "streams": names}
            found.append(Request(number, json.dumps(told), names))
            number += 1
        return found

    @classmethod
    def stream_of(cls, frame: bytes) -> str | None:
        """The stream that a frame names."""
        try:
            return MESSAGE.decode(frame).stream or None
        except msgspec.MsgspecError:
            return None

    @classmethod
    def channel_of(cls, stream: str) -> tuple[Channel, str] | None:
        """`deals:BTC-USDT` -> trades of BTC-USDT."""
        kind, _, name = stream.partition(":")
        return ("trades", name) if kind == "deals" else None

    # frames

    def parse(self, frame: bytes, receive_time: Micros) -> Sequence[MarketRecord | Control]:
        """One deal, or the answer to a request.

        {"stream":"deals:BTC-USDT","deal":{"id":7,"price":"61837.63","size":"0.02","side":"sell",
        "time":1723161255342}}
        """
        message = decoded(MESSAGE.decode, frame)
        if message.re is not None:
            return (Control("refused" if message.error else "accepted", message.re, message.error),)
        name = message.stream.removeprefix("deals:")
        if message.deal is None or name == message.stream:
            raise BadRecord("shape", f"expected a deal of a stream, got {frame[:60]!r}")
        instrument = self.by_name.get(name)
        # A symbol that is no longer fed may still come for a moment.
        return (
            () if instrument is None else (_trade(message.deal, instrument, receive_time, backfilled=False),)
        )

    # REST: past trades, by which gaps are filled

    def trades_call(self, symbol: str, first: int | None, last: int | None) -> Call | None:
        """A page of past deals from an id on; without one the newest."""
        name = self.instruments[symbol].venue_symbol
        since = "" if first is None else f"&from={first}"
        return Call("trades", f"/deals?market={name}{since}", symbol=symbol, first=first, last=last)

    def call_of(self, url: str) -> Call | None:
        """The call that a recorded URL was."""
        asked = urlsplit(url)
        if asked.path == "/markets":
            return self.instruments_call()
        query = parse_qs(asked.query)
        instrument = self.by_name.get(query.get("market", [""])[0])
        if asked.path != "/deals" or instrument is None:
            return None
        first = int(query["from"][0]) if "from" in query else None
        return self.trades_call(instrument.symbol, first, None)

    def read(self, call: Call, body: bytes, receive_time: Micros) -> list[MarketRecord]:
        """The deals of a page, oldest first."""
        instrument = self.instruments[call.symbol]
        deals = decoded(DEALS.decode, body)
        return [_trade(deal, instrument, receive_time, backfilled=True) for deal in deals]


def _trade(deal: Deal, instrument: Instrument, receive_time: Micros, *, backfilled: bool) -> Trade:
    """A deal as a trade of the contract; every number is checked on its way."""
    price, amount = positive_price(deal.price), size(deal.size)
    return Trade(
        venue=instrument.venue,
        symbol=instrument.symbol,
        trade_id=str(deal.id),
        sequence=sequence(deal.id),
        price=price,
        size=amount,
        side=deal.side,
        event_time=instant(deal.time),
        receive_time=receive_time,
        backfilled=backfilled,
        inexact=is_inexact(deal.price, price) or is_inexact(deal.size, amount),
    )


def _instrument(market: Market, event_time: Micros) -> Instrument:
    return Instrument(
        venue=Pebble.venue,
        symbol=f"{market.base}/{market.quote}",
        venue_symbol=market.name,
        base=market.base,
        quote=market.quote,
        kind="spot",
        status="trading",
        tick_size=positive_price(market.tick) if market.tick else None,
        lot_size=size(market.lot) if market.lot else None,
        min_notional=None,
        multiplier=1.0,
        event_time=event_time,
    )
