"""The terms of a backtest as its command line gives them."""

from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from backtest.costs import Costs
from backtest.fees import FeeSchedule, Tier
from backtest.history import History
from backtest.terms import Terms
from kandle.backtests.terms import check_affordable, terms_of
from kandle.commands.backtest import backtest
from schemas.errors import ConfigurationError
from schemas.records import Instrument
from tests.backtest_runs import MARKET, bars_of, flat

FEES = "[[file]]\nvolume = 0\ntaker = 0.002\nmaker = -0.0001\n"


def terms(*arguments: str) -> Terms:
    with backtest.make_context("backtest", ["sma_cross", *arguments]) as context:
        return terms_of(context.params)


def test_without_options_the_terms_are_the_plain_ones() -> None:
    assert terms() == Terms()


def test_each_option_has_its_term(tmp_path: Path) -> None:
    (tmp_path / "fees.toml").write_text(FEES)
    found = terms(
        *("--capital", "500", "--fee", "0.001", "--slippage", "0.002", "--slippage-ticks", "3"),
        *("--impact", "0.1", "--lot", "0.01", "--leverage", "4", "--maintenance", "0.05"),
        *("--liquidation-fee", "0.006", "--borrowing", "0.08", "--fees", str(tmp_path / "fees.toml")),
        *("--fills", "trade", "--latency-ms", "2.5", "--queue", "front"),
    )
    number = Decimal
    schedule = FeeSchedule({"file": (Tier(number(0), number("0.002"), number("-0.0001")),)})
    costs = Costs(
        fee=number("0.001"),
        maker_fee=number("0.001"),
        slippage=number("0.002"),
        slippage_ticks=number(3),
        impact=number("0.1"),
        liquidation_fee=number("0.006"),
        schedule=schedule,
    )
    assert found == Terms(
        capital=number(500),
        costs=costs,
        lot=number("0.01"),
        leverage=number(4),
        maintenance=number("0.05"),
        borrowing=number("0.08"),
        fills="trade",
        latency=2_500,
        queue="front",
    )


def test_a_file_of_fees_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "fees.toml"
    done = CliRunner().invoke(backtest, ["sma_cross", "--fees", str(path)])
    assert (done.exit_code, "cannot be read" in done.stderr) == (2, True)
    path.write_bytes(b"\xff\xfe")
    done = CliRunner().invoke(backtest, ["sma_cross", "--fees", str(path)])
    assert (done.exit_code, "cannot be read" in done.stderr) == (2, True)
    path.write_text(FEES.replace("0.002", "2"))
    with pytest.raises(ConfigurationError, match="parts"):
        terms("--fees", str(path))


def test_lots_of_instruments_count_for_what_can_be_afforded() -> None:
    dear = [bars_of(flat(60_000, 61_000))]
    with pytest.raises(ConfigurationError, match="a lot of 1 costs at least 60000"):
        check_affordable(History(dear), Terms())
    instrument = Instrument(
        *("test", "A/B", "AB", "A", "B"), "spot", "trading", None, 0.001, None, multiplier=1.0, event_time=0
    )
    check_affordable(History(dear, instruments={MARKET: instrument}), Terms())
    with pytest.raises(ConfigurationError, match=r"a lot of 0\.001 costs"):
        check_affordable(History(dear, instruments={MARKET: instrument}), Terms(capital=Decimal(10)))


def test_liquidations_are_told(tmp_path: Path) -> None:
    rows = ["time,open,high,low,close"]
    rows += [
        f"2024-01-{day:02},{price},{price},{price},{price}"
        for day, price in enumerate((100, 99, 98, 99, 101, 103, 103, 60, 60), 1)
    ]
    (tmp_path / "day.csv").write_text("\n".join(rows))
    given = ["sma_cross", "--candles", str(tmp_path / "day.csv"), "--param", "fast=2", "--param", "slow=3"]
    done = CliRunner().invoke(backtest, [*given, "--leverage", "5"])
    assert done.exit_code == 0, done.output
    assert "positions liquidated: 1" in done.stderr
    assert "liquidated" not in CliRunner().invoke(backtest, given).stderr
