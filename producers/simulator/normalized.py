"""The past in our own form: the records of the contract as JSON, whatever venue they are of.

A client subscribes by channel and symbol on the path `/`:

    {"op": "subscribe", "channels": ["trades", "marks"], "symbols": ["binance:BTC/USDT"], "id": 1}

`symbols` may be left out for all there are; of `marks` a symbol stands for its venue. The answer names the
streams or says what is wrong:

    {"op": "subscribed", "id": 1, "streams": ["trades/binance:BTC/USDT", "marks/binance"]}
    {"op": "error", "id": 1, "message": "..."}

`unsubscribe`, `list` and `ping` work alike. Then comes, of each record:

    {"channel": "trades", "type": "Trade", "id": "trade/binance/BTC/USDT/1", "topic": "market.trades.v1",
     "partition": 2, "position": 17, "time": 1700000000000000, "record": {...}}

`record` has every field of the record (`schemas/avro/`), null where it has no value; times are microseconds
since the epoch, UTC. A gap comes in the channel of what it is a gap of. A mark stands in every partition and
says that all before its time has come there: a client that follows one symbol goes by the marks of its
partition.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import msgspec

from producers.exchange import Channel
from producers.simulator.venue import Client, Reply, RestError, SimulatedVenue
from schemas.identity import ce_id, market_key, split_key
from schemas.records import Instrument, Micros, Record, TimeMark
from schemas.topics import (
    BOOKS,
    DERIVATIVES,
    EXCHANGE_CANDLES,
    INSTRUMENTS,
    LIQUIDATIONS,
    QUOTES,
    TICKERS,
    TRADES,
)

CHANNELS: Final[dict[str, Channel]] = {
    TRADES.base_name: "trades",
    QUOTES.base_name: "quotes",
    BOOKS.base_name: "books",
    TICKERS.base_name: "tickers",
    EXCHANGE_CANDLES.base_name: "candles",
    DERIVATIVES.base_name: "derivatives",
    LIQUIDATIONS.base_name: "liquidations",
}
"""Channels of market data, by the topic that they read."""

MARKS: Final = "marks"
NAMES: Final = (*CHANNELS.values(), "instruments", MARKS)
_ALL: Final[dict[str, str]] = {**CHANNELS, INSTRUMENTS.base_name: "instruments"}


class _Request(msgspec.Struct):
    op: str
    channels: list[str] = []
    symbols: list[str] | None = None
    id: int | str | None = None


_REQUEST = msgspec.json.Decoder(_Request)


class NormalizedClient(Client):
    """A connection that subscribes by channel and symbol.

    Args:
        keys: Symbols that can be subscribed, as `venue:symbol`.
    """

    def __init__(self, keys: Collection[str]) -> None:
        super().__init__()
        self._keys = keys

    def answer(self, message: str | bytes, now_ms: int) -> list[str]:
        """See `Client.answer`."""
        try:
            request = _REQUEST.decode(message)
        except msgspec.MsgspecError as error:
            return [_error(None, f'expected {{"op": "subscribe", "channels": [...]}}: {error}')]
        match request.op:
            case "subscribe" | "unsubscribe":
                return [self._change(request)]
            case "list":
                return [_text({"op": "streams", "id": request.id, "streams": list(self.streams)})]
            case "ping":
                return [_text({"op": "pong", "id": request.id, "time": now_ms * 1_000})]
            case _:
                known = "subscribe, unsubscribe, list or ping"
                return [_error(request.id, f"expected {known} as op, got {request.op!r}")]

    def refuse(self, message: str | bytes, now_ms: int) -> list[str]:
        """See `Client.refuse`."""
        return [_error(_REQUEST.decode(message).id, "refused")]

    def is_subscription(self, message: str | bytes) -> bool:
        """See `Client.is_subscription`."""
        try:
            return _REQUEST.decode(message).op == "subscribe"
        except msgspec.MsgspecError:
            return False

    def _change(self, request: _Request) -> str:
        unknown = [name for name in request.channels if name not in NAMES]
        if unknown or not request.channels:
            what = f"there is no channel {', '.join(unknown)}" if unknown else "no channels are named"
            return _error(request.id, f"{what}; channels: {', '.join(NAMES)}")
        symbols = self._keys if request.symbols is None else request.symbols
        strange = [symbol for symbol in symbols if symbol not in self._keys]
        if strange:
            has = ", ".join(self._keys)
            return _error(request.id, f"{', '.join(strange)} is not played; symbols are venue:symbol: {has}")
        named = [stream_of(channel, symbol) for channel in request.channels for symbol in symbols]
        streams = list(dict.fromkeys(named))
        if request.op == "subscribe":
            self.streams |= dict.fromkeys(streams, "")
        else:
            for stream in streams:
                self.streams.pop(stream, None)
        return _text({"op": f"{request.op}d", "id": request.id, "streams": streams})


class NormalizedVenue(SimulatedVenue):
    """All markets of a past at once; REST tells the time, the symbols and the instruments.

    Args:
        keys: Symbols that are played, as `venue:symbol`.
        instruments: What is known of them from the beginning.
    """

    has_books_by_rest: ClassVar[bool] = False

    def __init__(self, keys: Collection[str], instruments: Sequence[Instrument] = ()) -> None:
        super().__init__({key: key for key in keys})
        self._instruments = list(instruments)

    def client(self, path: str) -> NormalizedClient:
        """See `SimulatedVenue.client`."""
        if urlsplit(path).path != "/":
            raise ValueError(f"expected the path /, got {path}")
        return NormalizedClient(list(self.symbols))

    def split(self, frame: bytes, binary: bool) -> tuple[str, bytes] | None:
        """Nothing is recorded in this form."""
        return None

    def channel_of(self, stream: str) -> tuple[Channel, str] | None:
        """See `SimulatedVenue.channel_of`; symbols are keys."""
        name, _, key = stream.partition("/")
        channel = next((channel for channel in CHANNELS.values() if channel == name), None)
        return (channel, key) if channel is not None else None

    def observe(self, stream: str, data: bytes) -> None:
        """REST knows nothing of what happens."""

    def learn(self, url: str, body: bytes) -> None:
        """Nothing is recorded in this form."""

    def rest(self, path: str, query: Mapping[str, str], now_ms: int) -> Reply:
        """`/time`, `/symbols` and `/instruments`."""
        match path:
            case "/time":
                body: Any = {"time": now_ms * 1_000}
            case "/symbols":
                body = {"channels": NAMES, "symbols": list(self.symbols)}
            case "/instruments":
                body = self._instruments
            case _:
                told = {"message": f"there is no {path}; there are /time, /symbols and /instruments"}
                raise RestError(404, msgspec.json.encode(told))
        return Reply(200, msgspec.json.encode(body))

    def failure(self, status: int, retry_after_s: float) -> Reply:
        """See `SimulatedVenue.failure`."""
        headers = {"Retry-After": f"{retry_after_s:.0f}"} if status in {418, 429} else {}
        return Reply(status, msgspec.json.encode({"message": "refused"}), headers)


def stream_of(channel: str, key: str) -> str:
    """The key of a stream: `trades/binance:BTC/USDT`, `marks/binance`."""
    return f"{channel}/{split_key(key)[0] if channel == MARKS else key}"


def message_of(record: Record, topic: str, partition: int, position: int, time: Micros) -> tuple[str, bytes]:
    """Stream and message of a record of an input topic.

    Args:
        record: The record.
        topic: Base name of its topic.
        partition: Of the topic.
        position: Of the record in the partition.
        time: Its event time, µs; of receipt where it has none.
    """
    if isinstance(record, TimeMark):
        channel, key = MARKS, f"{record.venue}:*"
    else:
        fields: Any = record
        channel, key = _ALL[topic], market_key(fields.venue, fields.symbol)
    message = {
        "channel": channel,
        "type": type(record).__name__,
        "id": ce_id(record),
        "topic": topic,
        "partition": partition,
        "position": position,
        "time": time,
        "record": record,
    }
    return stream_of(channel, key), msgspec.json.encode(message)


def _text(message: dict[str, Any]) -> str:
    return msgspec.json.encode(message).decode()


def _error(request: int | str | None, text: str) -> str:
    return _text({"op": "error", "id": request, "message": text})
