"""`kandle optimize` as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from backtest.search.search import NothingFoundError
from kandle.commands.backtest import backtest
from kandle.commands.optimize import INTERRUPTED, optimize
from schemas.errors import ConfigurationError, KandleError
from tests.backtest_runs import BEGAN, MINUTE
from tests.kandle_command import kandle

HOUR = 60 * MINUTE
GRID = ("--grid", "fast=2:6:2", "--grid", "slow=5,9,12")
MINE = """
import time
from kandle import ClosedCandle, Strategy


class Slow(Strategy):
    number: int = 0

    def on_candle(self, candle: ClosedCandle) -> None:
        print("told by the strategy")
        if self.number == 13:
            raise LookupError("an unlucky number")
        if self.number > 1:
            time.sleep(60)
"""


LATE = """
from kandle import ClosedCandle, Strategy


class Late(Strategy):
    number: int = 0

    def on_start(self) -> None:
        self.seen = 0

    def on_candle(self, candle: ClosedCandle) -> None:
        print("told by the strategy")
        self.seen += 1
        if self.seen > self.number:
            raise LookupError("too late")
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(optimize, [str(argument) for argument in arguments])


def answer(*arguments: object) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.exception or done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def candles(tmp_path: Path) -> Path:
    """Twenty days of hours that swing ever more slowly."""
    lines, before = ["time,open,high,low,close,volume"], 100.0
    for number in range(480):
        close = 100.0 + (number * (7 + number // 60)) % 23
        high, low = max(before, close), min(before, close)
        lines.append(f"{BEGAN + number * HOUR},{before},{high},{low},{close},1")
        before = close
    file = tmp_path / "made.csv"
    file.write_text("\n".join(lines))
    return file


def test_every_row_is_what_one_backtest_says(candles: Path) -> None:
    found = answer("sma_cross", "--candles", candles, *GRID, "--fee", "0.001", "--workers", 1, "--top", 20)
    assert (found["sets"], found["runs"], found["refused"]["count"]) == (8, 8, 1)
    assert len(found["top"]) == 8
    for row in found["top"]:
        given = [f"--param={key}={value}" for key, value in row["parameters"].items()]
        single = CliRunner().invoke(
            backtest, ["sma_cross", "--candles", str(candles), "--fee", "0.001", *given, "--json"]
        )
        alone = json.loads(single.stdout)
        assert row == {key: alone[key] for key in row}
    sharpes = [row["sharpe"] for row in found["top"]]
    assert sharpes == sorted(sharpes, reverse=True)


def test_several_processes_say_the_same_as_one_and_strategies_do_not_print_into_the_answer(
    candles: Path, tmp_path: Path
) -> None:
    alone, together = (
        answer("sma_cross", "--candles", candles, *GRID, "--workers", count) for count in (1, 2)
    )
    assert alone == together
    (tmp_path / "mine.py").write_text(MINE)
    mine = kandle(
        *(
            "optimize",
            "mine.py",
            "--candles",
            "made.csv",
            "--grid",
            "number=0,1,13",
            "--workers",
            "2",
            "--json",
        ),
        cwd=tmp_path,
    )
    found = json.loads(mine.stdout)
    assert "told by the strategy" in mine.stderr
    assert found["failed"]["count"] == 1
    (failure,) = found["failed"]["first"]
    assert failure["parameters"] == {"number": 13}
    assert "LookupError: an unlucky number (mine.py, line 12" in failure["error"]
    assert (found["runs"], found["without_metric"], found["top"]) == (3, 2, [])


def test_the_lowest_drawdown_is_the_best_one(candles: Path) -> None:
    found = answer("sma_cross", "--candles", candles, *GRID, "--workers", 1, "--metric", "max_drawdown")
    depths = [row["max_drawdown"] for row in found["top"]]
    assert depths == sorted(depths)


def test_a_seed_draws_the_same_sets(candles: Path) -> None:
    given = ("sma_cross", "--candles", candles, "--workers", 1, "--param", "fast=2:9", "--param", "slow=5:30")
    more = ("--random", 6, "--constraint", "fast < slow", "--top", 99)
    one, other, third = (answer(*given, *more, "--seed", seed) for seed in (1, 1, 2))
    assert one == other
    assert [row["parameters"] for row in one["top"]] != [row["parameters"] for row in third["top"]]
    assert (one["runs"], one["refused"]["count"], one["seed"]) == (6, 0, 1)


def test_the_number_of_trials_stands_beside_the_best_sharpe_ratio(candles: Path) -> None:
    found = answer("sma_cross", "--candles", candles, *GRID, "--workers", 1)
    luck = found["deflated_sharpe"]
    assert luck["trials"] == 8
    assert luck["best_sharpe"] == pytest.approx(found["top"][0]["sharpe"])
    assert 0 < luck["probability"] < 1
    assert len(luck["assumptions"]) > 2
    told = run("sma_cross", "--candles", candles, *GRID, "--workers", 1).stdout
    assert f"best sharpe {luck['best_sharpe']:.2f} of 8 trials" in told
    assert f"probability of {100 * luck['probability']:.2f} %" in told
    assert "1 sets refused by the strategy: sma_cross: fast (6) is to be below slow (5)" in told


def test_walk_forward_chooses_inside_and_judges_behind(candles: Path) -> None:
    given = ("sma_cross", "--candles", candles, *GRID, "--workers", 1, "--walk-forward")
    walked = answer(*given, "10d:5d")["walk_forward"]
    days = [(fold["in"]["start"][8:10], fold["out"]["start"][8:10]) for fold in walked["folds"]]
    assert days == [("01", "11"), ("06", "16")]
    # What chose is what a search over that stretch alone finds.
    lines = candles.read_text().splitlines()
    candles.write_text("\n".join(lines[:1] + lines[1 + 5 * 24 : 1 + 15 * 24]))
    alone = answer("sma_cross", "--candles", candles, *GRID, "--workers", 1)["top"][0]
    second = walked["folds"][1]
    assert second["parameters"] == alone["parameters"]
    assert second["in_sample"]["sharpe"] == alone["sharpe"]
    assert second["deflated_sharpe"]["trials"] == 8
    growth = [1 + fold["out_of_sample"]["return"] for fold in walked["folds"]]
    assert 1 + walked["out_of_sample"]["return"] == pytest.approx(growth[0] * growth[1])
    assert walked["out_of_sample"]["equity"][-1][1] == pytest.approx(10_000 * growth[0] * growth[1])
    assert len(walked["out_of_sample"]["equity"]) == 10
    assert walked["degradation"]["sharpe_in_sample"] == pytest.approx(
        sum(fold["in_sample"]["sharpe"] for fold in walked["folds"]) / 2
    )


def test_a_choice_that_fails_where_it_is_judged_is_told_and_does_not_end_the_others(
    candles: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(LATE)
    given = (tmp_path / "mine.py", "--candles", candles, "--grid", "number=150,500", "--workers", 1)
    walked = answer(*given, "--metric", "return", "--walk-forward", "5d:5d")["walk_forward"]
    errors = [fold["error"] for fold in walked["folds"]]
    # Both sets gain nothing inside, so that the first one is chosen; it raises at its 151st candle.
    assert len(errors) == 3
    assert all("LookupError: too late" in error for error in errors)
    assert walked["out_of_sample"] is None
    told = run(*given, "--metric", "return", "--walk-forward", "5d:5d").stdout
    assert told.count("fails behind its choice: number=150: strategy late has raised LookupError") == 3
    alone = answer(*given, "--metric", "return")
    assert alone["failed"]["count"] == 1  # and what it prints is not in the answer


def test_people_get_folds_as_a_table(candles: Path) -> None:
    told = run("sma_cross", "--candles", candles, *GRID, "--workers", 1, "--walk-forward", 3).stdout
    assert "24 of 24 runs" in told
    assert told.count("2024-01-") == 6
    assert "out of sample, stitched: return" in told
    assert "each choice is the best of 8 sets" in told


def test_ctrl_c_gives_what_is_done_so_far(candles: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        MINE.replace('print("told by the strategy")', 'open("seen", "a").close()')
    )
    command = [
        sys.executable,
        "-m",
        "kandle",
        "optimize",
        "mine.py",
        "--candles",
        "made.csv",
        "--workers",
        "2",
    ]
    command += ["--grid", "number=0,1,2,3,4", "--metric", "return", "--json"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "seen").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.0)  # both short runs end, two long ones begin
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED, errors
    found = json.loads(output)
    assert (found["interrupted"], found["runs"], found["of"]) == (True, 2, 5)
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--grid", "fats=1:9:1"), "sma_cross takes fast, slow; got fats"),
        (("--grid", "fast=1:9"), "needs steps"),
        (("--grid", "fast=50,60"), "refuses every set: .* is to be below slow"),
        (("--grid", "fast=5,6", "--constraint", "fast > slow"), "no set of parameters holds"),
        (("--grid", "fast=5,6", "--walk-forward", "90d:30d"), "leaves .* folds of the data's 20.00 days"),
        (("--grid", "fast=5,6", "--walk-forward", "often"), "takes IN:OUT"),
        (("--grid", "fast=5,6", "--walk-forward", "500"), "too short for 500 folds"),
    ],
)
def test_what_is_wrong_is_said(candles: Path, arguments: tuple[str, ...], message: str) -> None:
    done = run("sma_cross", "--candles", candles, *arguments)
    assert isinstance(done.exception, ConfigurationError)
    with pytest.raises(KandleError, match=message):
        raise done.exception


def test_without_a_grid_or_draws_there_is_nothing_to_try(candles: Path) -> None:
    done = run("sma_cross", "--candles", candles, "--param", "fast=2:9")
    assert (done.exit_code, "--grid NAME=FROM:TO:STEP" in done.stderr) == (2, True)


def test_a_search_of_which_all_fails_is_an_error(candles: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE.replace("Slow", "Unlucky"))
    done = run(tmp_path / "mine.py", "--candles", candles, "--grid", "number=13", "--workers", 1)
    assert isinstance(done.exception, NothingFoundError)
    assert "all 1 runs have failed, the first one as: strategy unlucky" in str(done.exception)
