"""Speed of backtests: `python -m tests.bench.backtest --json`.

Moving-average crossover (10, 30) over a million 1m candles of a random walk, through the class that a user
writes: `on_candle` is called for each. backtesting.py runs the same rule over the same candles, in a process
and an environment of its own. Measured is the run with its statistics, without reading the candles; ours and
the peer's take turns, and each figure is the best of its runs.
"""

import json
import subprocess
import tempfile
import time
import venv
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

CANDLES: Final = 1_000_000
MINUTE_US: Final = 60_000_000
BEGAN_US: Final = 1_577_836_800_000_000
"""2020-01-01T00:00:00Z."""
CAPITAL: Final = 1_000_000
FEE: Final = "0"
RUNS: Final = 3
PEER: Final = "backtesting==0.6.6"
TIMEOUT_S: Final = 300
Columns = dict[str, npt.NDArray[Any]]


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


def ours(columns: Columns) -> tuple[float, Statistics]:
    """Seconds of a run, and what came of it."""
    names = ("open", "high", "low", "close", "volume")
    bars = Bars("bench:A/B", columns["time"].tolist(), MINUTE_US, *(columns[name].tolist() for name in names))
    terms = Terms(Decimal(CAPITAL), Costs(Decimal(FEE), Decimal(FEE)))
    strategy = Strategy.create("sma_cross(10,30)")
    began = time.perf_counter()
    found = statistics_of(run(strategy, [bars], terms))
    return time.perf_counter() - began, found


def peer_python() -> Path:
    """The Python of an environment with the peer, made below the cache folder when it is missing.

    Raises:
        CalledProcessError: It cannot be installed.
    """
    folder = user_cache_path("kandle") / "bench-peers" / PEER
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    install = [str(python), "-m", "pip", "install", "-q", PEER]
    subprocess.run(install, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
    return python


def peer(python: Path, path: Path) -> dict[str, Any]:
    """What the peer prints."""
    script = Path(__file__).with_name("backtest_peer.py")
    command = [str(python), str(script), str(path), str(CAPITAL), FEE]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    """Measure and print."""
    columns = walk(CANDLES)
    seconds: list[float] = []
    theirs: list[dict[str, Any]] = []
    unavailable = ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "candles.npz"
        np.savez(path, **columns)  # type: ignore[arg-type]
        try:
            python = peer_python()
        except (OSError, subprocess.SubprocessError) as error:
            unavailable = f"{error}: {(getattr(error, 'stderr', '') or '').strip()[-1000:]}"
        for _ in range(RUNS):
            took, found = ours(columns)
            seconds.append(took)
            if not unavailable:
                theirs.append(peer(python, path))
    speed = CANDLES / min(seconds)
    result: dict[str, Any] = {
        "candles_per_s": round(speed),
        "candles": CANDLES,
        "trades": found.trades,
        "final_equity": found.final_equity,
        "method": " ".join((__doc__ or "").partition("\n\n")[2].split()),
    }
    if unavailable:
        result["peers"] = {PEER: {"unavailable": unavailable}}
    else:
        best = min(each["seconds"] for each in theirs)
        last = theirs[-1]
        result["peers"] = {
            PEER: {
                "candles_per_s": round(CANDLES / best),
                "trades": last["trades"],
                "final_equity": last["final_equity"],
            }
        }
        result["times_the_peer"] = round(best / min(seconds), 2)
        result["same_trades"] = last["trades"] == found.trades
        result["same_to_the_cent"] = round(last["final_equity"], 2) == round(found.final_equity, 2)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
