"""The seeded market: plausible, repeatable, and never an id twice."""

import itertools
import statistics

import pytest

from producers.exchanges.binance import BinanceSpot
from producers.simulator.market import SeededMarket, message_of
from producers.simulator.prices import MarketEvent, QuoteEvent, TradeEvent, seeded_market
from schemas.errors import ConfigurationError
from schemas.records import Quote, Trade

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
        else:
            quote = best[event.venue_symbol]
            assert event.price == (quote.bid if event.buyer_is_maker else quote.ask)
            assert float(event.size) > 0


def test_volatility_clusters() -> None:
    prices = [
        float(e.bid) for e in events(60_000) if isinstance(e, QuoteEvent) and e.venue_symbol == "BTCUSDT"
    ]
    moves = [abs(b / a - 1) for a, b in itertools.pairwise(prices)]
    assert statistics.correlation(moves[:-5], moves[5:]) > 0.05


def test_every_message_passes_the_edge() -> None:
    binance = BinanceSpot(dict(SYMBOLS))
    kinds = set()
    for event in events(2_000):
        _, frame = message_of(event)
        (record,) = binance.parse(frame, 1)
        assert isinstance(record, Trade | Quote)
        assert not record.inexact
        kinds.add(type(record))
    assert kinds == {Trade, Quote}


def test_a_market_needs_symbols() -> None:
    with pytest.raises(ConfigurationError, match="needs symbols"):
        SeededMarket([], 1, 20.0)
