"""What every venue must keep, whichever it is: run over the whole registry."""

import inspect
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import producers.exchanges
from producers.exchange import BadRecord, Control, Exchange, exchanges
from schemas.records import Quote, Trade

VENUES = sorted(exchanges().values(), key=lambda venue: (venue.venue, venue.market))
SYMBOLS = ["BTC/USDT", "ETH/USDT"]

pytestmark = pytest.mark.parametrize("venue", VENUES, ids=lambda venue: f"{venue.venue}-{venue.market}")


def set_up(venue: type[Exchange], aggregated: bool = False) -> Exchange:
    symbols = {symbol: venue.venue_symbol(symbol) for symbol in SYMBOLS}
    return venue(symbols, SYMBOLS if aggregated else ())


def documented_messages(venue: type[Exchange]) -> list[str]:
    """The real messages in the docstrings of the handlers, one a channel."""
    messages = []
    for name, handler in inspect.getmembers(venue, inspect.isfunction):
        if name.startswith("on_"):
            text = " ".join(line.strip() for line in (handler.__doc__ or "").splitlines())
            found = re.search(r"\{.*\}", text)
            assert found, f"{name} shows no message"
            messages.append(json.dumps(json.loads(found.group()), separators=(",", ":")))
    return messages


def test_each_venue_has_a_file_of_its_own(venue: type[Exchange]) -> None:
    file = Path(inspect.getfile(venue))
    assert file.parent == Path(producers.exchanges.__path__[0])
    assert file.stem.startswith(venue.venue)


def test_attributes_are_declared(venue: type[Exchange]) -> None:
    assert venue.venue == venue.venue.lower()
    assert venue.websocket_url.startswith("wss://")
    assert venue.rest_url.startswith("https://")
    assert venue.limits.messages_per_s > 1
    assert venue.limits.streams_per_message <= venue.limits.streams_per_connection


def test_symbols_go_to_the_venue_and_back(venue: type[Exchange]) -> None:
    for symbol in SYMBOLS:
        assert venue.unified_symbol(venue.venue_symbol(symbol)) == symbol


def test_streams_name_their_channel_and_symbol(venue: type[Exchange]) -> None:
    for aggregated in (False, True):
        exchange = set_up(venue, aggregated)
        channels = [venue.channel_of(stream) for stream in exchange.streams(quotes=True)]
        wanted = "aggregated_trades" if aggregated else "trades"
        assert {channel for channel in channels if channel} == {
            (kind, venue.venue_symbol(symbol)) for kind in ("quotes", wanted) for symbol in SYMBOLS
        }
        assert exchange.streams(quotes=False) == exchange.streams(quotes=True)[-len(SYMBOLS) :]


def test_every_handler_reads_the_message_that_it_shows(venue: type[Exchange]) -> None:
    kinds = set()
    for message in documented_messages(venue):
        records = [
            record
            for aggregated in (False, True)
            for record in set_up(venue, aggregated).parse(message, 7)
            if isinstance(record, Trade | Quote)
        ]
        assert records, message
        for record in records:
            assert (record.venue, record.receive_time) == (venue.venue, 7)
            assert record.symbol in SYMBOLS
            kinds.add(type(record))
        stream = venue.stream_of(message.encode())
        assert stream is not None
        assert venue.channel_of(stream) is not None
    assert kinds == {Trade, Quote}


@given(data=st.data())
def test_damaged_messages_are_refused_or_read_never_more(venue: type[Exchange], data: st.DataObject) -> None:
    message = data.draw(st.sampled_from(documented_messages(venue))).encode()
    start = data.draw(st.integers(0, len(message)))
    end = data.draw(st.integers(start, len(message)))
    damaged = message[:start] + data.draw(st.binary(max_size=8)) + message[end:]
    venue.stream_of(damaged)
    try:
        records = set_up(venue).parse(damaged, 7)
    except BadRecord:
        return
    for record in records:
        assert isinstance(record, Trade | Quote | Control)
        if isinstance(record, Trade):
            assert 0 < record.price < 1e15
            assert 0 <= record.size < 1e18
