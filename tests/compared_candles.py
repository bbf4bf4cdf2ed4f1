"""A candle of ours and the venue's own of the same minute, which agree."""

from schemas.records import Candle, ExchangeCandle

OURS = Candle(
    venue="binance",
    symbol="BTC/USDT",
    interval="1m",
    open_time=60_000_000,
    close_time=120_000_000,
    open=1.0,
    high=4.0,
    low=0.5,
    close=2.0,
    volume=10.0,
    quote_volume=20.0,
    taker_buy_volume=5.0,
    trade_count=7,
    first_sequence=1,
    last_sequence=7,
    revision=0,
    complete=True,
)
THEIRS = ExchangeCandle(
    venue="binance",
    symbol="BTC/USDT",
    interval="1m",
    open_time=60_000_000,
    close_time=120_000_000,
    open=1.0,
    high=4.0,
    low=0.5,
    close=2.0,
    volume=10.0,
    quote_volume=20.0,
    taker_buy_volume=5.0,
    trade_count=7,
    first_sequence=1,
    last_sequence=7,
    closed=True,
    event_time=120_000_100,
    receive_time=0,
)
