"""backtesting.py over the candles of the measurement; run by the Python of an environment that has it.

Prints one JSON object: seconds of the run, trades and final equity.
"""

import json
import sys
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from backtesting import Backtest, Strategy  # type: ignore[import-not-found]
from backtesting.lib import crossover  # type: ignore[import-not-found]


def _average(values: Any, count: int) -> Any:
    return pd.Series(values).rolling(count).mean()


class _Crossover(Strategy):  # type: ignore[misc]
    """The rule of `sma_cross`, as the manual of the peer writes it."""

    def init(self) -> None:
        self.fast = self.I(_average, self.data.Close, 10)
        self.slow = self.I(_average, self.data.Close, 30)

    def next(self) -> None:
        if crossover(self.fast, self.slow):
            self.position.close()
            self.buy()
        elif crossover(self.slow, self.fast):
            self.position.close()
            self.sell()


def measure(path: str, capital: str, fee: str) -> None:
    """Run once and print."""
    warnings.simplefilter("ignore")
    with np.load(path) as columns:
        frame = pd.DataFrame(
            {name.capitalize(): columns[name] for name in ("open", "high", "low", "close", "volume")},
            index=pd.to_datetime(columns["time"], unit="us"),
        )
    backtest = Backtest(frame, _Crossover, cash=float(capital), commission=float(fee))
    began = time.perf_counter()
    found = backtest.run()
    seconds = time.perf_counter() - began
    trades = int(found["# Trades"])
    print(
        json.dumps({"seconds": seconds, "trades": trades, "final_equity": float(found["Equity Final [$]"])})
    )


if __name__ == "__main__":
    measure(*sys.argv[1:4])
