"""Speed of backtests: `python -m tests.bench.backtest --json`.

Moving-average crossover (10, 30) over a million 1m candles of a random walk, through the class that a user
writes: `on_candle` is called for each. backtesting.py runs the same rule over the same candles and takes the
same trades. nautilus_trader's event loop runs it over the first 100,000 of them, one order at each of the
same crossings; what a candle costs there does not depend on their number. Each peer has a process and an
environment of its own. Measured is the run, ours and that of backtesting.py with its statistics, without
reading candles; all take turns, and each figure is the best of its runs.

Trades come from an archive of Parquet files on disk, ten markets of 50 a second each in the mean: they are
read, folded into candles of a minute, and run with two indicators and a signal rule, which is traded. A grid
of 1,000 sets over 100,000 candles runs in one process and in two, in turns. The replay is that of
`tests.bench.replay`.
"""

import argparse
import json
import subprocess
import tempfile
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from platformdirs import user_cache_path

from backtest.bars import Bars
from backtest.costs import Costs
from backtest.engine import run
from backtest.statistics import Statistics, statistics_of
from backtest.strategy import Strategy
from backtest.terms import Terms
from infra.embedded.cluster import broker
from tests.bench.backtest_grid import grid_ratio
from tests.bench.backtest_trades import trades_per_s
from tests.bench.logs import warnings_alone
from tests.bench.replay import replay_records_per_s

MINUTE_US: Final = 60_000_000
BEGAN_US: Final = 1_577_836_800_000_000
"""2020-01-01T00:00:00Z."""
CAPITAL: Final = 1_000_000
FEE: Final = "0"
BACKTESTING: Final = "backtesting==0.6.6"
NAUTILUS: Final = "nautilus_trader==1.221.0"
TIMEOUT_S: Final = 300
Columns = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured.

    Attributes:
        candles: Of the crossover.
        nautilus: How many of them nautilus_trader gets.
        runs: Of which the best counts.
        sets: Of the grid.
        grid_candles: Over which each of them runs.
        seconds: Of trades, 500 each.
        records: Of the replay.
    """

    candles: int = 1_000_000
    nautilus: int = 100_000
    runs: int = 3
    sets: int = 1_000
    grid_candles: int = 100_000
    seconds: int = 4_000
    records: int = 1_000_000


QUICK: Final = Extent(100_000, 10_000, 1, 60, 20_000, 300, 100_000)
"""For trials: says whether it works, not how fast it is."""


def walk(count: int) -> Columns:
    """Candles of a random walk, a tenth of a percent a minute, with prices of six decimals."""
    random = np.random.default_rng(1)
    closes = np.round(100 * np.exp(np.cumsum(random.normal(0, 0.001, count))), 6)
    opens = np.concatenate(([100.0], closes[:-1]))
    return {
        "time": BEGAN_US + MINUTE_US * np.arange(count),
        "open": opens,
        "high": np.round(np.maximum(opens, closes) * 1.0005, 6),
        "low": np.round(np.minimum(opens, closes) * 0.9995, 6),
        "close": closes,
        "volume": np.ones(count),
    }


def bars_of(columns: Columns) -> Bars:
    """The same, as a run takes them."""
    names = ("open", "high", "low", "close", "volume")
    return Bars("bench:A/B", columns["time"].tolist(), MINUTE_US, *(columns[name].tolist() for name in names))


def ours(columns: Columns) -> tuple[float, Statistics]:
    """Seconds of a run, and what came of it."""
    bars = bars_of(columns)
    terms = Terms(Decimal(CAPITAL), Costs(Decimal(FEE), Decimal(FEE)))
    strategy = Strategy.create("sma_cross(10,30)")
    began = time.perf_counter()
    found = statistics_of(run(strategy, [bars], terms))
    return time.perf_counter() - began, found


def peer_python(package: str) -> Path:
    """The Python of an environment with a peer, made below the cache folder when it is missing.

    Raises:
        CalledProcessError: It cannot be installed.
    """
    folder = user_cache_path("kandle") / "bench-peers" / package
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    install = [str(python), "-m", "pip", "install", "-q", package]
    subprocess.run(install, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
    return python


class Peer:
    """A backtester of others.

    Args:
        package: As pip takes it.
        script: Beside this file; run with the given arguments, it prints one JSON object.
        arguments: Texts.
    """

    def __init__(self, package: str, script: str, *arguments: str) -> None:
        self.name = package
        self.runs: list[dict[str, Any]] = []
        self.unavailable = ""
        self._script, self._arguments = str(Path(__file__).with_name(script)), arguments
        try:
            self._python = peer_python(package)
        except (OSError, subprocess.SubprocessError) as error:
            self._fail(error)

    def run(self) -> None:
        """Run it once."""
        if self.unavailable:
            return
        command = [str(self._python), self._script, *self._arguments]
        try:
            done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
            self.runs.append(json.loads(done.stdout.strip().splitlines()[-1]))
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self._fail(error)

    @property
    def seconds(self) -> float:
        """Of the best run."""
        return float(min(each["seconds"] for each in self.runs))

    def figures(self, candles: int, *names: str) -> dict[str, Any]:
        """What is told of it."""
        if self.unavailable:
            return {"unavailable": self.unavailable}
        last = self.runs[-1]
        told = {name: last[name] for name in names}
        return {"candles_per_s": round(candles / self.seconds), "candles": candles, **told}

    def _fail(self, error: Exception) -> None:
        self.unavailable = f"{error}: {(getattr(error, 'stderr', '') or '').strip()[-1000:]}"


def candles(extent: Extent) -> dict[str, Any]:
    """Candles a second, ours and those of the peers."""
    columns = walk(extent.candles)
    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "candles.npz"
        np.savez(path, **columns)  # type: ignore[arg-type]
        backtesting = Peer(BACKTESTING, "backtest_peer.py", str(path), str(CAPITAL), FEE)
        nautilus = Peer(NAUTILUS, "nautilus_peer.py", str(path), str(extent.nautilus))
        for _ in range(extent.runs):
            took, found = ours(columns)
            seconds.append(took)
            backtesting.run()
            nautilus.run()
    speed = extent.candles / min(seconds)
    result: dict[str, Any] = {
        "candles_per_s": round(speed),
        "candles": extent.candles,
        "trades": found.trades,
        "final_equity": found.final_equity,
        "peers": {
            BACKTESTING: backtesting.figures(extent.candles, "trades", "final_equity"),
            NAUTILUS: nautilus.figures(extent.nautilus, "orders"),
        },
    }
    if not backtesting.unavailable:
        last = backtesting.runs[-1]
        result["times_backtesting"] = round(backtesting.seconds / min(seconds), 2)
        result["same_trades"] = last["trades"] == found.trades
        result["same_to_the_cent"] = round(last["final_equity"], 2) == round(found.final_equity, 2)
    if not nautilus.unavailable:
        _, part = ours({name: column[: extent.nautilus] for name, column in columns.items()})
        result["times_nautilus"] = round(speed * nautilus.seconds / extent.nautilus, 1)
        # Each crossing but the last one has ended in a trade.
        result["same_crossings"] = nautilus.runs[-1]["orders"] == part.trades + 1
    return result


def replay(extent: Extent) -> dict[str, Any]:
    """Records a second."""
    with tempfile.TemporaryDirectory(prefix="kandle-bench-") as folder, broker(Path(folder)) as servers:
        return {"replay_records_per_s": round(replay_records_per_s(servers, extent.records, extent.runs))}


def main() -> None:
    """Measure and print."""
    warnings_alone()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="has no effect: JSON is printed always")
    parser.add_argument("--quick", action="store_true", help="little of everything, for trials")
    parser.add_argument("--only", choices=["candles", "trades", "grid", "replay"], help="one part alone")
    given = parser.parse_args()
    extent = QUICK if given.quick else Extent()
    parts: dict[str, Callable[[Extent], dict[str, Any]]] = {
        "candles": candles,
        "trades": lambda extent: trades_per_s(extent.seconds, extent.runs),
        "grid": lambda extent: grid_ratio(bars_of(walk(extent.grid_candles)), extent.sets),
        "replay": replay,
    }
    result: dict[str, Any] = {}
    for name, measure in parts.items():
        if given.only in (None, name):
            result |= measure(extent)
    result["method"] = " ".join((__doc__ or "").partition("\n\n")[2].split())
    print(json.dumps(result))


if __name__ == "__main__":
    main()
