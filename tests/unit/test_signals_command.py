"""`kandle signals`: rules over candles in a file."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kandle.commands.signals import signals
from kandle.times import format_time
from processors.indicator import Indicator
from processors.signal import SignalRule
from tests.signal_candles import decisions, random_candles
from tests.user_package import INDICATOR, RULE, settings_of, write

CANDLES = random_candles(400, seed=5)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a file of candles; what is registered from it is forgotten."""
    monkeypatch.chdir(tmp_path)
    for kind in (Indicator, SignalRule):
        monkeypatch.setattr(kind, "registry", dict(kind.known()))
    rows = [(format_time(c.open_time), c.open, c.high, c.low, c.close, c.volume) for c in CANDLES]
    write(tmp_path, {"candles.csv": csv_of(("time", "open", "high", "low", "close", "volume"), rows)})
    write(tmp_path, {"closes.csv": csv_of(("time", "close"), [(row[0], row[4]) for row in rows])})
    return tmp_path


def csv_of(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    return "\n".join(",".join(map(str, row)) for row in (header, *rows))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(signals, arguments)


def lines_of(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("name", sorted(SignalRule.known()))
def test_decisions_are_those_of_the_stream(name: str) -> None:
    expected = decisions(SignalRule.create(name), CANDLES)
    found = lines_of(run("--candles", "candles.csv", "--rule", name.upper().replace("_", "-"), "--json"))
    assert found == [
        {
            "time": format_time(CANDLES[index].open_time),
            "rule": SignalRule.create(name).label,
            "direction": decision.direction,
            "strength": decision.strength,
            "values": decision.values,
        }
        for index, decision in expected
    ]
    assert found or name == "bollinger_squeeze"


def test_several_rules_and_parameters_on_their_own() -> None:
    both = lines_of(
        run("--candles", "candles.csv", "--rule", "rsi_level(9)", "--rule", "macd_cross", "--json")
    )
    one = lines_of(run("--candles", "candles.csv", "--rule", "rsi_level", "--param", "period=9", "--json"))
    assert one == [line for line in both if line["rule"] == "rsi_level_9_30_70"] != []
    assert len(both) > len(one)


def test_a_table_is_for_people() -> None:
    shown = run("--candles", "candles.csv", "--rule", "volume_spike").stdout.splitlines()
    assert shown[0].split() == ["time", "rule", "direction", "strength", "values"]
    assert "volume_spike_20_3" in shown[1]


def test_a_file_need_not_hold_what_a_rule_does_not_look_at() -> None:
    assert lines_of(run("--candles", "closes.csv", "--rule", "rsi_level", "--json"))
    lacking = run("--candles", "closes.csv", "--rule", "volume_spike")
    assert "closes.csv, line 2: no volume" in str(lacking.exception)


def test_no_event_is_no_error_but_too_few_candles_are() -> None:
    assert run("--candles", "candles.csv", "--rule", "volume_spike(20,1000)").output == ""
    few = run("--candles", "candles.csv", "--rule", "moving_average_crossover(10,500)")
    assert few.exit_code == 1
    assert "400 candles are too few for moving_average_crossover(10,500)" in few.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say which: --candles FILE --rule NAME, or --list"),
        (("--candles", "candles.csv"), "say which"),
        (("--candles", "nowhere.csv", "--rule", "rsi_level"), "does not exist"),
        (("--candles", "candles.csv", "--rule", "a", "--rule", "b", "--param", "c=1"), "with several rules"),
        (
            ("--candles", "candles.csv", "--rule", "rsi_levels"),
            "there is no signal rule 'rsi_levels'; known: ",
        ),
        (("--candles", "candles.csv", "--rule", "rsi_level", "--param", "limit=3"), "takes period (14)"),
    ],
)
def test_a_wrong_question_is_answered_with_what_was_expected(arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code != 0
    assert said in result.output + str(result.exception)


def test_the_list_has_every_rule_with_its_parameters_and_those_of_plug_ins(home: Path) -> None:
    write(home, {"kandle.toml": settings_of("listed"), "listed.py": INDICATOR + RULE})
    listed = {str(line["rule"]): line for line in lines_of(run("--list", "--json"))}
    assert listed.keys() == SignalRule.known().keys() >= {"momentum_turn", "rsi_level"}
    assert listed["rsi_level"]["parameters"] == {"period": 14, "oversold": 30.0, "overbought": 70.0}
    assert listed["momentum_turn"]["meaning"] == "The momentum changes its sign."
    assert listed["momentum_turn"]["needs"] == ["momentum_10"]
    shown = run("--list").stdout
    assert all(name in shown for name in listed)
    assert "period=14, oversold=30, overbought=70" in shown
