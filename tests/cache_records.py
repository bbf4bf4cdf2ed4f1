"""Records that tests of the cache feed."""

from schemas.records import Candle, IndicatorValue, Signal

T0 = 1_700_000_000_000_000
MINUTE = 60_000_000


def candle(number: int, close: float = 2.0, venue: str = "binance", revision: int = 0) -> Candle:
    return Candle(
        venue=venue,
        symbol="BTC/USDT",
        interval="1m",
        open_time=T0 + number * MINUTE,
        close_time=T0 + (number + 1) * MINUTE,
        open=1.0,
        high=3.0,
        low=0.5,
        close=close,
        volume=7.0,
        quote_volume=14.0,
        taker_buy_volume=1.0,
        trade_count=4,
        first_sequence=None,
        last_sequence=None,
        revision=revision,
        complete=True,
    )


def value(number: int, figure: float, revision: int = 0) -> IndicatorValue:
    opened = T0 + number * MINUTE
    return IndicatorValue("binance", "BTC/USDT", "1m", opened, "sma_20", figure, revision, True)


def signal(number: int) -> Signal:
    return Signal(
        id=f"s{number}",
        venue="binance",
        symbol="BTC/USDT",
        interval="1m",
        open_time=T0,
        event_time=T0 + number,
        rule="cross",
        direction="long",
        strength=0.5,
        values={},
        candle_id="c",
        complete=True,
    )
