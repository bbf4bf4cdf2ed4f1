"""nautilus_trader over the candles of the measurement; run by the Python of an environment that has it.

Its event loop (`BacktestEngine`) hands each candle to `on_bar`; its own averages stand for the lines; at each
crossing one market order turns the position of one unit. Prints one JSON object: seconds of the run, without
making its candles of ours, candles and orders.
"""

import json
import sys
import time
from decimal import Decimal

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from nautilus_trader.backtest.engine import (  # type: ignore[import-not-found]
    BacktestEngine,
    BacktestEngineConfig,
)
from nautilus_trader.config import LoggingConfig, StrategyConfig  # type: ignore[import-not-found]
from nautilus_trader.indicators import SimpleMovingAverage  # type: ignore[import-not-found]
from nautilus_trader.model.currencies import BTC, USDT  # type: ignore[import-not-found]
from nautilus_trader.model.data import Bar, BarType  # type: ignore[import-not-found]
from nautilus_trader.model.enums import (  # type: ignore[import-not-found]
    AccountType,
    OmsType,
    OrderSide,
)
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue  # type: ignore[import-not-found]
from nautilus_trader.model.instruments import CurrencyPair  # type: ignore[import-not-found]
from nautilus_trader.model.objects import Money, Price, Quantity  # type: ignore[import-not-found]
from nautilus_trader.persistence.wranglers import BarDataWrangler  # type: ignore[import-not-found]
from nautilus_trader.trading.strategy import Strategy  # type: ignore[import-not-found]

VENUE = Venue("BENCH")
PAIR = InstrumentId(Symbol("BTCUSDT"), VENUE)
CANDLES = BarType.from_str(f"{PAIR}-1-MINUTE-LAST-EXTERNAL")


def _pair() -> CurrencyPair:
    return CurrencyPair(
        instrument_id=PAIR,
        raw_symbol=PAIR.symbol,
        base_currency=BTC,
        quote_currency=USDT,
        price_precision=6,
        size_precision=0,
        price_increment=Price.from_str("0.000001"),
        size_increment=Quantity.from_int(1),
        ts_event=0,
        ts_init=0,
        margin_init=Decimal(0),
        margin_maint=Decimal(0),
        maker_fee=Decimal(0),
        taker_fee=Decimal(0),
    )


class _Crossover(Strategy):  # type: ignore[misc]
    """The rule of `sma_cross`, as the examples of the peer are written."""

    def __init__(self) -> None:
        super().__init__(StrategyConfig())
        self.fast, self.slow = SimpleMovingAverage(10), SimpleMovingAverage(30)
        self.before = 0.0
        self.orders = 0

    def on_start(self) -> None:
        self.register_indicator_for_bars(CANDLES, self.fast)
        self.register_indicator_for_bars(CANDLES, self.slow)
        self.subscribe_bars(CANDLES)

    def on_bar(self, bar: Bar) -> None:
        if not self.slow.initialized:
            return
        before, now = self.before, self.fast.value - self.slow.value
        self.before = now
        if before < 0.0 < now:
            self.turn(OrderSide.BUY)
        elif now < 0.0 < before:
            self.turn(OrderSide.SELL)

    def turn(self, side: OrderSide) -> None:
        size = Quantity.from_int(2 if self.orders else 1)
        self.orders += 1
        self.submit_order(self.order_factory.market(PAIR, side, size))


def measure(path: str, count: int) -> None:
    """Run once and print."""
    with np.load(path) as columns:
        frame = pd.DataFrame(
            {name: columns[name][:count] for name in ("open", "high", "low", "close", "volume")},
            index=pd.to_datetime(columns["time"][:count], unit="us", utc=True),
        )
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(VENUE, OmsType.NETTING, AccountType.MARGIN, [Money(1_000_000, USDT)])
    pair = _pair()
    engine.add_instrument(pair)
    engine.add_data(BarDataWrangler(CANDLES, pair).process(frame))
    strategy = _Crossover()
    engine.add_strategy(strategy)
    began = time.perf_counter()
    engine.run()
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "candles": count, "orders": strategy.orders}))
    engine.dispose()


if __name__ == "__main__":
    measure(sys.argv[1], int(sys.argv[2]))
