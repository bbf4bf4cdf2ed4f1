"""`kandle backtest --source`: files, captures and what is said of what they lack."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from pyarrow import parquet

from backtest.history import History, Trades
from backtest.sources.asked import Asked, Found, kinds_of
from backtest.strategies.sma_cross import SmaCross
from backtest.strategy import Strategy
from kandle.backtests.files import content_of, read_files
from kandle.backtests.holes import lines
from processors.intervals import INTERVALS
from schemas.errors import ConfigurationError, KandleError
from schemas.records import Gap
from tests.backtest_runs import BEGAN, MINUTE, bars_of, flat
from tests.made_capture import write_capture
from tests.unit.test_backtest_command import answer, run, write

EVERYTHING = Asked((), frozenset({"candles"}))
DAY = 1440 * MINUTE


def closes(count: int = 60) -> list[float]:
    return [100.0 + (number * 7) % 11 for number in range(count)]


def trades_csv(folder: Path, name: str = "trades.csv", *, symbols: bool = False) -> Path:
    """Two trades a minute; the second of the last one is given twice."""
    rows = ["time,price,size,side,id" + (",symbol,venue" if symbols else "")]
    for number, close in enumerate(closes()):
        symbol = ("BTC/USDT", "ETH/USDT")[number % 2]
        for second, price in enumerate((close, close + 1)):
            at = (BEGAN + number * MINUTE) // 1_000 + second * 20_000
            row = f"{at},{price},0.5,{('buy', 'sell')[second]},{number * 2 + second}"
            rows.append(row + (f",{symbol},binance" if symbols else ""))
    file = folder / name
    file.write_text("\n".join([*rows, rows[-1]]))
    return file


def as_parquet(csv_file: Path, times: pa.DataType) -> Path:
    header, *rows = [line.split(",") for line in csv_file.read_text().splitlines()]
    columns = {}
    for name, values in zip(header, zip(*rows, strict=True), strict=True):
        if name in ("time", "id"):
            columns[name] = pa.array([int(value) for value in values])
        elif name == "side":
            columns[name] = pa.array(values)
        else:
            columns[name] = pa.array([float(value) for value in values])
    if times != pa.int64():
        unit = pa.timestamp("us") if csv_file.name == "made.csv" else pa.timestamp("ms")
        columns["time"] = columns["time"].view(unit).cast(times)
    file = csv_file.with_suffix(".parquet")
    parquet.write_table(pa.table(columns), file)
    return file


@pytest.mark.parametrize("times", [pa.timestamp("ns"), pa.timestamp("us", "UTC"), pa.int64()])
def test_candles_of_parquet_are_those_of_csv(tmp_path: Path, times: pa.DataType) -> None:
    file = write(tmp_path, *closes())
    found = answer("sma_cross(2,5)", "--source", as_parquet(file, times))
    assert found == answer("sma_cross(2,5)", "--source", file) == answer("sma_cross(2,5)", "--candles", file)


def test_days_of_parquet_are_times(tmp_path: Path) -> None:
    file = tmp_path / "days.parquet"
    columns = {"date": pa.array([19723, 19724, 19725], pa.date32())}
    for name in ("open", "high", "low", "close"):
        columns[name] = pa.array([1.0, 1.0, 1.0])
    parquet.write_table(pa.table(columns), file)
    (bars,) = read_files([file], EVERYTHING).history.bars
    assert (list(bars.open_times), bars.length) == ([BEGAN, BEGAN + DAY, BEGAN + 2 * DAY], DAY)


@pytest.mark.parametrize("times", [pa.timestamp("ms"), pa.int64()])
def test_trades_of_parquet_and_json_lines_are_those_of_csv(
    tmp_path: Path, times: pa.DataType, capsys: pytest.CaptureFixture[str]
) -> None:
    file = trades_csv(tmp_path)
    header, *rows = [line.split(",") for line in file.read_text().splitlines()]
    lined = tmp_path / "trades.jsonl.gz"
    lined.write_bytes(
        gzip.compress("\n".join(json.dumps(dict(zip(header, row, strict=True))) for row in rows).encode())
    )
    expected = read_files([file], EVERYTHING).history.trades[0]
    assert "1 with the same values" in capsys.readouterr().err
    assert (len(expected), expected.market) == (120, "file:trades")
    assert expected.sides.tolist() == [1, -1] * 60
    for other in (as_parquet(file, times), lined):
        (found,) = read_files([other], EVERYTHING).history.trades
        for name in ("times", "prices", "sizes", "sides"):
            assert (getattr(found, name) == getattr(expected, name)).all()


def test_of_trades_alone_the_run_makes_the_candles(tmp_path: Path) -> None:
    found = answer("sma_cross(2,5)", "--source", trades_csv(tmp_path), "--interval", "3m")
    assert (found["interval_s"], found["candles"]) == (180, 20)


def test_several_files_are_several_markets_under_the_names_that_are_given(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    files = [write(tmp_path / "one", *closes()), write(tmp_path / "two", *closes(40))]
    given = ("sma_cross(2,5)", "--source", files[0], "--source", files[1])
    named = answer(*given, "--symbols", "binance:BTC/USDT,binance:ETH/USDT")
    assert named["markets"] == ["binance:BTC/USDT", "binance:ETH/USDT"]
    assert named["candles"] == 100
    for symbols, message in (
        ("", "two files are of one market"),
        ("binance:BTC/USDT", "2 files and 1 symbols"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            raise run(*given, "--symbols", symbols).exception or AssertionError


def test_a_file_of_trades_may_name_its_markets(tmp_path: Path) -> None:
    found = read_files([trades_csv(tmp_path, symbols=True)], EVERYTHING).history
    assert [(each.market, len(each)) for each in found.trades] == [
        ("binance:BTC/USDT", 60),
        ("binance:ETH/USDT", 60),
    ]


def test_a_span_of_time_is_cut_out(tmp_path: Path) -> None:
    file = write(tmp_path, *closes())
    cut = ("--from", "2024-01-01T00:10:00Z", "--to", str((BEGAN + 40 * MINUTE) // 1_000_000))
    found = answer("sma_cross(2,5)", "--source", file, *cut)
    assert (found["candles"], found["start"]) == (30, "2024-01-01T00:10:00Z")


def test_a_capture_is_read_by_its_trades_and_by_what_the_strategy_hears_of(tmp_path: Path) -> None:
    path = write_capture(tmp_path / "made.capture.gz", seconds=120, symbols=("BTCUSDT", "ETHUSDT"))
    assert content_of(path) == "capture"
    found = answer("sma_cross(2,5)", "--source", path, "--interval", "1s", "--lot", "0.001")
    assert found["markets"] == ["binance:BTC/USDT", "binance:ETH/USDT"]
    one = answer(
        *("sma_cross(2,5)", "--source", path, "--interval", "1s", "--symbols", "binance:ETH/USDT"),
        "--lot=0.001",
    )
    assert one["markets"] == ["binance:ETH/USDT"]
    history = read_files([path], Asked((), frozenset({"quotes"}))).history
    assert [len(each) > 50 for each in history.quotes] == [True, True]
    assert history.trades == []


class _HearsTrades(SmaCross):
    """For its methods."""

    def on_trade(self, trade: object) -> None:
        """Hear of it."""


class _HearsQuotes(Strategy):
    """For its methods."""

    def on_quote(self, quote: object) -> None:
        """Hear of it."""


class _HearsQuotesAndSignals(_HearsQuotes):
    """For its methods."""

    def on_signal(self, signal: object) -> None:
        """Hear of it."""


def test_what_is_read_follows_from_what_is_overridden_and_from_the_fills() -> None:
    market = ["binance:BTC/USDT"]
    assert kinds_of(SmaCross(), market) == {"candles"}
    assert kinds_of(SmaCross(), [*market, "binance:BTC/USDT:USDT"]) == {"candles", "funding"}
    assert kinds_of(_HearsTrades(), market) == {"trades"}
    assert kinds_of(_HearsQuotes(), market) == {"quotes"}
    assert kinds_of(_HearsQuotesAndSignals(), market) == {"quotes", "candles"}
    assert kinds_of(SmaCross(), market, "trade") == {"trades"}
    assert kinds_of(SmaCross(), market, "quote") == {"candles", "quotes"}
    assert kinds_of(SmaCross(), market, "book") == {"books", "trades"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "say which: STRATEGY --candles FILE, or STRATEGY --source SOURCE"),
        (("--source", "topics"), "say which markets of topics"),
        (("--source", "topics:x", "--symbols", "a:B/C"), "topics takes no path"),
        (("--source", "topics", "--source", "archive"), "is read alone"),
        (("--source", "nowhere.csv"), "there is no file nowhere.csv"),
        (("--source", "history", "--symbols", "BTC/USDT"), "--symbols takes venue:BASE/QUOTE"),
        (("--source", "history", "--symbols", "a:B/C", "--read", "bars"), "--read takes candles, trades"),
        (
            ("--source", "history", "--symbols", "a:B/C", "--from", "2024-01-02", "--to", "2024-01-01"),
            "no time",
        ),
        (("--source", "history", "--symbols", "a:B/C", "--data", "."), "kandle history download a B/C"),
        (("--source", "history", "--symbols", "a:B/C", "--data", ".", "--read", "quotes"), "no past quotes"),
    ],
)
def test_a_source_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("sma_cross", *arguments)
    said = done.stderr + str(done.exception)
    assert message in said
    assert done.exit_code == 2 or (isinstance(done.exception, KandleError) and done.exception.exit_code == 2)


def test_holes_are_told_of_each_market() -> None:
    bars = [bars_of(flat(*[100.0] * 10), market) for market in ("v:A/B", "v:C/D")]
    short = bars_of(flat(*[100.0] * 3), "v:E/F", began=BEGAN + 30 * MINUTE)
    days = Trades("v:T/U", *(pa.array([BEGAN, BEGAN + 4 * DAY]).to_numpy(),) * 4)
    gaps = [
        Gap("v", "T/U", "s", "given_up", first, last, BEGAN, BEGAN + 1, "away")
        for first, last in ((5, 9), (20, 20))
    ]
    asked = Asked(
        ("v:A/B", "v:C/D", "v:E/F", "v:T/U"),
        frozenset(),
        INTERVALS["1m"],
        BEGAN - 5 * MINUTE,
        BEGAN + 5 * DAY,
    )
    told = list(lines(Found(History([*bars, short], [days]), gaps), asked))
    assert told[0].startswith(
        "v:T/U has 2 gaps in its trades, 6 trades; the first of all begins at 2024-01-01"
    )
    assert told[1] == "v:A/B has no candles from 2023-12-31 23:55:00 to 2024-01-01 00:00:00"
    assert "v:A/B has no candles from 2024-01-01 00:10:00 to 2024-01-06 00:00:00" in told
    assert told[-1] == "and 3 more spans without rows"
    asked = Asked(("v:T/U",), frozenset(), since=BEGAN - 60 * MINUTE, until=BEGAN + 4 * DAY + 59 * MINUTE)
    assert list(lines(Found(History(trades=[days])), asked)) == [
        "v:T/U has no trades from 2023-12-31 23:00:00 to 2024-01-01 00:00:00",
        "v:T/U has no trades from 2024-01-02 00:00:00 to 2024-01-05 00:00:00",
    ]
