"""Unified structures of ccxt, good and bad, as records."""

import json
from typing import Any

import msgspec
import pytest

from producers.ccxt_feed import encoding
from producers.ccxt_feed.exchange import CcxtExchange, ccxt_exchange
from producers.exchange import CHANNELS, BadRecord, Control
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

NOW = 1_700_000_000_500_000
AT_MS = 1_700_000_000_123


def market(kind: str = "spot", **values: Any) -> dict[str, Any]:
    base = {"id": "XXBTZUSD", "symbol": "BTC/USD", "base": "BTC", "quote": "USD", "type": kind}
    return base | values


def listed(cls: type[CcxtExchange], *markets: dict[str, Any]) -> list[Instrument]:
    return cls.read_instruments(json.dumps({"data": list(markets)}).encode(), NOW)


@pytest.fixture
def kraken() -> CcxtExchange:
    cls = ccxt_exchange("kraken", "spot")
    return cls(listed(cls, market()), CHANNELS)


def swap(multiplier: float = 0.01, inverse: bool = False) -> CcxtExchange:
    cls = ccxt_exchange("bybit", "swap")
    settle = "BTC" if inverse else "USDT"
    found = market(
        "swap",
        id="BTCPERP",
        symbol=f"BTC/USDT:{settle}",
        quote="USDT",
        settle=settle,
        linear=not inverse,
        inverse=inverse,
        contract_size=multiplier,
    )
    return cls(listed(cls, found), CHANNELS)


def frame(stream: str, data: Any) -> bytes:
    return json.dumps({"stream": stream, "data": data}).encode()


def trade(**values: Any) -> dict[str, Any]:
    base = {
        "id": "7",
        "timestamp": AT_MS,
        "symbol": "BTC/USD",
        "side": "buy",
        "price": 60_000.5,
        "amount": 0.25,
    }
    return {key: value for key, value in (base | values).items() if value is not ...}


def test_a_trade_has_the_id_of_the_venue_and_no_sequence(kraken: CcxtExchange) -> None:
    (found,) = kraken.parse(frame("trades/XXBTZUSD", [trade()]), NOW)
    assert found == Trade(
        "kraken", "BTC/USD", "7", None, 60_000.5, 0.25, "buy", AT_MS * 1_000, NOW, None, False, False
    )


def test_numbers_may_be_texts_and_whole(kraken: CcxtExchange) -> None:
    rows = [trade(price="60000.5", amount="0.25"), trade(id=8, price=60_000, amount=1, side=None)]
    first, second = kraken.parse(frame("trades/XXBTZUSD", rows), NOW)
    assert isinstance(first, Trade)
    assert isinstance(second, Trade)
    assert (first.price, first.size, second.price, second.size) == (60_000.5, 0.25, 60_000.0, 1.0)
    assert (second.trade_id, second.side) == ("8", "unknown")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"price": None}, "price"),
        ({"price": ...}, "price"),
        ({"price": 0}, "price"),
        ({"price": -1.5}, "price"),
        ({"price": "NaN"}, "price"),
        ({"price": "1e3"}, "price"),
        ({"price": True}, "shape"),
        ({"price": [1]}, "shape"),
        ({"price": 1e300}, "price"),
        ({"amount": None}, "size"),
        ({"amount": -0.1}, "size"),
        ({"amount": "abc"}, "size"),
        ({"timestamp": None}, "time"),
        ({"timestamp": 0}, "time"),
        ({"timestamp": 99_999}, "time"),
        ({"timestamp": "yesterday"}, "time"),
        ({"side": "bid"}, "side"),
        ({"symbol": "ETH/USD"}, "symbol"),
    ],
)
def test_a_bad_value_refuses_the_frame_with_its_reason(
    kraken: CcxtExchange, values: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BadRecord) as caught:
        kraken.parse(frame("trades/XXBTZUSD", [trade(id="6"), trade(**values)]), NOW)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{", b'{"stream":1}', b'{"stream":"trades/XXBTZUSD","data":{}}']
)
def test_what_is_no_frame_is_refused(kraken: CcxtExchange, raw: bytes) -> None:
    with pytest.raises(BadRecord):
        kraken.parse(raw, NOW)


def test_frames_of_symbols_that_are_not_fed_are_nobodys(kraken: CcxtExchange) -> None:
    assert kraken.parse(frame("trades/XETHZUSD", [trade()]), NOW) == []
    kraken.drop("BTC/USD")
    assert kraken.parse(frame("trades/XXBTZUSD", [trade()]), NOW) == []


def test_trades_without_ids_are_known_by_what_they_say(kraken: CcxtExchange) -> None:
    twins = [trade(id=None), trade(id=None), trade(id=None, price=60_001)]
    live = [
        found.trade_id
        for found in kraken.parse(frame("trades/XXBTZUSD", twins), NOW)
        if isinstance(found, Trade)
    ]
    assert len(set(live)) == 3
    call = kraken.trades_call("BTC/USD", None, None)
    assert call is not None
    page = kraken.read(call, json.dumps({"data": [trade(id="9") for _ in range(2)]}).encode(), NOW)
    # The page has ids; they would be others, so it is read without them too.
    assert [found.trade_id for found in page if isinstance(found, Trade)] == live[:2]


def test_a_page_with_ids_of_another_kind_is_refused(kraken: CcxtExchange) -> None:
    rows = [trade(id=str(number), timestamp=AT_MS + number) for number in range(5)]
    kraken.parse(frame("trades/XXBTZUSD", rows), NOW)
    call = kraken.trades_call("BTC/USD", None, None)
    assert call is not None
    others = [row | {"id": f"aggregated-{row['id']}"} for row in rows]
    with pytest.raises(BadRecord, match="other ids") as caught:
        kraken.read(call, json.dumps({"data": others}).encode(), NOW)
    assert caught.value.reason == "id"
    later = [trade(id="x", timestamp=AT_MS + 1_000)]
    assert len(kraken.read(call, json.dumps({"data": later}).encode(), NOW)) == 1


def test_a_page_with_nameless_trades_is_refused_where_the_stream_names_them(kraken: CcxtExchange) -> None:
    kraken.parse(frame("trades/XXBTZUSD", [trade()]), NOW)
    call = kraken.trades_call("BTC/USD", None, None)
    assert call is not None
    with pytest.raises(BadRecord) as caught:
        kraken.read(call, json.dumps({"data": [trade(id=None)]}).encode(), NOW)
    assert caught.value.reason == "id"


def test_what_was_asked_for_beside_the_stream_counts_as_backfilled(kraken: CcxtExchange) -> None:
    kraken.parse(frame("trades/XXBTZUSD", [trade(id="1"), trade(id="3")]), NOW)
    asked = json.dumps(
        {"stream": "trades/XXBTZUSD", "asked": True, "data": [trade(id="1"), trade(id="2")]}
    ).encode()
    found = kraken.parse(asked, NOW)
    assert [(one.trade_id, one.backfilled) for one in found if isinstance(one, Trade)] == [
        ("1", True),
        ("2", True),
    ]
    strange = json.dumps({"stream": "trades/XXBTZUSD", "asked": True, "data": [trade(id="a1")]}).encode()
    assert kraken.parse(strange, NOW) == []


def test_trades_come_by_ascending_time(kraken: CcxtExchange) -> None:
    rows = [trade(id="2", timestamp=AT_MS + 5), trade(id="1")]
    assert [
        one.trade_id for one in kraken.parse(frame("trades/XXBTZUSD", rows), NOW) if isinstance(one, Trade)
    ] == [
        "1",
        "2",
    ]


def test_contracts_become_base_units() -> None:
    linear = swap(0.01)
    row = trade(symbol="BTC/USDT:USDT", price=50_000, amount=3)
    (found,) = linear.parse(frame("trades/BTCPERP", [row]), NOW)
    assert isinstance(found, Trade)
    assert (found.size, found.raw_size) == (0.03, 3.0)
    inverse = swap(100.0, inverse=True)
    (found,) = inverse.parse(frame("trades/BTCPERP", [row | {"symbol": "BTC/USDT:BTC"}]), NOW)
    assert isinstance(found, Trade)
    assert (found.size, found.raw_size) == (3 * 100.0 / 50_000, 3.0)


def test_a_quote_needs_one_side(kraken: CcxtExchange) -> None:
    row = {"symbol": "BTC/USD", "bid": 1.5, "bidVolume": 2, "ask": None, "askVolume": 5, "timestamp": None}
    assert list(kraken.parse(frame("quotes/XXBTZUSD", row), NOW)) == [
        Quote("kraken", "BTC/USD", 1.5, 2.0, None, 0.0, None, None, NOW)
    ]
    assert kraken.parse(frame("quotes/XXBTZUSD", {"symbol": "BTC/USD"}), NOW) == []


def test_a_book_replaces_the_one_before(kraken: CcxtExchange) -> None:
    row = {"bids": [[100, 1, 3], ["99.5", "2"]], "asks": [[101, 0.5]], "timestamp": AT_MS, "nonce": 42}
    (found,) = kraken.parse(frame("books/XXBTZUSD", row), NOW)
    assert isinstance(found, BookUpdate)
    assert (found.kind, found.first_sequence, found.last_sequence) == ("snapshot", 42, 42)
    assert (found.bid_prices, found.bid_sizes) == ([100.0, 99.5], [1.0, 2.0])
    assert (found.event_time, found.checksum) == (AT_MS * 1_000, None)
    for bad in (
        {"bids": [[100]], "asks": []},
        {"bids": [[None, 1]], "asks": []},
        {"bids": [], "asks": [[1, -1]]},
    ):
        with pytest.raises(BadRecord):
            kraken.parse(frame("books/XXBTZUSD", bad), NOW)


def test_a_ticker_without_a_time_has_that_of_its_receipt(kraken: CcxtExchange) -> None:
    row = {"symbol": "BTC/USD", "close": 7, "percentage": "-1.5", "change": -0.1, "baseVolume": 3, "high": 0}
    (found,) = kraken.parse(frame("tickers/XXBTZUSD", row), NOW)
    assert isinstance(found, Ticker)
    assert (found.last, found.change, found.change_percent, found.event_time) == (7.0, -0.1, -1.5, NOW)
    assert (found.base_volume, found.high) == (3.0, None)
    with pytest.raises(BadRecord):
        kraken.parse(frame("tickers/XXBTZUSD", {"symbol": "BTC/USD"}), NOW)


def test_candles_keep_the_rules_of_their_prices(kraken: CcxtExchange) -> None:
    rows = [[AT_MS, 2, 3, 1, 2.5, 10], [AT_MS, None, None, None, None, 0]]
    (found,) = kraken.parse(frame("candles@5m/XXBTZUSD", rows), NOW)
    assert isinstance(found, ExchangeCandle)
    assert (found.interval, found.close_time - found.open_time, found.volume) == ("5m", 300_000_000, 10.0)
    for row in ([AT_MS, 2, 1.9, 1, 1.5, 0], [AT_MS, 2, 3, 2.1, 2.5, 0], [AT_MS, 2, 3, 1, 2, -1], [AT_MS, 1]):
        with pytest.raises(BadRecord):
            kraken.parse(frame("candles@5m/XXBTZUSD", [row]), NOW)


def test_funding_and_liquidations_of_contracts() -> None:
    exchange = swap(0.1)
    row = {"markPrice": 5.5, "fundingRate": -0.0001, "fundingTimestamp": AT_MS, "timestamp": AT_MS}
    (found,) = exchange.parse(frame("derivatives/BTCPERP", row), NOW)
    assert isinstance(found, DerivativeTicker)
    assert (found.mark_price, found.funding_rate, found.next_funding_time) == (5.5, -0.0001, AT_MS * 1_000)
    assert exchange.parse(frame("derivatives/BTCPERP", {}), NOW) == []
    closed = {"price": 10, "contracts": 5, "side": "sell", "timestamp": AT_MS}
    (liquidation,) = exchange.parse(frame("liquidations/BTCPERP", [closed]), NOW)
    assert isinstance(liquidation, Liquidation)
    assert (liquidation.size, liquidation.raw_size, liquidation.side) == (0.5, 5.0, "sell")


def test_words_on_subscriptions(kraken: CcxtExchange) -> None:
    assert kraken.parse(b'{"ack":3}', NOW) == [Control("accepted", 3)]
    assert kraken.parse(b'{"refused":4,"message":"no"}', NOW) == [Control("refused", 4, "no")]


def test_contracts_of_unknown_worth_are_not_listed() -> None:
    cls = ccxt_exchange("bybit", "swap")
    quanto = market(
        "swap", id="Q", symbol="ETH/USD:BTC", base="ETH", settle="BTC", inverse=True, contract_size=1
    )
    unknown = market("swap", id="U", symbol="X/USDT:USDT", settle="USDT", linear=True, contract_size=None)
    neither = market("swap", id="N", symbol="Y/USDT:USDT", settle="USDT", contract_size=1)
    good = market("swap", id="G", symbol="Z/USDT:USDT", settle="USDT", linear=True, contract_size=10)
    found = listed(cls, market(), quanto, unknown, neither, good)
    assert [(one.symbol, one.kind, one.multiplier) for one in found] == [("Z/USDT:USDT", "perpetual", 10.0)]
    with pytest.raises(BadRecord):
        cls.read_instruments(b'{"data":{}}', NOW)


@pytest.mark.parametrize(
    ("mode", "given", "step"), [(4, 0.01, 0.01), (2, 3, 0.001), (3, 5, None), (4, None, None)]
)
def test_steps_are_numbers_whatever_the_venue_gives(
    mode: int, given: float | None, step: float | None
) -> None:
    row = {"id": 1, "symbol": "A/B", "base": "A", "quote": "B", "precision": {"price": given}}
    (found,) = msgspec.json.decode(encoding.encoded_markets([row], mode))
    assert (found["tick_size"], found["id"]) == (step, "1")


def test_of_many_tickers_that_of_the_symbol_is_taken() -> None:
    many = {"A/B": {"symbol": "A/B", "bid": 1, "info": {"huge": 1}}}
    assert encoding.encoded("quotes", many, "A/B") == b'{"symbol":"A/B","bid":1}'
    assert encoding.encoded("quotes", many, "C/D") is None
    assert encoding.encoded("trades", [], "A/B") is None
