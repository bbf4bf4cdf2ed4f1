"""What every venue must keep, whichever it is: run over the whole registry."""

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import producers.exchanges
from producers.exchange import CHANNELS, BadRecord, Channel, Control, Exchange, MarketRecord
from producers.exchanges.mexc.messages import frame_of
from producers.markets import exchanges
from schemas.records import (
    BookUpdate,
    DerivativeTicker,
    ExchangeCandle,
    Instrument,
    Liquidation,
    Quote,
    Ticker,
    Trade,
)

VENUES = sorted(exchanges().values(), key=lambda venue: (venue.venue, venue.market))
BASES = ["BTC", "ETH"]

RECORDS: dict[Channel, type[Any]] = {
    "trades": Trade,
    "aggregated_trades": Trade,
    "quotes": Quote,
    "books": BookUpdate,
    "tickers": Ticker,
    "candles": ExchangeCandle,
    "derivatives": DerivativeTicker,
    "liquidations": Liquidation,
}

pytestmark = pytest.mark.parametrize("venue", VENUES, ids=lambda venue: f"{venue.venue}-{venue.market}")


def instruments_of(venue: type[Exchange]) -> list[Instrument]:
    ending = "/USDT" if venue.market == "spot" else "/USDT:USDT"
    found = [venue.guess(venue.venue_symbol(base + ending)) for base in BASES]
    return [instrument for instrument in found if instrument is not None]


def set_up(
    venue: type[Exchange], channels: set[Channel] | None = None, aggregated: bool = False, more: str = ""
) -> Exchange:
    instruments = instruments_of(venue)
    guessed = venue.guess(more) if more else None
    if guessed is not None:
        instruments.append(guessed)
    wanted = set(venue.channels_available) if channels is None else channels
    return venue(instruments, wanted, [each.symbol for each in instruments] if aggregated else [])


def documented_frames(venue: type[Exchange]) -> list[tuple[str, bytes]]:
    """The real messages in the docstrings of the handlers, at least one a channel, as frames."""
    frames = []
    for name, handler in inspect.getmembers(venue, inspect.isfunction):
        if name.startswith("on_"):
            text = " ".join(line.strip() for line in (handler.__doc__ or "").splitlines())
            found = re.search(r"\{.*\}", text)
            assert found, f"{name} shows no message"
            message = json.loads(found.group())
            is_binary = (venue.venue, venue.market) == ("mexc", "spot")
            frame = frame_of(message) if is_binary else json.dumps(message, separators=(",", ":")).encode()
            frames.append((name, frame))
    return frames


def test_each_venue_has_a_folder_of_its_own_and_each_market_a_file(venue: type[Exchange]) -> None:
    file = Path(inspect.getfile(venue))
    assert file.parent.parent == Path(producers.exchanges.__path__[0])
    assert venue.venue.startswith(file.parent.name)


def test_attributes_are_declared(venue: type[Exchange]) -> None:
    assert venue.venue == venue.venue.lower()
    assert venue.websocket_url.startswith("wss://")
    assert venue.rest_url.startswith("https://")
    assert venue.ping_path.startswith("/")
    assert venue.channels_available <= set(CHANNELS)
    assert {"trades", "quotes", "books"} <= venue.channels_available
    assert venue.limits.messages_per_s > 1
    assert venue.limits.streams_per_message <= venue.limits.streams_per_connection
    assert venue.instruments_call().kind == "instruments"
    assert 0 < venue.instruments_call().weight < venue.limits.rest_weight_per_minute


def test_a_heartbeat_can_be_made_where_one_is_wanted(venue: type[Exchange]) -> None:
    if venue.heartbeat_s is None:
        with pytest.raises(NotImplementedError):
            set_up(venue).heartbeat(1e9)
    else:
        assert set_up(venue).heartbeat(1e9)


def test_symbols_go_to_the_venue_and_back(venue: type[Exchange]) -> None:
    instruments = instruments_of(venue)
    assert [each.base for each in instruments] == BASES
    for each in instruments:
        assert venue.venue_symbol(each.symbol) == each.venue_symbol
        assert (each.venue, each.quote) == (venue.venue, "USDT")


@pytest.mark.parametrize("aggregated", [False, True])
def test_streams_name_their_channel_and_symbol_trades_last(venue: type[Exchange], aggregated: bool) -> None:
    exchange = set_up(venue, aggregated=aggregated)
    streams = exchange.streams()
    assert len({stream.name for stream in streams}) == len(streams)
    for stream in streams:
        found = venue.channel_of(stream.name)
        assert found is not None, stream
        assert found[1] == exchange.instruments[stream.symbol].venue_symbol
        assert stream.path.startswith("/")
    channels = [stream.channel for stream in streams]
    trades = [channel in ("trades", "aggregated_trades") for channel in channels]
    assert trades == sorted(trades)
    assert sum(trades) == len(exchange.instruments)
    (symbol, _) = exchange.instruments
    assert exchange.streams([symbol]) == [stream for stream in streams if stream.symbol == symbol]


def test_requests_name_each_stream_once_and_count_on(venue: type[Exchange]) -> None:
    exchange = set_up(venue)
    by_path: dict[str, list[Any]] = {}
    for stream in exchange.streams():
        by_path.setdefault(stream.path, []).append(stream)
    for streams in by_path.values():
        for subscribe in (True, False):
            requests = exchange.requests(streams, 5, 1e9, subscribe)
            assert [request.number for request in requests] == list(range(5, 5 + len(requests)))
            named = [name for request in requests for name in request.streams]
            assert sorted(named) == sorted(stream.name for stream in streams)
            for request in requests:
                assert len(request.streams) <= venue.limits.streams_per_message
                assert json.loads(request.text)


def test_every_handler_reads_the_message_that_it_shows(venue: type[Exchange]) -> None:
    kinds = set()
    for name, frame in documented_frames(venue):
        stream = venue.stream_of(frame)
        found = None if stream is None else venue.channel_of(stream)
        records = [
            record
            for aggregated in (False, True)
            for record in set_up(venue, None, aggregated, found[1] if found else "").parse(frame, 7)
        ]
        assert records, f"{name}: {frame!r}"
        for record in records:
            assert isinstance(record, MarketRecord)
            assert (record.venue, record.receive_time) == (venue.venue, 7)
            kinds.add(type(record))
    assert kinds >= {RECORDS[channel] for channel in venue.channels_available - {"liquidations"}}


def test_a_channel_that_is_not_wanted_brings_nothing(venue: type[Exchange]) -> None:
    for name, frame in documented_frames(venue):
        for record in set_up(venue, {"trades"}).parse(frame, 7) if "depth" in name else ():
            assert isinstance(record, Trade), name


def test_a_call_is_known_by_its_url(venue: type[Exchange]) -> None:
    exchange = set_up(venue)
    for symbol in exchange.instruments:
        for call in (exchange.book_call(symbol), exchange.trades_call(symbol, 17, 40)):
            if call is None:
                continue
            assert 0 < call.weight < venue.limits.rest_weight_per_minute
            found = exchange.call_of(venue.rest_url + call.path)
            assert found is not None, call
            assert (found.kind, found.symbol, found.path) == (call.kind, symbol, call.path)
    assert exchange.call_of(f"{venue.rest_url}/nothing/of/interest") is None


@pytest.mark.parametrize("body", [b"", b"<html>busy</html>", b"\xff", b"null", b'"text"', b'{"x":', b"7"])
def test_a_body_that_is_no_answer_is_refused(venue: type[Exchange], body: bytes) -> None:
    exchange = set_up(venue)
    (symbol, _) = exchange.instruments
    calls = [exchange.book_call(symbol), exchange.trades_call(symbol, 17, 40)]
    calls += [poll.call for poll in exchange.polls()]
    for call in calls:
        if call is not None:
            with pytest.raises(BadRecord):
                exchange.read(call, body, 7)
    with pytest.raises(BadRecord):
        venue.read_instruments(body, 7)


@given(data=st.data())
def test_damaged_messages_are_refused_or_read_never_more(venue: type[Exchange], data: st.DataObject) -> None:
    _, message = data.draw(st.sampled_from(documented_frames(venue)))
    start = data.draw(st.integers(0, len(message)))
    end = data.draw(st.integers(start, len(message)))
    damaged = message[:start] + data.draw(st.binary(max_size=8)) + message[end:]
    venue.stream_of(damaged)
    try:
        records = set_up(venue).parse(damaged, 7)
    except BadRecord:
        return
    for record in records:
        assert isinstance(record, MarketRecord | Control)
        if isinstance(record, Trade):
            assert 0 < record.price < 1e15
            assert 0 <= record.size < 1e18
        if isinstance(record, BookUpdate):
            assert all(0 < price < 1e15 for price in record.bid_prices + record.ask_prices)
            assert all(0 <= size < 1e18 for size in record.bid_sizes + record.ask_sizes)
