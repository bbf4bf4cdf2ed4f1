"""What a producer makes of a capture, without sockets, clocks or Kafka: a playback and its one subscriber.

The parts are those of a live run: the simulated venue plays the capture, its client subscribes what the
market's class asks for, `Feed` reads the frames and decides. What is left out is what lies between: links,
REST desk, outlet. What a feed asks of REST is answered at once, as the venue stands; a lossless feed of a
playback waits for its books in the same way. So the records, gaps and marks of each topic are those that
`kandle up --feed CAPTURE --once` writes, in the same order, apart from:

- `receive_time`: that of the recording here, that of the reading there;
- `instance` of marks, which names the run;
- how soon trades come that are asked for again, and with them the place of the marks that wait for them.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from infra.kafka.partitioner import partition_of
from producers.capture import CaptureError, Entry, Summary
from producers.exchange import CHANNELS, Call, Channel
from producers.feed import Feed
from producers.instruments import Listing
from producers.markets import exchange_class
from producers.outlet import MARKET_RECORDS, RECORD_TOPICS, fed_topics
from producers.outputs import Ask, BookGap, Output, Refusal
from producers.simulator.playback import is_damaged_text
from producers.simulator.recording import Recording
from producers.simulator.venue import Client, RestError
from schemas.identity import market_key
from schemas.records import Gap, Instrument, Record, TimeMark
from schemas.topics import BOOKS, INSTRUMENTS, TRADES, Topic

NS: Final = 1_000_000_000
TICK_NS: Final = NS // 10
WAITING_TICK_S: Final = 0.5
"""How far the time goes on at once while trades are waited for at the end, s."""


class Published(NamedTuple):
    """A record and its place.

    Attributes:
        topic: Where it goes.
        partition: Of the topic.
        key: None where it has none, as marks.
        record: What it says.
    """

    topic: Topic
    partition: int
    key: bytes | None
    record: Record


class OfflineFeed:
    """Feeds one capture; iterate once, for the records of the market, with gaps and marks.

    Args:
        path: The capture.
        channels: What is fed; those that the market does not have are left out. None: what was recorded.
        symbols: Unified symbols; all of the capture by default.
        partitions: Of every keyed topic.
        source: Name of the source in marks, without the number of its shard; as a producer's by default.
        instance: Name of the run in marks.
        candle_interval: Interval of the venue's own candles.

    Attributes:
        summary: What the capture holds.
        instruments: All that the venue lists.
        topics: Those that marks are written to. Some markets tell quotes in their tickers: those go to the
            topic of quotes, marked or not.
        refused: Frames that were refused, by reason.

    Raises:
        CaptureError: The capture cannot be read to its end, or has none of the symbols.
    """

    def __init__(
        self,
        path: Path,
        channels: Collection[Channel] | None = None,
        symbols: Collection[str] | None = None,
        *,
        partitions: int,
        source: str | None = None,
        instance: str = "capture",
        candle_interval: str = "1m",
    ) -> None:
        self._recording = recording = Recording(path, symbols)
        self._venue = recording.venue
        self._partitions = partitions
        self._keys: dict[str, bytes] = {}
        self.summary = summary = recording.summary
        market = exchange_class(summary.venue, summary.market)
        self._now_ns = summary.first_receive_ns
        self._ticked_ns = 0
        body = self._rest(market.instruments_call().path)
        if body is None:
            raise CaptureError(f"{path} has no list of instruments")
        listing = Listing(market.read_instruments(body, self._now_ns // 1_000), market.venue)
        self.instruments: list[Instrument] = list(listing.by_symbol.values())
        exchange = market(
            listing.choose(recording.symbols).values(),
            recorded_channels(summary) if channels is None else channels,
            [symbol for symbol in summary.aggregated_symbols if symbol in recording.symbols],
            candle_interval,
        )
        self._source = f"{source or f'{market.venue}-{market.market}'}-0"
        self._feed = Feed(exchange, self._source, instance, idle_marks=False)
        self._streams = exchange.streams()
        self._clients = self._subscribe()
        self.topics = fed_topics(exchange.channels)
        self.refused: Counter[str] = Counter()

    def listed(self) -> Iterator[Published]:
        """The instruments, as a producer writes them before it begins to feed."""
        return (self._keyed(INSTRUMENTS, one.symbol, one) for one in self.instruments)

    def __iter__(self) -> Iterator[Published]:
        out: list[Output] = []
        self._feed.connected(self._streams, self._now_s, out)
        yield from self._carry(out)
        for entry in self._recording:
            yield from self._advance(entry.receive_ns)
            yield from self._take(entry)
        while self._feed.is_waiting:
            yield from self._advance(self._now_ns + int(WAITING_TICK_S * NS))
        out = []
        self._feed.end(out)
        yield from self._carry(out)

    @property
    def _now_s(self) -> float:
        return self._now_ns / NS

    def _subscribe(self) -> list[Client]:
        """A connection for each path, as a session has them at the least."""
        exchange, clients = self._feed.exchange, {}
        for stream in self._streams:
            if stream.path not in clients:
                clients[stream.path] = self._venue.client(stream.path)
        for path, client in clients.items():
            mine = [stream for stream in self._streams if stream.path == path]
            for request in exchange.requests(mine, 1, self._now_s):
                client.answer(request.text, self._now_ns // 1_000_000)
        return list(clients.values())

    def _advance(self, now_ns: int) -> Iterator[Published]:
        """Let the time go on to that of the next entry."""
        self._now_ns = max(self._now_ns, now_ns)
        if self._now_ns - self._ticked_ns >= TICK_NS:
            self._ticked_ns = self._now_ns
            out: list[Output] = []
            self._feed.tick(self._now_s, None, out)
            yield from self._carry(out)

    def _take(self, entry: Entry) -> Iterator[Published]:
        rest = entry.rest
        if rest is not None:
            self._venue.learn(rest.url, bytes(rest.body))
            return
        found = self._venue.split(entry.frame, entry.binary)
        if found is not None:
            stream, data = found
            self._venue.observe(stream, data)
            frames = [client.frame(stream, data) for client in self._clients if stream in client.streams]
        elif not entry.binary and is_damaged_text(entry.frame):
            frames = [entry.frame for client in self._clients if client.streams]
        else:
            return
        for frame in frames:
            out: list[Output] = []
            self._feed.take(frame, entry.receive_ns // 1_000, self._now_s, out)
            yield from self._carry(out)

    def _carry(self, outputs: Iterable[Output]) -> Iterator[Published]:
        """Place what a feed says, then answer what it asks."""
        asked: list[Call] = []
        for output in outputs:
            if isinstance(output, MARKET_RECORDS):
                yield self._keyed(RECORD_TOPICS[type(output)], output.symbol, output)
            elif isinstance(output, TimeMark):
                yield from self._marks(output)
            elif isinstance(output, Gap):
                yield self._keyed(TRADES, output.symbol, output)
            elif isinstance(output, BookGap):
                yield self._keyed(BOOKS, output.gap.symbol, output.gap)
            elif isinstance(output, Ask):
                asked.append(output.call)
            elif isinstance(output, Refusal):
                self.refused[output.error.reason] += 1
        for call in asked:
            out: list[Output] = []
            self._feed.answer(call, self._rest(call.path), self._now_ns // 1_000, self._now_s, out)
            yield from self._carry(out)

    def _marks(self, mark: TimeMark) -> Iterator[Published]:
        for topic in self.topics:
            key = self._source.encode() if topic.cleanup == "compact" else None
            for partition in range(self._partitions):
                yield Published(topic, partition, key, mark)

    def _keyed(self, topic: Topic, symbol: str, record: Record) -> Published:
        key = self._keys.get(symbol)
        if key is None:
            key = self._keys[symbol] = market_key(self._venue.venue, symbol).encode()
        return Published(topic, partition_of(key, self._partitions), key, record)

    def _rest(self, path: str) -> bytes | None:
        parts = urlsplit(path)
        query = dict(parse_qsl(parts.query))
        try:
            return self._venue.rest(parts.path, query, self._now_ns // 1_000_000).body
        except RestError:
            return None


def recorded_channels(summary: Summary) -> list[Channel]:
    """The channels that a capture holds; aggregated trades are fed as trades."""
    streamed = {channel for symbol in summary.symbols.values() for channel in symbol.streams}
    if "aggregated_trades" in streamed:
        streamed = streamed - {"aggregated_trades"} | {"trades"}
    return [channel for channel in CHANNELS if channel in streamed]
