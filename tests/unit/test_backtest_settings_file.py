"""`kandle backtest --set FILE`: parameters and terms that are kept in a file."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from kandle.commands.backtest import backtest
from schemas.errors import ConfigurationError
from tests.unit.test_backtest_command import answer, run, write

TOML = """
[parameters]
fast = 2
slow = 5

[terms]
fee = 0.0004
maker_fee = "0.0002"
capital = 5000
"""
JSON = '{"parameters": {"fast": 2, "slow": 5}, "terms": {"fee": 0.0004, "maker_fee": 2e-4, "capital": "5e3"}}'


def candles(folder: Path) -> Path:
    return write(folder, *(100 + (number * 7) % 11 for number in range(60)))


@pytest.mark.parametrize(("name", "text"), [("mine.toml", TOML), ("mine.json", JSON)])
def test_a_file_says_what_the_command_line_would(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    file = candles(tmp_path)
    found = answer("sma_cross", "--candles", file, "--set", tmp_path / name)
    typed = answer(
        *("sma_cross(2,5)", "--candles", file, "--fee", "0.0004", "--maker-fee", "0.0002"), "--capital=5000"
    )
    assert found == typed
    assert found["parameters"] == {"fast": 2, "slow": 5}


def test_what_is_typed_outweighs_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(TOML)
    given = ("sma_cross", "--candles", candles(tmp_path), "--set", tmp_path / "mine.toml")
    found = answer(*given, "--param", "slow=7", "--fee", "0.001")
    assert found["parameters"] == {"fast": 2, "slow": 7}
    assert (found["terms"]["fee"], found["terms"]["maker_fee"]) == (0.001, 0.0002)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[terms]\nfeed = 1", r"\[terms\] takes .*capital, fee.*got feed"),
        ("[term]\nfee = 0.1", r"expected the tables \[parameters\] and \[terms\], got term"),
        ("terms = 3", "a value in place of one"),
        ("fee: 0.1", "neither TOML nor JSON"),
        ('{"terms": ', "neither TOML nor JSON"),
    ],
)
def test_what_is_wrong_in_the_file_is_said(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    done = run("sma_cross", "--candles", candles(tmp_path), "--set", tmp_path / "mine.toml")
    assert isinstance(done.exception, ConfigurationError)
    with pytest.raises(ConfigurationError, match=message):
        raise done.exception


def test_amounts_of_the_file_are_judged_as_those_that_are_typed(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[terms]\nfee = 4")
    done = run("sma_cross", "--candles", candles(tmp_path), "--set", tmp_path / "mine.toml")
    assert (done.exit_code, "--fee" in done.stderr) == (2, True)


def test_a_file_that_is_not_there_is_refused() -> None:
    assert CliRunner().invoke(backtest, ["sma_cross", "--set", "nowhere.toml"]).exit_code == 2
