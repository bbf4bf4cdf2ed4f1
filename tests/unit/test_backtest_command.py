"""`kandle backtest` as a user runs it."""

import json
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kandle.commands.backtest import backtest
from kandle.strategy_source import StrategyError
from schemas.errors import ConfigurationError, KandleError
from tests.backtest_runs import BEGAN, MINUTE
from tests.kandle_command import kandle

DAY = 1440 * MINUTE
MINE = '''
from kandle import ClosedCandle, Fill, Line, Period, Strategy


class Dip(Strategy):
    """Buys one unit below the average, and leaves at a profit of one."""

    period: Period = 3

    def on_start(self) -> None:
        self.average: Line = self.line(f"sma({self.period})")

    def on_candle(self, candle: ClosedCandle) -> None:
        if candle.close < self.average[0] and not self.position(candle.market):
            self.buy(candle.market, 1)

    def on_fill(self, fill: Fill) -> None:
        if fill.side == "buy":
            self.sell(fill.market, 1, limit=fill.price + 1, reduce_only=True)
'''


def run(*arguments: object) -> Result:
    return CliRunner().invoke(backtest, [str(argument) for argument in arguments])


def answer(*arguments: object) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.exception or done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def write(folder: Path, *closes: float, step: int = MINUTE, header: str = "time,open,high,low,close") -> Path:
    """A file of candles that open where the one before has closed."""
    lines, before = [header], closes[0]
    for number, close in enumerate(closes):
        lines.append(f"{BEGAN + number * step},{before},{max(before, close)},{min(before, close)},{close}")
        before = close
    file = folder / "made.csv"
    file.write_text("\n".join(lines))
    return file


@pytest.mark.parametrize(
    ("fee", "equity", "per_cent"), [("0", 9376.379436, -6.24), ("0.0004", 9216.910072125, -7.83)]
)
def test_recorded_candles_give_the_trades_and_the_equity_of_another_backtester(
    captures: Path, fee: str, equity: float, per_cent: float
) -> None:
    # The figures of backtesting.py 0.6.6: same rule, cash 10,000, commission as the fee.
    file = captures / "equities" / "aapl_daily.csv"
    if not file.exists():
        pytest.skip(f"no {file}")
    given = ("--param", "fast=10", "--param", "slow=30", "--capital", "10000", "--fee", fee)
    found = answer("sma_cross", "--candles", file, *given)
    assert found["trades"] == 20
    assert found["final_equity"] == pytest.approx(equity, abs=1e-6)
    assert round(100 * found["return"], 2) == per_cent
    assert round(found["max_drawdown"], 4) == {"0": 0.3293, "0.0004": 0.3336}[fee]
    assert (found["start"], found["interval_s"]) == ("2015-02-17T00:00:00Z", 86_400)


def test_one_object_says_what_was_run_and_under_what(tmp_path: Path) -> None:
    file = write(tmp_path, *(100 + (number * 7) % 11 for number in range(60)))
    found = answer("sma_cross", "--candles", file, "--param", "fast=2", "--param", "slow=5", "--fee", "0.001")
    assert found["parameters"] == {"fast": 2, "slow": 5}
    terms = {"capital": 10_000, "fee": 0.001, "maker_fee": 0.001, "slippage": 0, "lot": 1, "leverage": 1}
    assert terms.items() <= found["terms"].items()
    assert (found["candles"], found["markets"]) == (60, ["file:made"])
    assert {"sharpe", "max_drawdown", "return", "fees", "assumptions"} <= found.keys()


def test_the_hash_changes_with_all_that_changes_the_run_and_with_nothing_else(tmp_path: Path) -> None:
    file = write(tmp_path, *(100 + (number * 7) % 11 for number in range(60)))
    given = ["sma_cross", "--candles", file, "--param", "fast=2", "--param", "slow=5"]
    first = answer(*given)
    assert answer(*given) == first
    assert answer(*given, "--fee", "0.0", "--capital", "1e4")["hash"] == first["hash"]
    others = {answer(*given, *more)["hash"] for more in (["--fee", "0.1"], ["--lot", "2"])}
    others.add(answer("sma_cross(2,6)", "--candles", file)["hash"])
    file.write_text(f"{file.read_text()}\n{BEGAN + 60 * MINUTE},100,100,100,100")
    others.add(answer(*given)["hash"])
    assert len(others | {first["hash"]}) == 5


def test_people_get_a_table_with_dates_and_the_trades(tmp_path: Path) -> None:
    file = write(tmp_path, *(100 + (number * 7) % 11 for number in range(60)))
    done = run("sma_cross(2,5)", "--candles", file, "--trades")
    assert "2024-01-01 00:00:00" in done.stdout
    assert "maximum drawdown" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    trades = answer("sma_cross(2,5)", "--candles", file, "--trades")
    assert len(trades["trade_list"]) == trades["trades"] > 3
    assert len(done.stdout.splitlines()[-trades["trades"] - 1].split("  ")) > 3  # the heading of as many rows


def test_a_strategy_of_the_user_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "dip.py").write_text(MINE)
    file = write(tmp_path, 10, 10, 10, 9, 9, 10, 10, 10)
    found = answer(tmp_path / "dip.py", "--candles", file, "--param", "period=2", "--trades")
    # The close of the fourth is 9, below 9.5: bought at 9, the next open; sold at 10 by the sixth candle.
    (trade,) = found["trade_list"]
    assert (trade["entry_price"], trade["exit_price"], trade["profit"]) == (9, 10, 1)
    assert found["strategy"] == "dip"


def test_a_strategy_of_an_installed_plugin_is_known_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "my_dip.py").write_text(MINE)
    write(tmp_path, 10, 10, 10, 9, 9, 10, 10, 10)
    (tmp_path / "my_dip-1.dist-info").mkdir()
    (tmp_path / "my_dip-1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: my-dip\nVersion: 1\n"
    )
    (tmp_path / "my_dip-1.dist-info" / "entry_points.txt").write_text("[kandle.plugins]\ndip = my_dip\n")
    done = kandle("backtest", "dip", "--candles", "made.csv", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["strategy"] == "dip", done.stderr
    assert "dip" in kandle("backtest", "--list", cwd=tmp_path).stdout


def test_the_list_shows_parameters(tmp_path: Path) -> None:
    assert "fast=10, slow=30" in run("--list").stdout
    listed = [json.loads(line) for line in run("--list", "--json").stdout.splitlines()]
    assert {"fast": 10, "slow": 30} in [each["parameters"] for each in listed]


def test_holes_are_told_before_the_run(tmp_path: Path) -> None:
    file = write(tmp_path, *[100.0] * 40)
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:10] + lines[13:20] + lines[21:]))
    done = run("sma_cross", "--candles", file, "--json")
    assert "4 candles are missing at 2 places" in done.stderr
    assert "2024-01-01 00:08:00 and 2024-01-01 00:12:00" in done.stderr
    assert json.loads(done.stdout)["missing_candles"] == 4


def test_weekends_are_no_holes_for_days_that_never_lie_there(tmp_path: Path) -> None:
    file = write(tmp_path, *[100.0] * 40, step=DAY)
    lines = file.read_text().splitlines()
    weekdays = [line for number, line in enumerate(lines[1:]) if number % 7 < 5]  # it begins on a Monday
    file.write_text("\n".join([lines[0], *weekdays]))
    assert run("sma_cross", "--candles", file).stderr == ""
    file.write_text("\n".join([lines[0], *weekdays[:7], *weekdays[8:]]))
    assert "1 candles are missing" in run("sma_cross", "--candles", file).stderr
    file.write_text("\n".join([lines[0], *weekdays[:7], *lines[14:]]))
    assert "6 candles are missing at 2 places" in run("sma_cross", "--candles", file).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing",), "there is no strategy 'nothing'; known: "),
        (("missing.py",), "there is no file missing.py"),
        (("sma_cross", "--param", "fats=10"), "strategy sma_cross takes fast"),
        (("sma_cross", "--param", "fast=40"), "is to be below slow"),
        (("sma_cross", "--param", "fast=0"), "fast=0"),
        (("sma_cross", "--capital", "99"), "a lot of 1 costs at least 100.0, .* --lot"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    file = write(tmp_path, *[100.0] * 40)
    done = run(*arguments, "--candles", file)
    assert isinstance(done.exception, KandleError)
    assert done.exception.exit_code == 2
    with pytest.raises(KandleError, match=message):
        raise done.exception


@pytest.mark.parametrize("option", ["--fee=4", "--fee=-0.1", "--capital=0", "--lot=x", "--slippage=nan"])
def test_amounts_that_are_none_are_refused(tmp_path: Path, option: str) -> None:
    done = run("sma_cross", "--candles", write(tmp_path, 1, 1), option)
    assert (done.exit_code, option.partition("=")[0] in done.stderr) == (2, True)


def test_candles_that_are_none_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    for row in ("10,9,8,9", "10,11,10.5,10.6", "0,1,0,1", "10,11,9,12"):
        file.write_text(f"time,open,high,low,close\n{BEGAN},1,1,1,1\n{BEGAN + MINUTE},{row}\n")
        assert "is none" in str(run("sma_cross", "--candles", file).exception)
    file.write_text(f"time,open,high,low,close\n{BEGAN},1,1,1,1\n")
    assert "two candles or more" in str(run("sma_cross", "--candles", file).exception)


def test_orders_that_were_too_small_are_told(tmp_path: Path) -> None:
    file = write(tmp_path, 90, *(200 + (number * 7) % 11 for number in range(60)))
    done = run("sma_cross(2,5)", "--candles", file, "--capital", 100)
    assert "less than a lot of 1; --lot makes lots smaller" in done.stderr


def test_an_exception_of_a_strategy_says_where_it_stands(tmp_path: Path) -> None:
    mine = tmp_path / "broken.py"
    mine.write_text(
        MINE.replace("self.buy(candle.market, 1)", "self.buy(candle.market, 1 / 0)").replace("Dip", "Broken")
    )
    done = run(mine, "--candles", write(tmp_path, 10, 10, 10, 9, 9))
    assert isinstance(done.exception, StrategyError)
    assert "ZeroDivisionError" in str(done.exception)
    assert "broken.py, line 15" in str(done.exception)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "got none"),
        ("import nowhere_at_all", "nowhere_at_all"),
        ("from kandle import Strategy", "none"),
    ],
)
def test_a_file_without_a_strategy_is_refused(tmp_path: Path, text: str, message: str) -> None:
    mine = tmp_path / "empty.py"
    mine.write_text(text)
    done = run(mine, "--candles", write(tmp_path, 10, 10))
    assert isinstance(done.exception, ConfigurationError)
    assert message in str(done.exception)


def test_the_strategy_of_the_manual_runs(tmp_path: Path) -> None:
    manual = (Path(__file__).parents[2] / "docs" / "backtesting.md").read_text("utf-8")
    mine = tmp_path / "manual_dip.py"
    mine.write_text(
        manual.partition("```python\n")[2].partition("```")[0].replace("class Dip", "class ManualDip")
    )
    # Up and down by six to eleven, in steps of a half, and downwards on the whole.
    steps = (0.5 if number % 34 < 12 else -0.5 if number % 34 < 33 else 3.5 for number in range(400))
    file = write(tmp_path, *accumulate(steps, initial=200.0))
    found = answer(mine, "--candles", file, "--trades")
    parts = {round(each["exit_price"] / each["entry_price"], 4) for each in found["trade_list"]}
    assert parts == {1.02, 0.97}
    assert found["orders"] == 3 * (found["trades"] + 1)  # each an entry and two exits; the last is still held


def test_the_time_the_market_and_the_interval_of_a_file_are_heeded(tmp_path: Path) -> None:
    file = write(tmp_path, *range(10, 20))
    begin, end = "2024-01-01T00:03:00", "2024-01-01T00:07:30"
    found = answer("sma_cross", "--candles", file, "--from", begin, "--to", end, "--symbols", "binance:A/B")
    # The candle of 00:07 is open when the time ends.
    assert (found["start"], found["end"], found["candles"]) == (f"{begin}Z", "2024-01-01T00:07:00Z", 4)
    assert [each["market"] for each in found["by_market"]] == ["binance:A/B"]
    same = answer("sma_cross", "--source", file, "--from", begin, "--to", end, "--symbols", "binance:A/B")
    assert same["hash"] == found["hash"]
    later = run("sma_cross", "--candles", file, "--from", "2025-01-01", "--json")
    assert isinstance(later.exception, KandleError)
    assert "no candle between" in str(later.exception)
    assert later.exception.exit_code == 2
    for wrong, told in (
        (("--interval", "1h"), "are of 1m, and --interval asks for 1h"),
        (("--symbols", "x:A/B,x:C/D"), "of one market"),
        (("--read", "trades"), "of one market"),
    ):
        refused = run("sma_cross", "--candles", file, *wrong)
        assert refused.exit_code == 2, wrong
        assert told in refused.stderr
    assert answer("sma_cross", "--candles", file, "--interval", "1m")["candles"] == 10


def test_what_a_strategy_prints_is_not_the_answer(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    start = "def on_start(self) -> None:"
    mine.write_text(MINE.replace("Dip", "Telling").replace(start, f'{start}\n        print("here")'))
    done = run(mine, "--candles", write(tmp_path, 5, 4, 3), "--json")
    assert done.exit_code == 0, done.exception
    assert json.loads(done.stdout)["strategy"] == "telling"
    assert "here" in done.stderr


def test_strategies_that_cannot_be_made_are_told(tmp_path: Path) -> None:
    mine, file = tmp_path / "mine.py", write(tmp_path, 5, 4, 3)
    for body, told in (
        ("def __init__(self) -> None: pass", "super().__init__"),
        ("def start(self) -> None: 1 / 0", "ZeroDivisionError"),
    ):
        mine.write_text(f"from kandle import Strategy\n\n\nclass Mine(Strategy):\n    {body}\n")
        failed = run(mine, "--candles", file).exception
        assert isinstance(failed, ConfigurationError)
        assert told in str(failed)


def test_candles_that_are_none_and_latencies_without_end_are_wrong_input(tmp_path: Path) -> None:
    failed = run("sma_cross", "--candles", write(tmp_path, 5, -4, 3)).exception
    assert isinstance(failed, KandleError)
    assert failed.exit_code == 2
    for latency in ("inf", "nan", "1e300"):
        failed = run("sma_cross", "--candles", write(tmp_path, 5, 4, 3), "--latency-ms", latency).exception
        assert isinstance(failed, ConfigurationError)
        assert "latency" in str(failed)
