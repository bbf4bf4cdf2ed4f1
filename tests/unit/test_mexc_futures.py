"""MEXC futures: recorded frames become records, what breaks a rule is refused with its reason."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from producers.exchange import CHANNELS, BadRecord, Call, Control, Poll
from producers.exchanges.mexc.futures import MexcFutures
from producers.markets import exchange_class
from schemas.records import (
    BookUpdate,
    DerivativeTicker,
    ExchangeCandle,
    Instrument,
    Quote,
    Ticker,
    Trade,
)

RECEIVED = 1_755_487_578_300_000
BTC = "BTC/USDT:USDT"

DEAL = {
    "p": 115309.8,
    "v": 55,
    "T": 2,
    "O": 3,
    "M": 1,
    "t": 1755487578276,
    "i": "13064218826",
    "cts": "1755487578276",
}
DEPTH = {"asks": [[6859.5, 3251, 1]], "bids": [[6858.5, 42, 7]], "cts": 1587442021983, "version": 96801927}
FULL = {"asks": [[31708.5, 74950, 2], [31709, 8817, 2]], "bids": [[31708, 3210, 1]], "version": 5194972869}
DAY = {
    "amount24": 898120149.6331,
    "ask1": 29911.5,
    "bid1": 29911,
    "contractId": 10,
    "fairPrice": 29911.1,
    "fundingRate": 7.2e-05,
    "high24Price": 31905.5,
    "holdVol": 12357864,
    "indexPrice": 29926.9,
    "lastPrice": 29911.5,
    "lower24Price": 29316,
    "riseFallRate": -0.0275,
    "riseFallValue": -846,
    "symbol": "BTC_USDT",
    "timestamp": 1654165943014,
    "volume24": 295146577,
}
CANDLE = {
    "a": 99371.3865,
    "c": 31575,
    "h": 31585.5,
    "interval": "Min1",
    "l": 31574.5,
    "o": 31576,
    "q": 31468,
    "symbol": "BTC_USDT",
    "t": 1654083480,
}


def instrument(name: str, contract_size: float) -> Instrument:
    found = MexcFutures.guess(name)
    assert found is not None
    return msgspec.structs.replace(found, multiplier=contract_size)


@pytest.fixture
def mexc() -> MexcFutures:
    return MexcFutures([instrument("BTC_USDT", 0.0001), instrument("BTC_USD", 100.0)], CHANNELS)


def frame(subject: str, data: Any, symbol: str = "BTC_USDT", ts: Any = 1755487578276) -> bytes:
    push = {"channel": f"push.{subject}", "data": data, "symbol": symbol, "ts": ts}
    return json.dumps(push, separators=(",", ":")).encode()


def written(**numbers: str) -> bytes:
    """A trade whose numbers stand in the frame as given here."""
    data = frame("deal", [DEAL | dict.fromkeys(numbers, "?")])
    for name, number in numbers.items():
        data = data.replace(f'"{name}":"?"'.encode(), f'"{name}":{number}'.encode())
    return data


def reason(exchange: MexcFutures, data: bytes) -> str:
    with pytest.raises(BadRecord) as caught:
        exchange.parse(data, RECEIVED)
    return caught.value.reason


# channels


def test_a_trade_has_its_size_in_base_units_and_in_contracts(mexc: MexcFutures) -> None:
    (trade,) = mexc.parse(frame("deal", [DEAL]), RECEIVED)
    assert trade == Trade(
        venue="mexc",
        symbol=BTC,
        trade_id="1755487578276-sell-115309.8-55.0-0",
        sequence=None,
        price=115309.8,
        size=0.0055,
        side="sell",
        event_time=1755487578276000,
        receive_time=RECEIVED,
        raw_size=55.0,
    )


def test_one_trade_may_come_without_a_list(mexc: MexcFutures) -> None:
    single = {key: value for key, value in DEAL.items() if key not in ("i", "cts")}
    assert mexc.parse(frame("deal", single), RECEIVED) == mexc.parse(frame("deal", [DEAL]), RECEIVED)


def test_a_contract_settled_in_its_base_currency_is_worth_quote_currency(mexc: MexcFutures) -> None:
    (trade,) = mexc.parse(frame("deal", DEAL | {"p": 40000, "v": 8}, "BTC_USD"), RECEIVED)
    assert isinstance(trade, Trade)
    assert (trade.symbol, trade.size, trade.raw_size) == ("BTC/USD:BTC", 0.02, 8.0)


def test_trades_come_by_ascending_time(mexc: MexcFutures) -> None:
    newest_first = [DEAL, DEAL | {"T": 1, "v": 2}, DEAL | {"t": 1755487578275, "v": 3}]
    records = mexc.parse(frame("deal", newest_first), RECEIVED)
    assert [record.raw_size for record in records if isinstance(record, Trade)] == [3.0, 2.0, 55.0]


def test_a_trade_by_rest_has_the_id_of_the_stream(mexc: MexcFutures) -> None:
    equal = [DEAL, DEAL | {"i": "13064218900"}]
    streamed = [
        record.trade_id
        for record in (*mexc.parse(frame("deal", equal[:1]), 1), *mexc.parse(frame("deal", equal[1:]), 1))
        if isinstance(record, Trade)
    ]
    assert len(set(streamed)) == 2
    call = mexc.trades_call(BTC, None, None)
    assert call == Call("trades", "/api/v1/contract/deals/BTC_USDT?limit=100", 1, BTC)
    rows = [{key: row[key] for key in ("p", "v", "T", "O", "M", "t")} for row in equal]
    for body in ({"success": True, "code": 0, "data": rows}, {"success": True, "code": 0, "data": equal}):
        found = mexc.read(call, json.dumps(body).encode(), RECEIVED)
        assert all(isinstance(trade, Trade) and trade.backfilled for trade in found)
        assert {trade.trade_id for trade in found if isinstance(trade, Trade)} == set(streamed)


def test_a_change_of_the_book_has_one_version(mexc: MexcFutures) -> None:
    (update,) = mexc.parse(frame("depth", DEPTH), RECEIVED)
    assert update == BookUpdate(
        "mexc",
        BTC,
        "delta",
        96801927,
        96801927,
        None,
        [6858.5],
        [0.0042],
        [6859.5],
        [0.3251],
        None,
        1587442021983000,
        RECEIVED,
    )


def test_merged_changes_of_the_book_name_their_range(mexc: MexcFutures) -> None:
    merged = DEPTH | {"begin": 96801920, "end": 96801927, "cts": None}
    (update,) = mexc.parse(frame("depth", merged), RECEIVED)
    assert isinstance(update, BookUpdate)
    assert (update.first_sequence, update.last_sequence) == (96801920, 96801927)
    assert update.event_time == 1755487578276000


def test_the_book_of_a_contract_settled_in_base_currency_is_in_base_units(mexc: MexcFutures) -> None:
    (update,) = mexc.parse(frame("depth", DEPTH | {"bids": [[40000, 8, 1]]}, "BTC_USD"), RECEIVED)
    assert isinstance(update, BookUpdate)
    assert update.bid_sizes == [0.02]


def test_the_best_of_five_levels_are_the_quote(mexc: MexcFutures) -> None:
    (quote,) = mexc.parse(frame("depth.full", FULL), RECEIVED)
    assert quote == Quote("mexc", BTC, 31708.0, 0.321, 31708.5, 7.495, 5194972869, 1755487578276000, RECEIVED)
    (empty,) = mexc.parse(frame("depth.full", FULL | {"bids": []}), RECEIVED)
    assert isinstance(empty, Quote)
    assert (empty.bid, empty.bid_size, empty.ask) == (None, 0.0, 31708.5)


def test_a_ticker_tells_of_trading_and_of_the_contract(mexc: MexcFutures) -> None:
    ticker, derivative = mexc.parse(frame("ticker", DAY), RECEIVED)
    assert isinstance(ticker, Ticker)
    assert (ticker.last, ticker.bid, ticker.ask, ticker.high, ticker.low) == (
        29911.5,
        29911.0,
        29911.5,
        31905.5,
        29316.0,
    )
    assert (ticker.base_volume, ticker.quote_volume) == (29514.6577, 898120149.6331)
    assert (ticker.change, ticker.change_percent) == (-846.0, -2.75)
    assert derivative == DerivativeTicker(
        "mexc", BTC, 29911.1, 29926.9, 7.2e-05, None, 1235.7864, 1654165943014000, RECEIVED
    )


def test_a_ticker_is_read_for_the_channels_that_are_fed() -> None:
    for channel, kind in (("tickers", Ticker), ("derivatives", DerivativeTicker)):
        exchange = MexcFutures([instrument("BTC_USDT", 0.0001)], [channel])
        assert [type(record) for record in exchange.parse(frame("ticker", DAY), RECEIVED)] == [kind]


def test_a_candle_is_of_what_was_traded(mexc: MexcFutures) -> None:
    (shown,) = mexc.parse(frame("kline", CANDLE), RECEIVED)
    assert isinstance(shown, ExchangeCandle)
    assert (shown.interval, shown.open_time, shown.close_time) == (
        "1m",
        1654083480000000,
        1654083540000000,
    )
    assert (shown.volume, shown.quote_volume, shown.open) == (3.1468, 99371.3865, 31576.0)
    traded = CANDLE | {"ro": 31575.5, "rh": 31580, "rl": 31575, "rc": 31575}
    (candle,) = mexc.parse(frame("kline", traded), RECEIVED)
    assert isinstance(candle, ExchangeCandle)
    assert (candle.open, candle.high, candle.low, candle.close) == (31575.5, 31580.0, 31575.0, 31575.0)


def test_funding_mark_price_and_index_come_one_by_one(mexc: MexcFutures) -> None:
    (funding,) = mexc.parse(
        frame("funding.rate", {"rate": -0.0012, "nextSettleTime": 1587445200000}), RECEIVED
    )
    time = 1755487578276000
    assert funding == DerivativeTicker(
        "mexc", BTC, None, None, -0.0012, 1587445200000000, None, time, RECEIVED
    )
    (mark,) = mexc.parse(frame("fair.price", {"price": 6867.5}), RECEIVED)
    assert mark == DerivativeTicker("mexc", BTC, 6867.5, None, None, None, None, time, RECEIVED)
    (index,) = mexc.parse(frame("index.price", {"price": 6861.7}), RECEIVED)
    assert index == DerivativeTicker("mexc", BTC, None, 6861.7, None, None, None, time, RECEIVED)


def test_all_samples_of_futures_are_read(captures: Path, mexc: MexcFutures) -> None:
    counts: Counter[str] = Counter()
    lines = (captures / "samples" / "tardis_mexc_futures_messages.jsonl").read_text().splitlines()
    for line in (captures / "samples" / "cmp_mexc.jsonl").read_text().splitlines():
        sample = json.loads(line)
        if "swap" in sample["test"] and sample["mod"] != "l2_snapshot":
            lines.append(json.dumps(sample["raw"]))
    for line in lines:
        records = mexc.parse(line.encode(), RECEIVED)
        assert records or '"generated":true' in line
        counts.update(type(record).__name__ for record in records)
        stream = mexc.stream_of(line.encode())
        assert stream is not None
        assert mexc.channel_of(stream) is not None or not records
    assert counts == {
        "Trade": 6,
        "BookUpdate": 7,
        "Quote": 2,
        "Ticker": 4,
        "DerivativeTicker": 7,
        "ExchangeCandle": 2,
    }


def test_books_by_rest_in_the_samples_are_read(captures: Path, mexc: MexcFutures) -> None:
    found = 0
    for line in (captures / "samples" / "cmp_mexc.jsonl").read_text().splitlines():
        sample = json.loads(line)
        if sample["mod"] == "l2_snapshot" and "swap" in sample["test"]:
            call = mexc.book_call(BTC)
            assert call is not None
            (book,) = mexc.read(call, json.dumps(sample["raw"]).encode(), RECEIVED)
            assert isinstance(book, BookUpdate)
            assert (book.kind, book.first_sequence, len(book.bid_prices)) == ("snapshot", None, 3)
            assert book.last_sequence == sample["raw"]["data"]["version"]
            found += 1
    assert found == 2


# what is refused


@pytest.mark.parametrize("price", ["0", "-1", "1e308", "1e999999999", "-0"])
def test_prices_that_are_none_are_refused(mexc: MexcFutures, price: str) -> None:
    assert reason(mexc, written(p=price)) == "price"


@pytest.mark.parametrize("price", ['"115309.8"', "null", "true", "[1]", "{}"])
def test_prices_of_another_type_are_refused(mexc: MexcFutures, price: str) -> None:
    assert reason(mexc, written(p=price)) == "shape"


@pytest.mark.parametrize("price", ["NaN", "Infinity", "1,234.5", "01"])
def test_prices_that_json_does_not_know_are_refused(mexc: MexcFutures, price: str) -> None:
    assert reason(mexc, written(p=price)) == "json"


@pytest.mark.parametrize(("size", "why"), [("-1", "size"), ("1e308", "size"), ('"55"', "shape")])
def test_sizes_that_are_none_are_refused(mexc: MexcFutures, size: str, why: str) -> None:
    assert reason(mexc, written(v=size)) == why


def test_small_numbers_may_have_an_exponent(mexc: MexcFutures) -> None:
    (trade,) = mexc.parse(written(p="1.5036E-6"), RECEIVED)
    assert isinstance(trade, Trade)
    assert (trade.price, trade.inexact) == (1.5036e-06, False)


def test_a_number_with_more_digits_than_a_float_keeps_is_marked(mexc: MexcFutures) -> None:
    (trade,) = mexc.parse(written(p="115309.12345678901234"), RECEIVED)
    assert isinstance(trade, Trade)
    assert trade.inexact


@pytest.mark.parametrize("time", [0, 1, 1755487578, -1755487578276, 2**62])
def test_times_that_are_none_are_refused(mexc: MexcFutures, time: int) -> None:
    assert reason(mexc, frame("deal", DEAL | {"t": time})) == "time"


@pytest.mark.parametrize("side", [0, 3])
def test_a_side_that_is_neither_is_refused(mexc: MexcFutures, side: int) -> None:
    assert reason(mexc, frame("deal", DEAL | {"T": side})) == "side"


@pytest.mark.parametrize(
    ("subject", "data", "why"),
    [
        ("depth", DEPTH | {"bids": [[0, 1, 1]]}, "price"),
        ("depth", DEPTH | {"bids": [[1, -1, 1]]}, "size"),
        ("depth", DEPTH | {"bids": [[1]]}, "shape"),
        ("depth", DEPTH | {"version": -1}, "id"),
        ("depth", DEPTH | {"begin": 96801928}, "id"),
        ("depth", DEPTH | {"version": "96801927"}, "shape"),
        ("depth.full", FULL | {"asks": [[1]]}, "shape"),
        ("depth.full", FULL | {"asks": [["1", 2]]}, "shape"),
        ("ticker", DAY | {"lastPrice": 0}, "price"),
        ("ticker", DAY | {"lastPrice": "1"}, "shape"),
        ("ticker", DAY | {"volume24": -1}, "size"),
        ("ticker", DAY | {"holdVol": -1}, "size"),
        ("ticker", DAY | {"fundingRate": 1e300}, "number"),
        ("ticker", DAY | {"timestamp": 5}, "time"),
        ("kline", CANDLE | {"h": 31575}, "ohlc"),
        ("kline", CANDLE | {"l": 31577}, "ohlc"),
        ("kline", CANDLE | {"c": -1}, "price"),
        ("kline", CANDLE | {"q": -1}, "size"),
        ("kline", CANDLE | {"t": 1}, "time"),
        ("fair.price", {"price": 0}, "price"),
        ("index.price", {"price": None}, "shape"),
        ("funding.rate", {}, "shape"),
    ],
)
def test_values_that_break_a_rule_are_refused(
    mexc: MexcFutures, subject: str, data: dict[str, Any], why: str
) -> None:
    assert reason(mexc, frame(subject, data)) == why


def test_frames_that_are_none_are_refused(mexc: MexcFutures) -> None:
    assert reason(mexc, frame("deal", DEAL, "SOL_USDT")) == "symbol"
    assert reason(mexc, b'{"channel":"push.deal","data":{}}') == "symbol"
    assert reason(mexc, b"{") == "json"
    assert reason(mexc, b"[]") == "shape"
    assert reason(mexc, b"{}") == "shape"


def test_pushes_that_are_not_read_are_nobodys(mexc: MexcFutures) -> None:
    assert mexc.parse(frame("tickers", [DAY]), RECEIVED) == ()
    assert mexc.parse(frame("kline", CANDLE | {"interval": "Month1"}), RECEIVED) == []
    quotes = MexcFutures([instrument("BTC_USDT", 0.0001)], ["quotes"])
    assert quotes.parse(frame("deal", DEAL), RECEIVED) == ()


# subscriptions


def test_streams_are_named_as_they_are_recognised(mexc: MexcFutures) -> None:
    streams = mexc.streams([BTC])
    assert [stream.name for stream in streams] == [
        "depth.full@BTC_USDT",
        "depth@BTC_USDT",
        "ticker@BTC_USDT",
        "kline@BTC_USDT@Min1",
        "funding.rate@BTC_USDT",
        "fair.price@BTC_USDT",
        "index.price@BTC_USDT",
        "deal@BTC_USDT",
    ]
    for stream in streams:
        assert mexc.channel_of(stream.name) == (stream.channel, "BTC_USDT")
    assert mexc.stream_of(frame("kline", CANDLE)) == "kline@BTC_USDT@Min1"
    assert mexc.stream_of(frame("depth.full", FULL)) == "depth.full@BTC_USDT"
    assert mexc.stream_of(b'{"channel":"pong","data":1}') is None
    assert mexc.stream_of(b"x") is None


def test_each_stream_is_a_request_of_its_own(mexc: MexcFutures) -> None:
    streams = mexc.streams([BTC])
    sent = [json.loads(request.text) for request in mexc.requests(streams, 1, 0.0)]
    assert sent[0] == {"method": "sub.depth.full", "param": {"symbol": "BTC_USDT", "limit": 5}}
    assert sent[1] == {"method": "sub.depth", "param": {"symbol": "BTC_USDT", "compress": False}}
    assert sent[3] == {"method": "sub.kline", "param": {"symbol": "BTC_USDT", "interval": "Min1"}}
    assert sent[7] == {"method": "sub.deal", "param": {"symbol": "BTC_USDT"}}
    (left,) = mexc.requests(streams[-1:], 9, 0.0, subscribe=False)
    assert json.loads(left.text) == {"method": "unsub.deal", "param": {"symbol": "BTC_USDT"}}


def answer(exchange: MexcFutures, channel: str, words: str) -> Control | None:
    data = json.dumps({"channel": channel, "data": words, "ts": "1587442022003"}).encode()
    controls = exchange.parse(data, RECEIVED)
    assert len(controls) <= 1
    return controls[0] if controls and isinstance(controls[0], Control) else None


def test_answers_go_to_the_requests_in_their_order(mexc: MexcFutures) -> None:
    deals = [stream for stream in mexc.streams() if stream.channel == "trades"]
    mexc.requests(mexc.streams([BTC])[:2], 1, 0.0)
    mexc.requests(deals, 3, 0.0)
    assert answer(mexc, "rs.sub.deal", "success") == Control("accepted", 3, "success")
    assert answer(mexc, "rs.sub.deal", "success") == Control("accepted", 4, "success")
    assert answer(mexc, "rs.sub.deal", "success") is None
    assert answer(mexc, "rs.sub.depth", "success") == Control("accepted", 2, "success")


def test_an_error_refuses_the_contract_that_it_names_else_the_oldest_request(mexc: MexcFutures) -> None:
    mexc.requests([stream for stream in mexc.streams() if stream.channel == "trades"], 1, 0.0)
    words = "Contract [BTC_USD] not exists"
    assert answer(mexc, "rs.error", words) == Control("refused", 2, words)
    assert answer(mexc, "rs.error", "Contract doesn't exist!") == Control(
        "refused", 1, "Contract doesn't exist!"
    )
    assert answer(mexc, "rs.error", words) == Control("refused", None, words)


def test_another_word_than_success_refuses(mexc: MexcFutures) -> None:
    mexc.requests(mexc.streams([BTC])[-1:], 1, 0.0)
    assert answer(mexc, "rs.sub.deal", "failed") == Control("refused", 1, "failed")


def test_a_request_that_is_made_again_takes_the_place_of_the_first(mexc: MexcFutures) -> None:
    mexc.requests(mexc.streams([BTC])[-1:], 1, 0.0)
    mexc.requests(mexc.streams([BTC])[-1:], 2, 0.0)
    assert answer(mexc, "rs.sub.deal", "success") == Control("accepted", 2, "success")
    assert answer(mexc, "rs.sub.deal", "success") is None


def test_the_venue_says_that_it_closes_the_connection(mexc: MexcFutures) -> None:
    mexc.requests(mexc.streams([BTC])[-1:], 1, 0.0)
    words = "more than 60 seconds no response, close the channel"
    assert answer(mexc, "rs.error", words) == Control("shutdown", None, words)


def test_a_pong_is_a_sign_of_life(mexc: MexcFutures) -> None:
    assert json.loads(mexc.heartbeat(0.0)) == {"method": "ping"}
    assert mexc.heartbeat_s is not None
    assert mexc.heartbeat_s <= 20
    assert mexc.parse(b'{"channel":"pong","data":1587453241453}', RECEIVED) == (Control("alive", None),)


# symbols and REST


def test_names_in_any_case_find_the_market() -> None:
    for names in (("mexc", "futures"), ("MEXC", "Futures"), ("mexc-futures",), ("mexc_swap",)):
        assert exchange_class(*names) is MexcFutures


@pytest.mark.parametrize(
    ("name", "symbol"), [("BTC_USDT", BTC), ("BTC_USD", "BTC/USD:BTC"), ("XAU_USDC", "XAU/USDC:USDC")]
)
def test_a_symbol_is_told_by_its_parts(name: str, symbol: str) -> None:
    assert instrument(name, 1.0).symbol == symbol
    assert MexcFutures.venue_symbol(symbol) == name


@pytest.mark.parametrize("name", ["BTCUSDT", "", "_USDT", "BTC_", "A_B_C"])
def test_other_names_are_not_told(name: str) -> None:
    assert MexcFutures.guess(name) is None


def test_contracts_have_a_size_and_a_status() -> None:
    linear = {
        "symbol": "BTC_USDT",
        "baseCoin": "BTC",
        "quoteCoin": "USDT",
        "settleCoin": "USDT",
        "futureType": 1,
        "contractSize": 0.0001,
        "priceUnit": 0.1,
        "volUnit": 1,
        "state": 0,
    }
    inverse = linear | {"symbol": "BTC_USD", "quoteCoin": "USD", "settleCoin": "BTC", "contractSize": 100}
    paused, gone = linear | {"state": 4}, linear | {"state": 3}
    delivered = linear | {"futureType": 2}
    listed = [linear, inverse, paused, gone, delivered]
    found = MexcFutures.read_instruments(json.dumps({"success": True, "data": listed}).encode(), RECEIVED)
    assert found[0] == Instrument(
        "mexc", BTC, "BTC_USDT", "BTC", "USDT", "perpetual", "trading", 0.1, 0.0001, None, 0.0001, RECEIVED
    )
    assert (found[1].symbol, found[1].multiplier, found[1].lot_size) == ("BTC/USD:BTC", 100.0, None)
    assert [item.status for item in found[2:]] == ["halted", "delisted"]
    one = json.dumps({"success": True, "code": 0, "data": linear}).encode()
    assert MexcFutures.read_instruments(one, RECEIVED) == found[:1]
    with pytest.raises(BadRecord, match="510: Excessive frequency"):
        MexcFutures.read_instruments(
            b'{"success":false,"code":510,"message":"Excessive frequency of requests"}', RECEIVED
        )


def test_a_book_may_come_without_anything_around_it(mexc: MexcFutures) -> None:
    call = mexc.book_call(BTC)
    assert call == Call("book", "/api/v1/contract/depth/BTC_USDT?limit=1000", 1, BTC)
    body = b'{"asks":[[3968.5,121]],"bids":[[3968.4,179,4]],"version":1,"timestamp":1587442022003}'
    (book,) = mexc.read(call, body, RECEIVED)
    assert isinstance(book, BookUpdate)
    assert (book.last_sequence, book.ask_sizes, book.event_time) == (1, [0.0121], 1587442022003000)


def test_candles_by_rest_stand_in_columns(mexc: MexcFutures) -> None:
    call = mexc.call_of("https://contract.mexc.com/api/v1/contract/kline/BTC_USDT?interval=Min15")
    assert call is not None
    columns: dict[str, list[float]] = {
        "time": [1609740600, 1609741500],
        "open": [33016.5, 33040.5],
        "close": [33040.5, 33041.0],
        "high": [33094.0, 33050.0],
        "low": [32995.0, 33040.0],
        "vol": [67332.0, 1.0],
        "amount": [222515.85925, 3.3],
    }
    body = json.dumps({"success": True, "code": 0, "data": columns}).encode()
    first, second = mexc.read(call, body, RECEIVED)
    assert isinstance(first, ExchangeCandle)
    assert (first.interval, first.volume, first.quote_volume) == ("15m", 6.7332, 222515.85925)
    assert isinstance(second, ExchangeCandle)
    assert (second.open_time, second.close) == (first.close_time, 33041.0)
    uneven = json.dumps({"success": True, "data": columns | {"vol": [1.0]}}).encode()
    with pytest.raises(BadRecord, match="differ in length"):
        mexc.read(call, uneven, RECEIVED)


def test_open_interest_is_asked_for_where_no_ticker_brings_it(mexc: MexcFutures) -> None:
    assert mexc.polls() == []
    alone = MexcFutures([instrument("BTC_USDT", 0.0001)], ["derivatives"])
    call = Call("derivatives", "/api/v1/contract/ticker?symbol=BTC_USDT", 1, BTC)
    assert alone.polls() == [Poll(call, 30.0)]
    (found,) = alone.read(call, json.dumps({"success": True, "data": DAY}).encode(), RECEIVED)
    assert isinstance(found, DerivativeTicker)
    assert found.open_interest == 1235.7864


def test_urls_of_what_is_not_read_are_no_calls(mexc: MexcFutures) -> None:
    assert mexc.call_of("/api/v1/contract/detail") == MexcFutures.instruments_call()
    assert mexc.call_of("/api/v1/contract/depth/SOL_USDT") is None
    assert mexc.call_of("/api/v1/contract/funding_rate/BTC_USDT") is None
    assert mexc.call_of("/api/v1/contract/ticker") is None


def test_an_answer_about_a_contract_that_was_dropped_is_nobodys(mexc: MexcFutures) -> None:
    call = mexc.book_call(BTC)
    assert call is not None
    mexc.drop(BTC)
    assert mexc.read(call, b'{"asks":[],"bids":[],"version":1}', RECEIVED) == []
    assert (mexc.book_call(BTC), mexc.trades_call(BTC, None, None)) == (None, None)
