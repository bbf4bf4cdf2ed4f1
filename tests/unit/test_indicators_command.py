"""`kandle indicators` as a user runs it: every form of a file gives the same values."""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kandle.commands.indicators import indicators
from processors.indicator import Indicator
from schemas.errors import ConfigurationError, KandleError
from tests.indicator_series import MINUTE, Bar, walk

BEGAN = 1_704_067_200_000_000  # 2024-01-01T00:00:00Z, µs
SERIES = [bar._replace(open_time=BEGAN + bar.open_time) for bar in walk(60)]
FIELDS = ("open", "high", "low", "close", "volume")


def run(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(indicators, [str(argument) for argument in arguments], input=stdin)


def lines(*arguments: object, stdin: bytes | None = None) -> list[dict[str, Any]]:
    answer = run(*arguments, "--json", stdin=stdin)
    assert (answer.exit_code, answer.stderr) == (0, ""), answer.output
    return [json.loads(line) for line in answer.stdout.splitlines()]


def csv_of(
    series: Sequence[Bar] = SERIES,
    header: str = "time,open,high,low,close,volume",
    time: Callable[[int], object] = lambda micros: micros,
) -> str:
    rows = [",".join(map(repr, (getattr(bar, field) for field in FIELDS))) for bar in series]
    return "\n".join(
        [header, *(f"{time(bar.open_time)},{row}" for bar, row in zip(series, rows, strict=True))]
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "candles.csv"
    path.write_text(csv_of())
    return path


def expected(spec: str, series: Sequence[Bar] = SERIES) -> list[dict[str, Any]]:
    indicator = Indicator.create(spec)
    found = []
    for bar in series:
        values = indicator.update(bar)
        if values:
            minute = (bar.open_time - BEGAN) // MINUTE
            found.append({"time": f"2024-01-01T00:{minute:02}:00Z", **values})
    return found


@pytest.mark.parametrize("name", sorted(Indicator.known()))
def test_every_indicator_prints_its_outputs_with_every_bit_from_the_first_defined_one_on(
    name: str, file: Path
) -> None:
    assert lines("--candles", file, "--indicator", name) == expected(name)


def test_a_single_output_has_the_name_of_its_indicator_and_several_have_their_own(file: Path) -> None:
    assert list(lines("--candles", file, "--indicator", "sma")[0]) == ["time", "sma"]
    names = ["time", "macd", "signal", "histogram"]
    assert list(lines("--candles", file, "--indicator", "macd")[0]) == names


@pytest.mark.parametrize(
    "arguments",
    [
        ("--indicator", "macd(5,20,3)"),
        ("--indicator", "MACD( 5, slow=20, signal=3 )"),
        ("--indicator", "Macd", "--param", "slow=20", "--param", "fast=5", "--param", "signal=3"),
        ("--indicator", "macd(5)", "--param", "slow=20", "--param", " signal = 3 "),
        ("--indicator", "macd()", "--param", "fast=5", "--param", "slow=20", "--param", "signal=3"),
    ],
)
def test_parameters_are_given_in_the_name_or_on_their_own(arguments: tuple[str, ...], file: Path) -> None:
    assert lines("--candles", file, *arguments) == expected("macd(5,20,3)")


def test_a_parameter_may_be_a_word_and_a_name_may_have_a_hyphen(file: Path) -> None:
    found = lines("--candles", file, "--indicator", "VWAP", "--param", "session=1M".lower())
    assert found == expected("vwap(1m)")
    assert lines("--candles", file, "--indicator", "Volume-Profile") == expected("volume_profile")


def test_several_indicators_share_the_lines_under_their_full_names(file: Path) -> None:
    found = lines("--candles", file, "--indicator", "sma(50)", "--indicator", "bollinger")
    assert list(found[0]) == ["time", *(f"bollinger_20_2.{name}" for name in ("upper", "middle", "lower"))]
    assert found[30]["sma_50"] == expected("sma(50)")[0]["sma"]
    assert len(found) == len(expected("bollinger"))


TIMES: dict[str, Callable[[int], object]] = {
    "s": lambda micros: micros // 1_000_000,
    "ms": lambda micros: micros // 1_000,
    "ns": lambda micros: micros * 1_000,
    "iso": lambda micros: f"2024-01-01T00:{(micros - BEGAN) // MINUTE:02}:00Z",
    "iso, no zone": lambda micros: f"2024-01-01 00:{(micros - BEGAN) // MINUTE:02}",
    "iso, another zone": lambda micros: f"2024-01-01T05:{(micros - BEGAN) // MINUTE:02}:00+05:00",
}
HEADERS = (
    "Open Time,OPEN,High,low,Close,Vol",
    "timestamp,o,h,l,c,v",
    ",open,high,low,close,volume",
    "Unix,Open,High,Low,Close,Volume BTC",
    "Date,AAPL.Open,AAPL.High,AAPL.Low,AAPL.Close,AAPL.Volume",
)
FORMS: dict[str, bytes] = {
    **{f"time in {unit}": csv_of(time=time).encode() for unit, time in TIMES.items()},
    **{header: csv_of(header=header).encode() for header in HEADERS},
    "gzip": gzip.compress(csv_of().encode()),
    "newest first": csv_of(SERIES[::-1]).encode(),
    "semicolons": csv_of().replace(",", ";").encode(),
    "mark of the byte order, carriage returns": b"\xef\xbb\xbf" + csv_of().replace("\n", "\r\n").encode(),
    "blank lines": ("\n\n" + csv_of().replace("\n", "\n\n") + "\n\n").encode(),
    "other columns": "\n".join(f"{row},1e999,abc" for row in csv_of().splitlines()).encode(),
    "JSON lines": "\n".join(
        json.dumps({"symbol": "BTC/USDT", "time": bar.open_time // 1_000, **bar._asdict()}) for bar in SERIES
    ).encode(),
}


def test_a_volume_has_the_unit_of_its_first_column() -> None:
    text = b"date,close,Volume BTC,Volume USDT\n2024-01-01,1,5,7\n2024-01-02,2,6,8\n"
    assert [line["obv"] for line in lines("--candles", "-", "--indicator", "obv", stdin=text)] == [5.0, 11.0]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_file_means_the_same(form: str) -> None:
    assert lines("--candles", "-", "--indicator", "atr", stdin=FORMS[form]) == expected("atr")


def test_columns_that_an_indicator_does_not_look_at_may_be_missing_or_empty() -> None:
    closes = b"time,close,volume\n1,2.5,\n2,3.5,\n"
    assert [line["sma"] for line in lines("--candles", "-", "--indicator", "sma(2)", stdin=closes)] == [3.0]
    for name, missing in (("obv", "line 2: no volume"), ("atr", "line 2: no high")):
        answer = run("--candles", "-", "--indicator", name, stdin=closes)
        assert isinstance(answer.exception, KandleError)
        assert answer.exception.exit_code == 2
        assert missing in str(answer.exception)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "- is empty; expected a header, for example time,open"),
        ("1,2,3\n4,5,6\n", "header: no column for the time among 1, 2, 3"),
        ("time,close\n1,2\n2,x\n", "line 3: close is a number, got 'x'"),
        ("time,close\n1,2\n\n2,inf\n", "line 4: close is a number, got 'inf'"),
        ("time,close,volume\n1,2,-1\n", "line 2: volume is 0 or more, got '-1'"),
        ("time,close\nsoon,2\n", "line 2: time is a number or ISO 8601, got 'soon'"),
        ("time,close\n1e40,2\n", "line 2: time lies between the years 1 and 9999"),
        ("time,close\n1,2\n2,3,4\n", "line 3: expected 2 values as in the header, got 3"),
        ("time,close\n1,2\n2,2\n2,3\n", "line 4: time 1970-01-01T00:00:02Z is the same as that of line 3"),
        (
            "time,close\n1,2\n3,2\n2,3\n4,1\n",
            "line 4: time 1970-01-01T00:00:02Z is out of order with that of line 3",
        ),
        ('{"time":1,"close":2}\n[1,2]\n', "line 2: expected a JSON object"),
    ],
)
def test_a_bad_file_is_refused_with_the_line(text: str, said: str) -> None:
    answer = run("--candles", "-", "--indicator", "ema(1)", "--json", stdin=text.encode())
    assert isinstance(answer.exception, KandleError)
    assert answer.exception.exit_code == 2
    assert said in str(answer.exception)
    assert answer.stdout == ""


def test_a_damaged_archive_is_refused() -> None:
    answer = run("--candles", "-", "--indicator", "sma", stdin=FORMS["gzip"][:200])
    assert isinstance(answer.exception, KandleError)
    assert "cannot be read" in str(answer.exception)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--indicator", "smma"), "there is no indicator 'smma'"),
        (("--indicator", "sma", "--param", "period=0"), "period=0: Expected `int` >= 1"),
        (("--indicator", "sma", "--param", "length=3"), "takes period (20)"),
        (("--indicator", "vwap", "--param", "session=2d"), "needs a session of 1s"),
    ],
)
def test_a_wrong_indicator_is_refused(arguments: tuple[str, ...], said: str, file: Path) -> None:
    answer = run("--candles", file, *arguments)
    assert isinstance(answer.exception, ConfigurationError)
    assert said in str(answer.exception)


@pytest.mark.parametrize(
    "arguments", [(), ("--indicator", "sma"), ("--candles", "-"), ("--candles", "/none")]
)
def test_what_is_missing_of_the_arguments_is_said(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_too_few_candles_are_said(file: Path) -> None:
    answer = run("--candles", file, "--indicator", "sma(61)", "--json")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "60 candles are too few for sma(61)" in answer.stderr


def test_people_get_a_table(file: Path) -> None:
    answer = run("--candles", file, "--indicator", "adx")
    header, first, *_ = answer.stdout.splitlines()
    assert header.split() == ["time", "adx", "plus_di", "minus_di"]
    assert first.split()[:2] == ["2024-01-01T00:14:00Z", "-"]


def test_the_list_names_parameters_and_outputs() -> None:
    listed = {line["indicator"]: line for line in lines("--list")}
    assert listed.keys() == Indicator.known().keys()
    assert listed["macd"]["parameters"] == {"fast": 12, "slow": 26, "signal": 9}
    assert listed["macd"]["outputs"] == ["macd", "signal", "histogram"]
    assert all(line["meaning"] for line in listed.values())
    shown = run("--list").stdout.splitlines()
    assert len(shown) == 1 + len(listed)
    assert any("macd" in line and "fast=12, slow=26, signal=9" in line for line in shown)
