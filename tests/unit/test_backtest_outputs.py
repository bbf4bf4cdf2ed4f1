"""What `kandle backtest` writes besides its table, as a user asks for it."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

from kandle.commands.backtest import backtest
from schemas.errors import ConfigurationError
from tests.backtest_pages import waves
from tests.backtest_runs import BEGAN, MINUTE


@pytest.fixture
def candles(tmp_path: Path) -> Path:
    times = range(BEGAN, BEGAN + 200 * MINUTE, MINUTE)
    rows = [f"{time},{','.join(map(str, prices))}" for time, prices in zip(times, waves(200), strict=True)]
    file = tmp_path / "made.csv"
    file.write_text("\n".join(["time,open,high,low,close", *rows]))
    return file


def run(*arguments: object) -> Result:
    return CliRunner().invoke(backtest, ["sma_cross(3,8)", *map(str, arguments)])


def test_all_outputs_of_one_run_say_the_same(candles: Path, tmp_path: Path) -> None:
    page, folder = tmp_path / "report.html", tmp_path / "parquet"
    done = run("--candles", candles, "--fee", "0.001", "--json", "--report", page, "--parquet", folder)
    assert done.exit_code == 0, done.exception
    found: dict[str, Any] = json.loads(done.stdout)
    trades = pl.read_parquet(folder / "trades.parquet")
    assert len(trades) == found["trades"] > 5
    assert trades["profit"].mean() == pytest.approx(found["expectancy"])
    equity = pl.read_parquet(folder / "equity.parquet")
    assert equity["equity"][-1] == pytest.approx(found["final_equity"])
    assert equity["drawdown"].max() == pytest.approx(found["max_drawdown"])
    text = page.read_text("utf-8")
    assert found["hash"] in text
    assert f"{found['turnover']:,.2f}" in text
    assert all(sentence in text for sentence in found["assumptions"])
    assert str(page) in done.stderr
    assert [each["profit"] for each in found["by_market"]] == [pytest.approx(found["final_equity"] - 10_000)]


def test_a_page_that_cannot_be_written_is_told(candles: Path, tmp_path: Path) -> None:
    done = run("--candles", candles, "--report", tmp_path / "missing" / "report.html")
    assert isinstance(done.exception, ConfigurationError)
    assert "cannot be written" in str(done.exception)
