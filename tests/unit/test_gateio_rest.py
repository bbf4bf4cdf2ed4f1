"""Gate.io: what REST is asked, and what its answers say; both markets."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from producers.exchange import BadRecord, Call, Exchange
from producers.exchanges.gateio.futures import GateFutures
from producers.exchanges.gateio.spot import GateSpot
from schemas.records import BookUpdate, ExchangeCandle, Instrument, Quote, Ticker, Trade

RECEIVED = 1_778_026_711_000_000

SPOT_ROW = {
    "id": "199252007",
    "create_time": "1778026696",
    "create_time_ms": "1778026696316.963000",
    "currency_pair": "BTC_USDT",
    "side": "buy",
    "amount": "0.032397",
    "price": "81139.7",
    "sequence_id": "199252007",
}
FUTURES_ROW = {
    "id": 743842261,
    "contract": "BTC_USDT",
    "create_time": 1778026709.933,
    "create_time_ms": 1778026709.933,
    "size": -619,
    "price": "81103.6",
}
PAIR = {
    "id": "ALEPH_USDT",
    "base": "ALEPH",
    "quote": "USDT",
    "fee": "0.2",
    "min_base_amount": "0.01",
    "min_quote_amount": "3",
    "amount_precision": 2,
    "precision": 5,
    "trade_status": "tradable",
}
CONTRACT = {
    "name": "BTC_USDT",
    "quanto_multiplier": "0.0001",
    "order_price_round": "0.1",
    "order_size_min": 1,
    "enable_decimal": False,
    "in_delisting": False,
    "status": "trading",
    "funding_next_apply": 1778054400,
}


def spot(*names: str, channels: tuple[str, ...] = ("trades",), interval: str = "1m") -> GateSpot:
    found = [instrument for name in names or ("BTC_USDT",) if (instrument := GateSpot.guess(name))]
    return GateSpot(found, channels, candle_interval=interval)


def futures(*channels: str) -> GateFutures:
    listed = GateFutures.read_instruments(json.dumps([CONTRACT]).encode(), RECEIVED)
    return GateFutures(listed, channels or ("trades",))


def body(answer: Any) -> bytes:
    return json.dumps(answer).encode()


# trades of REST


def ids_of_page(call: Call, newest: int, inclusive: bool) -> list[int]:
    """What a venue with trades 1 to `newest` returns, newest first; whether `last_id` counts is not known."""
    query = {key: values[0] for key, values in parse_qs(urlsplit(call.path).query).items()}
    limit = int(query["limit"])
    assert limit <= 1_000
    top = int(query.get("last_id", newest + 1))
    return [number for number in range(newest, 0, -1) if number <= top - (not inclusive)][:limit]


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("exchange", [spot(), futures()], ids=["spot", "futures"])
@pytest.mark.parametrize(
    ("first", "last", "newest"),
    [(100, 100, 5_000), (100, 3_000, 5_000), (4_990, None, 5_000), (1, None, 5_000), (5_001, None, 5_000)],
)
def test_pages_of_trades_leave_none_out(
    exchange: Exchange, first: int, last: int | None, newest: int, inclusive: bool
) -> None:
    symbol = next(iter(exchange.instruments))
    found: list[int] = []
    following = first
    while last is None or following <= last:
        call = exchange.trades_call(symbol, following, last)
        assert call is not None
        assert (call.first, call.last, call.symbol) == (following, last, symbol)
        row = FUTURES_ROW if isinstance(exchange, GateFutures) else SPOT_ROW
        page = [
            row | {"id": number, "sequence_id": str(number)}
            for number in ids_of_page(call, newest, inclusive)
        ]
        records = exchange.read(call, body(page), RECEIVED)
        trades = [record for record in records if isinstance(record, Trade)]
        if not trades:
            break
        numbers = [trade.sequence for trade in trades if trade.sequence is not None]
        assert numbers == sorted(numbers)
        found += numbers
        following = numbers[-1] + 1
    wanted = list(range(first, (newest if last is None else last) + 1))
    assert found[: len(wanted)] == wanted
    assert len(found) <= len(wanted) + 11


def test_a_small_gap_is_asked_for_in_a_small_page() -> None:
    call = spot().trades_call("BTC/USDT", 199252007, 199252008)
    assert call is not None
    assert call.path == ("/api/v4/spot/trades?currency_pair=BTC_USDT&limit=13&last_id=199252019&reverse=true")
    assert call.weight == 1


def test_trades_without_numbers_are_asked_for_by_the_newest_page() -> None:
    exchange = spot()
    call = exchange.trades_call("BTC/USDT", None, None)
    assert call is not None
    assert call.path == "/api/v4/spot/trades?currency_pair=BTC_USDT&limit=1000"
    old = {key: value for key, value in SPOT_ROW.items() if key != "sequence_id"}
    page = [old | {"id": "9"}, old | {"id": "8"}, old | {"id": "7", "create_time_ms": "1778026696316.9"}]
    trades = exchange.read(call, body(page), RECEIVED)
    assert [(trade.trade_id, trade.sequence) for trade in trades if isinstance(trade, Trade)] == [
        ("7", None),
        ("8", None),
        ("9", None),
    ]


def test_a_trade_is_the_same_from_the_stream_and_from_rest() -> None:
    streamed = SPOT_ROW | {"id": 199252007, "id_market": 199252007}
    del streamed["sequence_id"]
    message = {"time": 1778026696, "channel": "spot.trades", "event": "update", "result": streamed}
    (live,) = spot().parse(body(message), RECEIVED)
    (later,) = spot().read(Call("trades", "", symbol="BTC/USDT"), body([SPOT_ROW]), RECEIVED)
    assert isinstance(live, Trade)
    assert isinstance(later, Trade)
    assert later.backfilled
    assert (live.sequence, live.event_time) == (199252007, 1778026696316963)
    assert later == Trade(
        **{name: getattr(live, name) for name in live.__struct_fields__} | {"backfilled": True}
    )


def test_rest_says_the_time_of_a_contracts_trade_in_seconds() -> None:
    (trade,) = futures().read(Call("trades", "", symbol="BTC/USDT:USDT"), body([FUTURES_ROW]), RECEIVED)
    assert trade == Trade(
        venue="gateio",
        symbol="BTC/USDT:USDT",
        trade_id="743842261",
        sequence=743842261,
        price=81103.6,
        size=0.0619,
        side="sell",
        event_time=1778026709933000,
        receive_time=RECEIVED,
        raw_size=619.0,
        backfilled=True,
    )


@pytest.mark.parametrize(
    "answer",
    [
        b'{"label":"INVALID_PARAM_VALUE","message":"Invalid currency pair"}',
        b"<html>busy</html>",
        b'[{"id":"1"}]',
        b"[null]",
    ],
)
@pytest.mark.parametrize("kind", ["trades", "book", "candles", "ticker"])
def test_what_is_no_answer_is_refused(kind: Any, answer: bytes) -> None:
    call = Call(kind, "/api/v4/spot/x?interval=1m", symbol="BTC/USDT")
    with pytest.raises(BadRecord):
        spot().read(call, answer, RECEIVED)


# the other answers


def test_a_book_has_the_time_of_its_last_change() -> None:
    answer = {"id": 9, "current": 1778026700553, "update": 1778026700550}
    levels = {"asks": [["81139.7", "0.027302"]], "bids": [["81139.6", "0.064227"]]}
    exchange = spot()
    call = exchange.book_call("BTC/USDT")
    assert call is not None
    (snapshot,) = exchange.read(call, body(answer | levels), RECEIVED)
    assert snapshot == BookUpdate(
        "gateio",
        "BTC/USDT",
        "snapshot",
        None,
        9,
        None,
        [81139.6],
        [0.064227],
        [81139.7],
        [0.027302],
        None,
        1778026700550000,
        RECEIVED,
    )


def test_candles_of_rest_are_rows_of_text_on_spot_and_objects_on_futures() -> None:
    row = ["1778026680", "241499.61", "81139.7", "81141.4", "81139.6", "81141.4", "2.9763", "false"]
    call = Call("candles", "/api/v4/spot/candlesticks?currency_pair=BTC_USDT&interval=1m", symbol="BTC/USDT")
    (candle,) = spot().read(call, body([row]), RECEIVED)
    assert candle == ExchangeCandle(
        venue="gateio",
        symbol="BTC/USDT",
        interval="1m",
        open_time=1778026680_000000,
        close_time=1778026740_000000,
        open=81141.4,
        high=81141.4,
        low=81139.6,
        close=81139.7,
        volume=2.9763,
        quote_volume=241499.61,
        taker_buy_volume=None,
        trade_count=None,
        first_sequence=None,
        last_sequence=None,
        closed=False,
        event_time=None,
        receive_time=RECEIVED,
    )
    (older,) = spot().read(call, body([row[:6]]), RECEIVED)
    assert isinstance(older, ExchangeCandle)
    assert (older.volume, older.closed) == (None, None)
    item = {"o": "81095.6", "v": 266388, "t": 1778026680, "c": "81103.6", "l": "81091.4", "h": "81122.4"}
    call = Call("candles", "/x?contract=BTC_USDT&interval=1m", symbol="BTC/USDT:USDT")
    (contracts,) = futures().read(call, body([item | {"sum": "2160441.43952"}]), RECEIVED)
    assert isinstance(contracts, ExchangeCandle)
    assert (contracts.volume, contracts.quote_volume) == (26.6388, 2160441.43952)


def test_tickers_of_rest_have_no_time_but_ours() -> None:
    row = {"currency_pair": "BTC_USDT", "last": "81139.7", "lowest_ask": "81145", "highest_bid": "81144.9"}
    row |= {"change_percentage": "1.5", "base_volume": "5813.358214", "quote_volume": "471746297.47653"}
    row |= {"high_24h": "81795.2", "low_24h": "79863.1"}
    other = row | {"currency_pair": "SOL_USDT"}
    exchange = spot(channels=("tickers",))
    found = exchange.read(Call("ticker", "/api/v4/spot/tickers"), body([row, other]), RECEIVED)
    assert [type(record) for record in found] == [Ticker]
    assert not any(isinstance(record, Quote) for record in found)
    assert found[0].event_time == RECEIVED


def test_the_time_of_the_server_holds_no_records() -> None:
    assert spot().read(Call("time", "/api/v4/spot/time"), b'{"server_time":1778026704027}', RECEIVED) == []


def test_the_list_of_pairs_tells_steps_and_status() -> None:
    pairs = [
        PAIR,
        PAIR | {"id": "OLD_USDT", "base": "OLD", "delisting_time": 1_600_000_000, "min_quote_amount": None},
        PAIR
        | {"id": "NEW_USDT", "base": "NEW", "trade_status": "untradable", "delisting_time": 4_000_000_000},
        PAIR | {"id": "ONE_USDT", "base": "ONE", "trade_status": "sellable", "amount_precision": 0},
    ]
    found = GateSpot.read_instruments(body(pairs), RECEIVED)
    assert found[0] == Instrument(
        venue="gateio",
        symbol="ALEPH/USDT",
        venue_symbol="ALEPH_USDT",
        base="ALEPH",
        quote="USDT",
        kind="spot",
        status="trading",
        tick_size=0.00001,
        lot_size=0.01,
        min_notional=3.0,
        multiplier=1.0,
        event_time=RECEIVED,
    )
    assert [instrument.status for instrument in found] == ["trading", "delisted", "halted", "trading"]
    assert (found[1].min_notional, found[3].lot_size) == (None, 1.0)
    assert GateSpot.instruments_call() == Call("instruments", "/api/v4/spot/currency_pairs")


def test_the_list_of_contracts_tells_how_much_one_is() -> None:
    contracts = [
        CONTRACT,
        CONTRACT
        | {"name": "A_USDT", "enable_decimal": True, "order_size_min": "0.1", "quanto_multiplier": "10"},
        CONTRACT | {"name": "B_USDT", "status": "circuit_breaker", "quanto_multiplier": "0"},
        CONTRACT | {"name": "C_USDT", "in_delisting": True},
        CONTRACT | {"name": "D_USDT", "status": "delisted"},
        CONTRACT | {"name": "BTC_USD"},
    ]
    found = GateFutures.read_instruments(body(contracts), RECEIVED)
    assert found[0] == Instrument(
        venue="gateio",
        symbol="BTC/USDT:USDT",
        venue_symbol="BTC_USDT",
        base="BTC",
        quote="USDT",
        kind="perpetual",
        status="trading",
        tick_size=0.1,
        lot_size=0.0001,
        min_notional=None,
        multiplier=0.0001,
        event_time=RECEIVED,
    )
    assert [(each.status, each.lot_size, each.multiplier) for each in found[1:]] == [
        ("trading", 1.0, 10.0),
        ("halted", 1.0, 1.0),
        ("halted", 0.0001, 0.0001),
        ("delisted", 0.0001, 0.0001),
    ]
    assert GateFutures.instruments_call() == Call("instruments", "/api/v4/futures/usdt/contracts")


@pytest.mark.parametrize("answer", [b"{}", b"[{}]", b"<html>", b'[{"id":"A_B","base":"A"}]'])
@pytest.mark.parametrize("market", [GateSpot, GateFutures])
def test_what_is_no_list_is_refused(market: type[Exchange], answer: bytes) -> None:
    with pytest.raises(BadRecord):
        market.read_instruments(answer, RECEIVED)


# recorded calls


@pytest.mark.parametrize(
    ("url", "kind", "symbol"),
    [
        ("https://api.gateio.ws/api/v4/spot/currency_pairs", "instruments", ""),
        ("/api/v4/spot/order_book?currency_pair=BTC_USDT&limit=100&with_id=true", "book", "BTC/USDT"),
        ("http://127.0.0.1:1/api/v4/spot/trades?currency_pair=SOL_USDT", "trades", "SOL/USDT"),
        ("https://api.gateio.ws/api/v4/spot/candlesticks?currency_pair=BTC_USDT", "candles", "BTC/USDT"),
        ("https://api.gateio.ws/api/v4/spot/tickers", "ticker", ""),
        ("https://api.gateio.ws/api/v4/spot/time", "time", ""),
    ],
)
def test_recorded_calls_are_recognised(url: str, kind: str, symbol: str) -> None:
    call = spot().call_of(url)
    assert call is not None
    assert (call.kind, call.symbol) == (kind, symbol)
    assert url.endswith(call.path)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.gateio.ws/api/v4/futures/usdt/trades?contract=BTC_USDT",
        "https://api.gateio.ws/api/v4/spot/orders",
        "https://api.gateio.ws/api/v4/spot/order_book?currency_pair=BTC",
        "https://api.gateio.ws/",
    ],
)
def test_other_calls_are_not(url: str) -> None:
    assert spot().call_of(url) is None
    if "futures" in url:
        assert futures().call_of(url) == Call(
            "trades", "/api/v4/futures/usdt/trades?contract=BTC_USDT", symbol="BTC/USDT:USDT"
        )
