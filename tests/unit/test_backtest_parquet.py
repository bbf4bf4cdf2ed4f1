"""A run as Parquet files, as polars and duckdb read them."""

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from pyarrow import parquet  # type: ignore[import-untyped]

from backtest.report.parquet import write_parquet
from backtest.statistics import statistics_of
from schemas.errors import ConfigurationError
from tests.backtest_runs import BEGAN, MARKET, MINUTE, flat, play, terms_of


@pytest.fixture
def run() -> Any:
    """Bought at 101 for a fee of 0.0101, sold at 103; a limit that waits at the end."""
    acts = {
        0: lambda strategy: strategy.buy(MARKET, "0.1"),
        1: lambda strategy: strategy.sell(MARKET, "0.1"),
        2: lambda strategy: strategy.buy(MARKET, "2", limit=90, reduce_only=True),
    }
    found, _ = play(flat(100, 101, 103, 103), acts, terms_of(fee="0.001", lot="0.1"))
    return found


def test_polars_reads_what_the_run_holds(run: Any, tmp_path: Path) -> None:
    files = write_parquet(run, tmp_path / "out", {"strategy": "mine", "hash": "ab"})
    assert [file.stem for file in files] == ["trades", "orders", "fills", "payments", "equity"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted(file.name for file in files)
    (trade,) = pl.read_parquet(files[0]).to_dicts()
    assert trade["entry_time"] == dt.datetime.fromtimestamp((BEGAN + MINUTE) / 1e6, dt.UTC)
    # 0.1 * (103 - 101) less 0.1 * 0.001 * (101 + 103)
    assert trade["profit_exact"] == "0.1796"
    assert trade["profit"] == 0.1796
    orders = pl.read_parquet(files[1])
    assert orders["state"].to_list() == ["filled", "filled", "open"]
    assert orders["limit"].to_list() == [None, None, 90.0]
    assert orders["reduce_only"].to_list() == [False, False, True]
    fills = pl.read_parquet(files[2])
    assert fills["order"].to_list() == [1, 2]
    assert [Decimal(fee) for fee in fills["fee_exact"]] == [Decimal("0.0101"), Decimal("0.0103")]
    assert json.loads(parquet.read_schema(files[0]).metadata[b"kandle"]) == {"strategy": "mine", "hash": "ab"}


def test_duckdb_finds_the_figures_again(run: Any, tmp_path: Path) -> None:
    write_parquet(run, tmp_path, {})
    found = statistics_of(run)
    with duckdb.connect() as database:
        deepest, last, held = database.execute(
            f"select max(drawdown), last(equity), last(buy_and_hold) from '{tmp_path}/equity.parquet'"
        ).fetchall()[0]
        exact = database.execute(
            f"select sum(fee_exact::decimal(38, 18)) from '{tmp_path}/fills.parquet'"
        ).fetchall()[0][0]
    assert deepest == pytest.approx(found.drawdown.depth)
    assert last == found.final_equity
    assert held == pytest.approx(10_000 * (1 + found.buy_and_hold))
    assert exact == run.fees


def test_digits_beyond_a_double_are_kept(tmp_path: Path) -> None:
    acts = {0: lambda strategy: strategy.buy(MARKET, Decimal("0.123456789012345678"))}
    run, _ = play(flat(3, 3.3, 3.3), acts, terms_of(lot="1e-18", slippage="0.000123456789"))
    write_parquet(run, tmp_path, {})
    (fill,) = pl.read_parquet(tmp_path / "fills.parquet").to_dicts()
    assert fill["size_exact"] == "0.123456789012345678"
    assert fill["price_exact"] == "3.3004074074037"


def test_a_run_without_trades_has_files_of_the_same_columns(run: Any, tmp_path: Path) -> None:
    write_parquet(run, tmp_path / "some", {})
    none, _ = play(flat(100, 101), {})
    for file in write_parquet(none, tmp_path / "none", {}):
        assert parquet.read_schema(file).equals(parquet.read_schema(tmp_path / "some" / file.name))


def test_a_folder_that_cannot_be_written_to_is_told(run: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written to"):
        write_parquet(run, tmp_path / "file" / "out", {})
