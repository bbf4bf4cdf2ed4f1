"""The past as a market that any bot can be pointed at: a source, fed to the simulator.

What is played is what a replay would publish, in the order in which it would: merged by time, each partition
in its own order. It goes out in our own form (`producers/simulator/normalized.py`) or in that of one venue's
market (`producers/simulator/encoder.py`), by the rules of `producers/simulator/playing.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from contextlib import aclosing
from typing import Final, Literal, TypeAlias

from backtest.replay.past import Moment, Past
from backtest.replay.source import Partition
from producers.exchange import Exchange
from producers.outlet import MARKET_RECORDS
from producers.simulator.encoder import Answered, Encoder, Pushed, Said, encoder_class
from producers.simulator.kline_streams import KlineStreams
from producers.simulator.normalized import NormalizedVenue, message_of
from producers.simulator.playing import Playing
from producers.simulator.server import SimulatorServer, serve_until
from producers.simulator.venue import SimulatedVenue, venue_class
from producers.simulator.venues.binance import BinanceSpotSimulated
from schemas.errors import ConfigurationError
from schemas.identity import market_key, split_key
from schemas.records import BookUpdate, ExchangeCandle, Instrument, TimeMark, Trade
from schemas.topics import TRADES

LOOK_US: Final = 61_000_000
"""Event time that is looked at before anything is served: books are told anew every 60 s."""

LOOK_RECORDS: Final = 200_000
"""Records that are looked at, at most; they wait in memory until they are played."""

Streams: TypeAlias = Callable[[], set[str]]
Word: TypeAlias = Callable[[Moment, Streams], Sequence[Said] | None]
"""What is said of a moment to those who are subscribed; None where there is nothing to be said."""


class ServedPast(Playing[Moment]):
    """Serves the past; a `Market` for `SimulatorServer`. `open_past` makes one.

    Args:
        past: What is served.
        venue: Speaks with the clients.
        word: What is said of a moment.
        traded: The venue's symbols whose trades have to be subscribed before it begins by itself.
        speed: Times the pace of the past, or `max`.
        opening: The first moments, and the others.
        rewind: Whether a client that comes back gets everything from the beginning; else it goes on.
    """

    def __init__(
        self,
        past: Past,
        venue: SimulatedVenue,
        word: Word,
        traded: Collection[str],
        speed: float | Literal["max"],
        opening: tuple[list[Moment], AsyncGenerator[Moment, None]],
        rewind: bool = False,
    ) -> None:
        super().__init__(venue, traded, speed, rewind, opening[0][0].due * 1_000)
        self._past = past
        self._word = word
        self._opening: tuple[list[Moment], AsyncGenerator[Moment, None]] | None = opening
        self._after: dict[Partition, int] = {}
        self.unsaid: Counter[str] = Counter()
        """Records that cannot be said in this form, by type."""

    @property
    def unreadable(self) -> int:
        """Records that could not be decoded, and were passed over."""
        return self._past.unreadable

    async def moments(self, start: int) -> AsyncGenerator[Moment, None]:
        """See `Playing.moments`.

        Raises:
            KandleError: The source cannot be read any more.
        """
        rest = self._past.moments(self._after if start else {})
        if self._opening is not None:
            await rest.aclose()
            opening, rest = self._opening
            self._opening = None
            for moment in opening:
                yield moment
        async with aclosing(rest):
            async for moment in rest:
                yield moment

    def time_ns(self, moment: Moment) -> int:
        """See `Playing.time_ns`."""
        return moment.due * 1_000

    async def send(self, server: SimulatorServer, moment: Moment, is_new: bool) -> bool:
        """See `Playing.send`."""
        said = self._word(moment, server.streams)
        has_waited = False
        for one in said or ():
            if isinstance(one, Pushed):
                # REST knows of it afterwards: a book that is asked for because of its first change is then
                # the one that the change follows, as it was when it was recorded.
                is_whole = await server.send(one.stream, one.data)
                if is_new:
                    has_waited |= await self.books.wait(server, one.stream, is_whole)
                    self.venue.observe(one.stream, one.data)
            elif is_new:
                self.venue.learn(one.url, one.body)
        if is_new:
            self._after[moment.partition] = moment.position
            if said is not None and not said:
                self.unsaid[type(moment.record).__name__] += 1
        return has_waited


async def open_past(
    past: Past,
    speed: float | Literal["max"],
    market: type[Exchange] | None = None,
    rewind: bool = False,
) -> ServedPast:
    """Look at the beginning of a past, and make it ready to be served.

    Args:
        past: What is served.
        speed: Times its pace, or `max`.
        market: Whose format is spoken, and whose records are served; None: our own, of all markets.
        rewind: Whether a client that comes back gets everything from the beginning.

    Raises:
        ConfigurationError: There is nothing to be served in that form.
        KandleError: The source cannot be read.
    """
    instruments = await past.instruments()
    rest = past.moments({})
    opening = await _look(rest)
    keys = list(
        dict.fromkeys(
            market_key(moment.record.venue, moment.record.symbol)
            for moment in opening
            if isinstance(moment.record, MARKET_RECORDS)
        )
    )
    if not keys:
        raise ConfigurationError(
            "there is nothing to be served: the source holds no market data of the period"
        )
    if market is None:
        known = [one for one in instruments if market_key(one.venue, one.symbol) in keys]
        traded = keys
        return ServedPast(
            past, NormalizedVenue(keys, known), _normalized, traded, speed, (opening, rest), rewind
        )
    encoder = _encoder(market, instruments, keys)
    venue = _foreseeing(encoder, opening)
    return ServedPast(
        past, venue, _worded(encoder, venue), venue.symbols.values(), speed, (opening, rest), rewind
    )


async def serve(
    past: ServedPast,
    server: SimulatorServer,
    stop: asyncio.Event,
    once: bool = False,
) -> None:
    """Serve until `stop` is set; with `once` until the end was heard by all.

    Args:
        past: What is served.
        server: Of that market; it listens.
        stop: Ends it.
        once: Whether the end of the past ends it as well; else clients that come later are told of the end.

    Raises:
        KandleError: The source cannot be read any more.
    """
    work = asyncio.create_task(past.play(server))
    ending = asyncio.create_task(_stop_at_end(past, stop)) if once else None
    try:
        await serve_until(server, stop, work)
    finally:
        if ending is not None:
            ending.cancel()


async def _stop_at_end(past: ServedPast, stop: asyncio.Event) -> None:
    await past.ended.wait()
    stop.set()


async def _look(moments: AsyncGenerator[Moment, None]) -> list[Moment]:
    found: list[Moment] = []
    async for moment in moments:
        found.append(moment)
        if moment.due - found[0].due > LOOK_US or len(found) >= LOOK_RECORDS:
            break
    return found


def _normalized(moment: Moment, streams: Streams) -> Sequence[Said]:
    topic, number = moment.partition
    return (Pushed(*message_of(moment.record, topic, number, moment.position, moment.time)),)


def _worded(encoder: Encoder, venue: SimulatedVenue) -> Word:
    klines = KlineStreams(venue) if isinstance(venue, BinanceSpotSimulated) else None

    def word(moment: Moment, streams: Streams) -> Sequence[Said] | None:
        record = moment.record
        if isinstance(record, TimeMark):
            if klines is None or record.venue != encoder.venue or moment.partition.topic != TRADES.base_name:
                return None
            return klines.told(record.time, streams) or None
        if not isinstance(record, MARKET_RECORDS) or not encoder.is_of_market(record.venue, record.symbol):
            return None
        said = encoder.said(record)
        if klines is not None and isinstance(record, Trade):
            klines.add(record, encoder.name(record.symbol))
        elif klines is not None and isinstance(record, ExchangeCandle):
            for one in said:
                if isinstance(one, Pushed):
                    klines.leave(one.stream)
        return said

    return word


def _encoder(market: type[Exchange], instruments: Iterable[Instrument], keys: Iterable[str]) -> Encoder:
    """An encoder that knows the symbols to be served, by the source or else by the rule of their names."""
    kind = encoder_class(market.venue, market.market)
    nobody = kind()
    served = [split_key(key)[1] for key in keys if nobody.is_of_market(*split_key(key))]
    if not served:
        raise ConfigurationError(
            f"the source has nothing of {market.venue} {market.market} in its first minute; "
            f"it has {', '.join(keys)}"
        )
    listed = {one.symbol: one for one in instruments if nobody.is_of_market(one.venue, one.symbol)}
    guessed = (listed.get(symbol) or market.guess(market.venue_symbol(symbol)) for symbol in served)
    return kind([one for one in guessed if one is not None])


def _foreseeing(encoder: Encoder, opening: Iterable[Moment]) -> SimulatedVenue:
    """A venue that knows its instruments, and the first book of each symbol."""
    symbols = {symbol: one.venue_symbol for symbol, one in encoder.instruments.items()}
    venue = venue_class(encoder.venue, encoder.market)(symbols)
    venue.learn(*encoder.listing())
    known: set[str] = set()
    for moment in opening:
        record = moment.record
        if not isinstance(record, BookUpdate) or record.kind != "snapshot" or record.symbol in known:
            continue
        if encoder.is_of_market(record.venue, record.symbol):
            known.add(record.symbol)
            for said in encoder.said(record):
                if isinstance(said, Answered):
                    venue.learn(said.url, said.body)
    return venue
