"""The seeded market: plausible, repeatable, and never an id twice."""

import itertools
import json
import statistics

import pytest

from infra.order_book import OrderBook
from producers.exchange import MarketRecord
from producers.markets import exchange_class
from producers.simulator.market import DayFigures, SeededMarket, message_of
from producers.simulator.prices import BookEvent, MarketEvent, QuoteEvent, TradeEvent
from producers.simulator.venue import venue_class
from schemas.errors import ConfigurationError
from schemas.records import BookUpdate, Quote, Ticker, Trade
from tests.made_market import seeded_market

START = 1_700_000_000_000_000
SYMBOLS = [("BTC/USDT", "BTCUSDT"), ("ETH/USDT", "ETHUSDT"), ("PEPE/USDT", "PEPEUSDT")]


def events(count: int = 20_000, seed: int = 1, start: int = START) -> list[MarketEvent]:
    return list(itertools.islice(seeded_market(SYMBOLS, seed, start, 20.0), count))


def test_the_same_seed_and_start_give_the_same_market() -> None:
    assert events(500) == events(500)
    assert events(500) != events(500, seed=2)


def test_trade_ids_of_a_symbol_are_contiguous_and_those_of_later_runs_higher() -> None:
    trades = [event for event in events() if isinstance(event, TradeEvent)]
    for _, venue_symbol in SYMBOLS:
        ids = [trade.trade_id for trade in trades if trade.venue_symbol == venue_symbol]
        assert ids == list(range(START // 1000 * 1000, START // 1000 * 1000 + len(ids)))
    later = events(100, start=START + 60_000_000)
    first = next(event.trade_id for event in later if isinstance(event, TradeEvent))
    assert first > max(trade.trade_id for trade in trades)


def test_times_rise_at_about_the_rate_that_was_asked_for() -> None:
    all_events = events()
    times = [event.time for event in all_events]
    assert times == sorted(times)
    trades = sum(isinstance(event, TradeEvent) for event in all_events)
    rate = trades / ((times[-1] - START) / 1_000_000) / len(SYMBOLS)
    assert 10 < rate < 60


def test_trades_happen_at_the_best_bid_or_ask() -> None:
    best: dict[str, QuoteEvent] = {}
    for event in events(5_000):
        if isinstance(event, QuoteEvent):
            assert float(event.bid) < float(event.ask)
            assert event.update_id > (best[event.venue_symbol].update_id if event.venue_symbol in best else 0)
            best[event.venue_symbol] = event
        elif isinstance(event, TradeEvent):
            quote = best[event.venue_symbol]
            assert event.price == (quote.bid if event.buyer_is_maker else quote.ask)
            assert float(event.size) > 0


def test_volatility_clusters() -> None:
    prices = [
        float(e.bid) for e in events(60_000) if isinstance(e, QuoteEvent) and e.venue_symbol == "BTCUSDT"
    ]
    moves = [abs(b / a - 1) for a, b in itertools.pairwise(prices)]
    assert statistics.correlation(moves[:-5], moves[5:]) > 0.05


def records_of(all_events: list[MarketEvent]) -> list[MarketRecord]:
    """What the edge reads in the messages of these events, tickers among them."""
    venue = exchange_class("binance")
    guessed = [venue.guess(name) for _, name in SYMBOLS]
    binance = venue([one for one in guessed if one is not None], ("trades", "quotes", "books", "tickers"))
    figures = {name: DayFigures(name, START) for _, name in SYMBOLS}
    records: list[MarketRecord] = []
    for event in all_events:
        for frame in (message_of(event)[1], figures[event.venue_symbol].take(event)):
            found = binance.parse(frame, 1) if frame is not None else ()
            records += [record for record in found if isinstance(record, BookUpdate | Quote | Ticker | Trade)]
            assert frame is None or found
    return records


def test_every_message_passes_the_edge() -> None:
    records = records_of(events(2_000))
    assert {type(record) for record in records} == {BookUpdate, Quote, Ticker, Trade}
    assert not any(record.inexact for record in records if isinstance(record, Quote | Trade))


def test_books_are_chained_and_agree_with_the_quotes() -> None:
    books = {unified: OrderBook("binance", unified) for unified, _ in SYMBOLS}
    last: dict[str, int] = {}
    checked = 0
    for record in records_of(events(3_000)):
        if isinstance(record, BookUpdate):
            assert record.first_sequence == last.get(record.symbol, record.first_sequence - 1) + 1  # type: ignore[operator]
            assert record.last_sequence is not None
            last[record.symbol] = record.last_sequence
            books[record.symbol].apply(record)
        elif isinstance(record, Quote):
            book = books[record.symbol]
            assert (book.best_bid, book.best_ask) == (
                (record.bid, record.bid_size),
                (record.ask, record.ask_size),
            )
            checked += 1
    assert checked > 100


def test_a_snapshot_is_the_book_that_the_changes_made() -> None:
    venue = venue_class("binance")(dict(SYMBOLS))
    newest: dict[str, QuoteEvent] = {}
    made = events(1_000)
    while not isinstance(made[-1], TradeEvent):
        made.pop()
    for event in made:
        if isinstance(event, BookEvent):
            venue.observe(*message_of(event))
        elif isinstance(event, QuoteEvent):
            newest[event.venue_symbol] = event
    for name, quote in newest.items():
        body = json.loads(venue.rest("/api/v3/depth", {"symbol": name, "limit": "1000"}, 0).body)
        assert body["lastUpdateId"] == quote.update_id
        assert (body["bids"][0], body["asks"][0]) == (
            [quote.bid, quote.bid_size],
            [quote.ask, quote.ask_size],
        )
        assert (len(body["bids"]), len(body["asks"])) == (10, 10)


def test_a_market_needs_symbols() -> None:
    with pytest.raises(ConfigurationError, match="needs symbols"):
        SeededMarket([], 1, 20.0)
