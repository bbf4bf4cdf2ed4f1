"""Gate.io perpetuals: contracts become base units, and whatever shape the years gave a message is read."""

import json
from typing import Any

import pytest

from producers.exchange import BadRecord
from producers.exchanges.gateio.futures import GateFutures
from producers.markets import exchange_class
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

RECEIVED = 1_786_540_617_700_000
ALL = ("trades", "quotes", "books", "tickers", "candles", "derivatives", "liquidations")
CONTRACT = 0.0001

TRADE = {
    "size": -105,
    "id": 13654526,
    "create_time": 1614556850,
    "create_time_ms": 1614556850860,
    "price": "45300",
    "contract": "BTC_USDT",
}
BOOK_TICKER = {
    "t": 1654030293769,
    "u": 13980118150,
    "s": "BTC_USDT",
    "b": "31709.2",
    "B": 119926,
    "a": "31709.3",
    "A": 56231,
}
TICKER = {
    "contract": "BTC_USDT",
    "last": "63964.7",
    "change_percentage": "-0.5151",
    "total_size": "658216984",
    "volume_24h": "393690687",
    "volume_24h_base": "39369.0687",
    "volume_24h_quote": "2518230674",
    "mark_price": "63964.8",
    "funding_rate": "-0.000052",
    "funding_next_apply": 1786550400,
    "index_price": "63989.2",
    "low_24h": "63209.0",
    "high_24h": "64443.9",
    "change_price": "-331.2",
    "t": 1786540617093,
}
CANDLE = {
    "t": 1662484200,
    "v": 10937513,
    "c": "19174.6",
    "h": "19377",
    "l": "19088.1",
    "o": "19347.3",
    "n": "5m_BTC_USDT",
}
CHANGE = {
    "t": 1632799979523,
    "s": "BTC_USDT",
    "U": 8179159885,
    "u": 8179159933,
    "b": [{"p": "42459.2", "s": 73982}, {"p": "42450", "s": 0}],
    "a": [{"p": "42460", "s": "95.2"}],
}
LIQUIDATION = {"price": "63964.7", "size": "-124.5", "time": 1787212800871, "contract": "BTC_USDT"}


def instrument(name: str = "BTC_USDT", multiplier: float = CONTRACT) -> Instrument:
    (found,) = GateFutures.read_instruments(
        json.dumps(
            [{"name": name, "quanto_multiplier": str(multiplier), "order_price_round": "0.1"}]
        ).encode(),
        RECEIVED,
    )
    return found


def gate(*channels: str) -> GateFutures:
    return GateFutures([instrument()], channels or ALL)


def frame(channel: str, result: Any, **fields: Any) -> bytes:
    envelope = {"time": 1786540617, "channel": f"futures.{channel}", "event": "update", "error": None}
    return json.dumps(envelope | {"result": result} | fields).encode()


@pytest.mark.parametrize(
    ("venue", "market"),
    [
        ("gateio", "futures"),
        ("gate", "futures"),
        ("gate-io", "futures"),
        ("gateio-futures", "spot"),
        ("gate-io-futures", "spot"),
        ("gate_futures", "spot"),
        ("gateio", "usdt"),
        ("gate", "swap"),
        ("gateio", "perpetual"),
        ("gate", "perpetual"),
    ],
)
def test_the_market_answers_to_its_usual_names(venue: str, market: str) -> None:
    assert exchange_class(venue, market) is GateFutures


@pytest.mark.parametrize(
    ("venue_symbol", "unified", "kind"),
    [
        ("BTC_USDT", "BTC/USDT:USDT", "perpetual"),
        ("BTC_USDT_20251226", "BTC/USDT:USDT-251226", "future"),
    ],
)
def test_symbols_go_to_the_venue_and_back(venue_symbol: str, unified: str, kind: str) -> None:
    found = GateFutures.guess(venue_symbol)
    assert found is not None
    assert (found.symbol, found.kind, found.multiplier) == (unified, kind, 1.0)
    assert GateFutures.venue_symbol(unified) == venue_symbol


@pytest.mark.parametrize("name", ["BTC_USD", "BTCUSDT", "_USDT", "BTC_USDT_WEEK", "BTC_USD_20251226", ""])
def test_what_is_not_settled_in_usdt_is_not_guessed(name: str) -> None:
    assert GateFutures.guess(name) is None


def test_contracts_become_base_units() -> None:
    (trade,) = gate().parse(frame("trades", [TRADE]), RECEIVED)
    assert trade == Trade(
        venue="gateio",
        symbol="BTC/USDT:USDT",
        trade_id="13654526",
        sequence=13654526,
        price=45300.0,
        size=0.0105,
        side="sell",
        event_time=1614556850860000,
        receive_time=RECEIVED,
        raw_size=105.0,
    )


@pytest.mark.parametrize(
    ("size", "side", "raw", "base"),
    [
        (50, "buy", 50.0, 0.005),
        ("-108.5", "sell", 108.5, 0.01085),
        ("7", "buy", 7.0, 0.0007),
        (-0.5, "sell", 0.5, 0.00005),
        (0, "unknown", 0.0, 0.0),
    ],
)
def test_the_sign_of_a_size_is_the_takers_side(
    size: str | int | float, side: str, raw: float, base: float
) -> None:
    (trade,) = gate().parse(frame("trades", [TRADE | {"size": size}]), RECEIVED)
    assert isinstance(trade, Trade)
    assert (trade.side, trade.raw_size, trade.size) == (side, raw, base)


def test_a_frame_may_hold_trades_of_several_contracts() -> None:
    exchange = gate()
    exchange.admit(instrument("ETH_USDT", 0.01))
    found = exchange.parse(
        frame("trades", [TRADE, TRADE | {"contract": "ETH_USDT"}, TRADE | {"contract": "SOL_USDT"}]), RECEIVED
    )
    assert [(record.symbol, record.size) for record in found if isinstance(record, Trade)] == [
        ("BTC/USDT:USDT", 0.0105),
        ("ETH/USDT:USDT", 1.05),
    ]


def test_trades_before_2021_have_seconds_only_and_some_prices_are_json_numbers() -> None:
    old = {"size": 1, "id": 31615, "create_time": 1593561616, "price": 0.836, "contract": "BTC_USDT"}
    (trade,) = gate().parse(frame("trades", [old]), RECEIVED)
    assert isinstance(trade, Trade)
    assert (trade.event_time, trade.price) == (1593561616000000, 0.836)


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        ("price", {"price": "nan"}),
        ("price", {"price": 0}),
        ("price", {"price": "1,000"}),
        ("size", {"size": "--5"}),
        ("size", {"size": "1e5"}),
        ("size", {"size": "-"}),
        ("shape", {"size": True}),
        ("shape", {"size": None}),
        ("id", {"id": -7}),
        ("time", {"create_time_ms": 0}),
        ("time", {"create_time_ms": "nan"}),
    ],
)
def test_bad_values_are_refused_with_their_reason(reason: str, fields: dict[str, Any]) -> None:
    with pytest.raises(BadRecord) as refusal:
        gate().parse(frame("trades", [TRADE | fields]), RECEIVED)
    assert refusal.value.reason == reason


@pytest.mark.parametrize("sizes", [{}, {"B": "119926", "A": "56231"}])
def test_quotes_are_in_base_units(sizes: dict[str, str]) -> None:
    (quote,) = gate().parse(frame("book_ticker", BOOK_TICKER | sizes), RECEIVED)
    assert quote == Quote(
        "gateio", "BTC/USDT:USDT", 31709.2, 11.9926, 31709.3, 5.6231, 13980118150, 1654030293769000, RECEIVED
    )


def test_a_contract_without_a_book_has_an_empty_quote() -> None:
    empty = {"t": 0, "u": 0, "s": "BTC_USDT", "b": "", "B": 0, "a": "", "A": 0}
    (quote,) = gate().parse(frame("book_ticker", empty), RECEIVED)
    assert quote == Quote("gateio", "BTC/USDT:USDT", None, 0.0, None, 0.0, None, 1786540617000000, RECEIVED)


def test_levels_are_in_base_units_whichever_form_they_have() -> None:
    (update,) = gate().parse(frame("order_book_update", CHANGE), RECEIVED)
    assert isinstance(update, BookUpdate)
    assert (update.kind, update.first_sequence, update.last_sequence) == ("delta", 8179159885, 8179159933)
    assert (update.bid_prices, update.bid_sizes) == ([42459.2, 42450.0], [7.3982, 0.0])
    assert (update.ask_prices, update.ask_sizes) == ([42460.0], [0.00952])
    pairs = CHANGE | {"s": "ob.BTC_USDT.50", "b": [["42459.2", "73982"], ["42450", "0"]]}
    (second,) = gate().parse(frame("obu", pairs | {"a": [["42460", "95.2"]]}), RECEIVED)
    assert second == update


def test_whole_books_come_with_their_id() -> None:
    book = {"t": 1680307560929, "id": 35064314497, "contract": "BTC_USDT"}
    book |= {"asks": [{"p": "28455.9", "s": 19415}], "bids": [{"p": "28455.8", "s": 29510}]}
    (snapshot,) = gate().parse(frame("order_book", book, event="all"), RECEIVED)
    assert isinstance(snapshot, BookUpdate)
    assert (snapshot.kind, snapshot.last_sequence, snapshot.bid_sizes) == ("snapshot", 35064314497, [2.951])
    assert snapshot.event_time == 1680307560929000
    none = {"asks": [], "bids": [], "contract": "BTC_USDT", "id": 0, "t": 0}
    (snapshot,) = gate().parse(frame("order_book", none, event="all"), RECEIVED)
    assert isinstance(snapshot, BookUpdate)
    assert (snapshot.last_sequence, snapshot.bid_prices) == (None, [])


def test_a_ticker_says_the_state_of_the_contract_too() -> None:
    ticker, derivative = gate().parse(frame("tickers", [TICKER]), RECEIVED)
    assert ticker == Ticker(
        venue="gateio",
        symbol="BTC/USDT:USDT",
        last=63964.7,
        bid=None,
        ask=None,
        open=None,
        high=64443.9,
        low=63209.0,
        base_volume=39369.0687,
        quote_volume=2518230674.0,
        change=-331.2,
        change_percent=-0.5151,
        event_time=1786540617093000,
        receive_time=RECEIVED,
    )
    assert derivative == DerivativeTicker(
        venue="gateio",
        symbol="BTC/USDT:USDT",
        mark_price=63964.8,
        index_price=63989.2,
        funding_rate=-0.000052,
        next_funding_time=1786550400_000000,
        open_interest=65821.6984,
        event_time=1786540617093000,
        receive_time=RECEIVED,
    )


@pytest.mark.parametrize(
    ("channels", "kinds"), [(("tickers",), [Ticker]), (("derivatives",), [DerivativeTicker])]
)
def test_of_a_ticker_only_what_is_fed_is_made(channels: tuple[str, ...], kinds: list[type]) -> None:
    exchange = gate(*channels)
    assert [type(record) for record in exchange.parse(frame("tickers", [TICKER]), RECEIVED)] == kinds
    (stream,) = exchange.streams()
    assert (stream.name, stream.channel) == ("futures.tickers/BTC_USDT", channels[0])


@pytest.mark.parametrize("wrap", [lambda row: row, lambda row: [row], lambda row: [[row]]])
def test_tickers_came_alone_in_lists_and_in_lists_of_lists(wrap: Any) -> None:
    old = {"contract": "BTC_USDT", "last": "244.9", "change_percentage": "0.30", "total_size": "417015"}
    old |= {"mark_price": "244.78", "index_price": "244.75"}
    raw = frame("tickers", wrap(old))
    ticker, derivative = gate().parse(raw, RECEIVED)
    assert isinstance(ticker, Ticker)
    assert isinstance(derivative, DerivativeTicker)
    assert (ticker.high, ticker.base_volume, derivative.funding_rate) == (None, None, None)
    assert ticker.event_time == derivative.event_time == 1786540617000000
    assert GateFutures.stream_of(raw) == "futures.tickers/BTC_USDT"


@pytest.mark.parametrize("volume", [10937513, "10937513"])
def test_the_volume_of_a_candle_counts_contracts(volume: str | int) -> None:
    (candle,) = gate().parse(frame("candlesticks", [CANDLE | {"v": volume}]), RECEIVED)
    assert isinstance(candle, ExchangeCandle)
    assert (candle.interval, candle.volume, candle.quote_volume) == ("5m", 1093.7513, None)
    assert (candle.open_time, candle.close_time) == (1662484200_000000, 1662484500_000000)


def test_candles_of_mark_and_index_prices_are_nobodys() -> None:
    assert gate().parse(frame("candlesticks", [CANDLE | {"n": "5m_mark_BTC_USDT"}]), RECEIVED) == []


@pytest.mark.parametrize(
    ("fields", "event_time"),
    [
        ({}, 1787212800871000),
        ({"time": 1787212800}, 1787212800000000),
        ({"time": None, "time_ms": 1787212800871}, 1787212800871000),
        ({"time": None}, 1786540617000000),
        ({"price": 63964.7}, 1787212800871000),
    ],
)
def test_a_liquidation_that_sells_closes_a_long(fields: dict[str, Any], event_time: int) -> None:
    row = {key: value for key, value in (LIQUIDATION | fields).items() if value is not None}
    (liquidation,) = gate().parse(frame("public_liquidates", [row]), RECEIVED)
    assert isinstance(liquidation, Liquidation)
    assert (liquidation.side, liquidation.price, liquidation.raw_size) == ("sell", 63964.7, 124.5)
    assert (liquidation.size, liquidation.event_time) == (0.01245, event_time)


def test_decimal_contracts_are_asked_for() -> None:
    assert GateFutures.headers == {"X-Gate-Size-Decimal": "1"}


def test_trades_just_missed_are_asked_for_by_the_newest_page() -> None:
    exchange = gate()
    exchange.parse(frame("trades", [TRADE | {"id": 5_000}, TRADE | {"id": 4_999}]), RECEIVED)
    near = exchange.trades_call("BTC/USDT:USDT", 4_900, 4_998)
    far = exchange.trades_call("BTC/USDT:USDT", 4_000, 4_998)
    assert near is not None
    assert far is not None
    assert near.path == "/api/v4/futures/usdt/trades?contract=BTC_USDT&limit=1000"
    assert (near.first, near.last) == (4_900, 4_998)
    assert far.path.endswith("&limit=1000&last_id=4999&reverse=true")
    page = [TRADE | {"id": number} for number in range(5_010, 4_010, -1)]
    found = exchange.read(near, json.dumps(page).encode(), RECEIVED)
    assert [trade.sequence for trade in found if isinstance(trade, Trade)] == list(range(4_900, 5_011))
    exchange.drop("BTC/USDT:USDT")
    again = exchange.trades_call("BTC/USDT:USDT", 4_900, 4_998)
    assert again is not None
    assert "last_id" in again.path


def test_a_newest_page_that_does_not_reach_back_holds_nothing() -> None:
    exchange = gate()
    exchange.parse(frame("trades", [TRADE | {"id": 5_000}]), RECEIVED)
    call = exchange.trades_call("BTC/USDT:USDT", 5_001, None)
    assert call is not None
    page = [TRADE | {"id": number} for number in range(9_000, 8_000, -1)]
    assert exchange.read(call, json.dumps(page).encode(), RECEIVED) == []
    assert exchange.read(call, b"[]", RECEIVED) == []
