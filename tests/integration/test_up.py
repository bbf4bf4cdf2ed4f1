"""`kandle up` as a user runs it: a capture becomes tables, whatever the speed and whoever is killed."""

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import TRADES
from tests.expected_candles import expected_candles, wire_trades
from tests.kandle_command import (
    WarmKandle,
    endpoints,
    kandle,
    kill,
    processes_of,
    rows,
    start,
    summary_of,
    wait_until,
)
from tests.made_capture import write_capture
from tests.stored_trades import StoredTrades

TABLES = {
    "trades": "SELECT time, venue, symbol, trade_id, price, size, side FROM trades ORDER BY 3, 1, 4",
    "candles": "SELECT * FROM candles ORDER BY venue, symbol, interval, time",
    "indicators": "SELECT * FROM indicators ORDER BY venue, symbol, interval, time, name",
    "signals": "SELECT * FROM signals ORDER BY venue, symbol, interval, time, rule",
}
LAST = 150
"""Records of more than a second of the simulated market: some of them are marks."""
pytestmark = pytest.mark.timeout(400)


def tables(data: Path, cwd: Path) -> dict[str, list[dict[str, str]]]:
    """Everything that must be the same in every run."""
    return {name: rows(query, data, cwd) for name, query in TABLES.items()}


def play(capture: Path, data: Path, cwd: Path, speed: str = "max") -> dict[str, Any]:
    """Feed a capture to its end and return the summary."""
    answer = kandle(
        "up", "--feed", str(capture), "--speed", speed, "--once", "--json", "--data", str(data), cwd=cwd
    )
    assert answer.returncode == 0, answer.stderr
    return summary_of(answer.stdout)


def check_against_file(capture: Path, found: dict[str, list[dict[str, str]]]) -> None:
    """Trades exact; candles equal to a recomputation from the file's messages."""
    trades = wire_trades(capture)
    assert [
        (row["symbol"], row["trade_id"], row["price"], row["size"], row["side"]) for row in found["trades"]
    ] == [
        (t.symbol, str(t.number), repr_of(t.price), repr_of(t.size), "sell" if t.buyer_is_maker else "buy")
        for t in sorted(trades, key=lambda t: (t.symbol, t.time_ms, str(t.number)))
    ]
    for interval in ("1s", "1m"):
        expected = expected_candles(trades, interval)
        stored = {
            (row["symbol"], epoch_ms(row["time"])): row
            for row in found["candles"]
            if row["interval"] == interval
        }
        assert stored.keys() == expected.keys()
        for key, candle in expected.items():
            row = stored[key]
            for name in ("open", "high", "low", "close"):
                assert float(row[name]) == candle[name], (key, name)
            assert int(row["trade_count"]) == candle["trade_count"], key
            assert (row["complete"] == "t") == candle["complete"], key
            assert row["revision"] == "0", key
            for name in ("volume", "quote_volume"):
                assert float(row[name]) == pytest.approx(candle[name], rel=1e-12), (key, name)


def repr_of(number: float) -> str:
    """A double as PostgreSQL prints it: the shortest text that gives it back, without a trailing .0."""
    return repr(number).removesuffix(".0")


def epoch_ms(text: str) -> int:
    """Milliseconds of a timestamp as PostgreSQL prints it."""
    import datetime

    return round(datetime.datetime.fromisoformat(text.replace("+00", "+00:00")).timestamp() * 1000)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture made here."""
    return write_capture(tmp_path_factory.mktemp("capture") / "made.capture.gz")


@pytest.fixture(scope="module")
def undisturbed(
    capture: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, list[dict[str, str]]], Path]:
    """Summary, tables and data of a run at full speed that nobody disturbed."""
    cwd = tmp_path_factory.mktemp("undisturbed")
    summary = play(capture, cwd / "data", cwd)
    return summary, tables(cwd / "data", cwd), cwd


def test_a_capture_becomes_exact_tables(
    capture: Path, undisturbed: tuple[dict[str, Any], dict[str, list[dict[str, str]]], Path]
) -> None:
    summary, found, _ = undisturbed
    check_against_file(capture, found)
    assert summary["trades_received"] == summary["trades_published"] == len(found["trades"])
    for name in TABLES:
        assert summary[f"{name}_stored"] == len(found[name]), name
        assert found[name], name
    assert summary["dead_letters"] == 0
    assert 0 < summary["first_candle_s"] <= summary["duration_s"]
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p99"]


def test_nothing_is_left_running_and_nothing_is_in_the_logs_but_information(
    undisturbed: tuple[dict[str, Any], dict[str, list[dict[str, str]]], Path],
) -> None:
    _, _, cwd = undisturbed
    assert processes_of(cwd / "data") == []
    assert list((cwd / "data" / "prometheus").iterdir()) == [], "Prometheus finds nothing any more"
    for stage in ("simulate", "produce", "process", "sink"):
        for text in (cwd / "data" / "log" / f"{stage}.log").read_text().splitlines():
            assert json.loads(text)["log.level"] == "info", (stage, text)


def test_topics_tables_and_recomputed_candles_are_equal(
    undisturbed: tuple[dict[str, Any], dict[str, list[dict[str, str]]], Path],
) -> None:
    _, found, cwd = undisturbed
    answer = kandle("verify", "--json", "--data", str(cwd / "data"), cwd=cwd)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    said = {(check["name"], check["against"]): check for check in json.loads(answer.stdout)["checks"]}
    for name in TABLES:
        assert said[name, "topic and table"]["found"] == len(found[name]), name
    assert said["candles", "trades and topic"]["expected"] == len(found["candles"])


@pytest.mark.full
def test_the_same_feed_again_stores_nothing_new_and_says_so(
    capture: Path, undisturbed: tuple[dict[str, Any], dict[str, list[dict[str, str]]], Path]
) -> None:
    _, found, cwd = undisturbed
    again = kandle(
        "up",
        "--feed",
        str(capture),
        "--speed",
        "max",
        "--once",
        "--json",
        "--data",
        str(cwd / "data"),
        cwd=cwd,
    )
    assert again.returncode == 0, again.stderr
    assert "nothing new" in again.stderr
    summary = summary_of(again.stdout)
    for name in TABLES:
        assert summary[f"{name}_stored"] == 0, name
    assert summary["trades_received"] == len(found["trades"]), "repeats are received as well"
    assert summary["trades_published"] == 0
    assert tables(cwd / "data", cwd) == found


def test_a_feed_older_than_the_data_is_refused_with_the_remedy(
    undisturbed: tuple[dict[str, Any], dict[str, list[dict[str, str]]], Path], tmp_path: Path
) -> None:
    _, _, cwd = undisturbed
    other = write_capture(tmp_path / "other.capture.gz", seed=8, seconds=20, symbols=("ADAUSDT",))
    answer = kandle("up", "--feed", str(other), "--once", "--data", str(cwd / "data"), cwd=cwd)
    assert answer.returncode == 1
    assert "too late" in answer.stderr
    assert "--data" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_topics_are_decoded_by_tail(
    undisturbed: tuple[dict[str, Any], dict[str, list[dict[str, str]]], Path],
) -> None:
    _, found, cwd = undisturbed
    data = str(cwd / "data")
    answer = kandle("tail", "market.candles.v1", "--from", "beginning", "--json", "--data", data, cwd=cwd)
    assert answer.returncode == 0, answer.stderr
    ids = {json.loads(line)["ce_id"] for line in answer.stdout.splitlines()}
    assert len(ids) == len(found["candles"])


def test_worker_and_sink_killed_in_the_middle_leave_the_same_tables(
    capture: Path,
    undisturbed: tuple[dict[str, Any], dict[str, list[dict[str, str]]], Path],
    tmp_path: Path,
) -> None:
    _, expected, _ = undisturbed
    data = tmp_path / "data"
    arguments = ["up", "--feed", str(capture), "--speed", "20", "--once", "--json", "--data", str(data)]
    running = start(*arguments, cwd=tmp_path)
    try:
        total = len(expected["trades"])
        stored = StoredTrades(data)
        for share, stage in ((0.35, "process"), (0.55, "sink")):
            wait_until(lambda share=share: stored.count() >= share * total)  # type: ignore[misc]
            kill([endpoints(data)["stages"][stage]["pid"]])
        output, errors = running.communicate(timeout=120)
    finally:
        running.kill()
    assert running.returncode == 0, errors
    stages = endpoints(data)["stages"]
    assert stages["process"]["restarts"] == 1
    assert stages["sink"]["restarts"] == 1
    assert tables(data, tmp_path) == expected
    summary = summary_of(output)
    assert summary["trades_stored"] == total
    assert errors.count("ended with signal SIGKILL; it is started again in ") == 2
    assert summary["processes"].keys() == {"kafka", "postgres", "simulate", "produce", "process", "sink"}
    assert summary["processes"]["kafka"]["memory_peak_bytes"] > 50e6
    assert summary["disk_bytes"] > 1e6


@pytest.mark.full
def test_a_signal_stops_everything_in_order(tmp_path: Path) -> None:
    data = tmp_path / "data"
    running = start("up", "--feed", "simulated", "--data", str(data), cwd=tmp_path)
    try:
        stored = StoredTrades(data)
        wait_until(lambda: stored.count() > LAST)
        # Beside a pipeline that runs, topics are read from its broker.
        tail = kandle(
            *("tail", TRADES.name, "-n", str(LAST), "--all", "--json", "--data", str(data)), cwd=tmp_path
        )
        kill([endpoints(data)["stages"]["sink"]["pid"]])
        asked = ("events", "--type", "stage.restarted", "--data", str(data))
        wait_until(lambda: "sink ended with signal SIGKILL" in kandle(*asked, cwd=tmp_path).stdout)
        page = endpoints(data)["stages"]["serve"]["url"]
        with urllib.request.urlopen(f"{page}/api/v1/instruments", timeout=30) as answer:
            instruments = json.load(answer)["data"]
        os.kill(running.pid, signal.SIGINT)
        output, errors = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 0, errors
    assert "Traceback" not in errors
    assert "stored" in output
    assert f"page and API: {page}" in errors
    assert instruments
    assert processes_of(data) == []
    assert tail.returncode == 0, tail.stderr
    assert len(tail.stdout.splitlines()) == LAST
    assert any(json.loads(line)["type"] == "time_mark" for line in tail.stdout.splitlines())


@pytest.fixture(scope="module")
def warm() -> Iterator[WarmKandle]:
    with WarmKandle() as found:
        yield found


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["up", "--feed", "absent.capture.gz"], "absent.capture.gz"),
        (["up", "--feed", "broken.capture.gz"], "broken.capture.gz"),
        (["up", "--feed", "simulated", "--once"], "--once needs a feed that ends"),
        (["up", "--feed", "simulated", "--venue", "nowhere"], "nowhere"),
        (["up", "--feed", "simulated", "--speed", "fast"], "neither a number above 0 nor max"),
        (["up", "--feed", "simulated", "--speed", "0"], "neither a number above 0 nor max"),
        (["up", "--feed", "live", "--speed", "2"], "--speed"),
        (["up", "--feed", "simulated", "--symbols", "btcusdt"], "BASE/QUOTE"),
        (["up", "--feed", "made.capture.gz", "--venue", "kraken"], "recorded at binance"),
        (["up", "--feed", "simulated", "--data", "/proc/none"], "--data"),
        (["sql", " ; "], "no query"),
        (["sql", "SELECT 1", "--data", "empty"], "kandle up"),
        (["tail", "market.trades.v1", "--data", "empty"], "kandle up"),
        (["process"], "KAFKA_BOOTSTRAP_SERVERS"),
        (["sink"], "KAFKA_BOOTSTRAP_SERVERS"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_foreseeable_mistake_is_one_message_and_an_exit_code(
    arguments: list[str], words: str, warm: WarmKandle, tmp_path: Path
) -> None:
    (tmp_path / "broken.capture.gz").write_bytes(b"this is no gzip")
    write_capture(tmp_path / "made.capture.gz", seconds=2)
    answer = warm.run(*arguments, cwd=tmp_path)
    assert answer.returncode in (1, 2)
    assert words in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.full
def test_an_alert_can_be_set_before_the_first_run(tmp_path: Path) -> None:
    capture = tmp_path / "made.capture.gz"
    write_capture(capture, seconds=3)
    trades = wire_trades(capture)
    first = min(trades, key=lambda trade: (trade.time_ms, trade.number))
    said = kandle(
        *("alerts", "add", first.symbol, "--above", repr(first.price), "--id", "first"),
        *("--at", "2001-01-01", "--data", "fresh"),
        cwd=tmp_path,
    )
    assert said.returncode == 0, said.stderr
    play(capture, tmp_path / "fresh", tmp_path)
    found = rows("SELECT rule, candle_id FROM signals WHERE interval = 'trade'", tmp_path / "fresh", tmp_path)
    assert [row["rule"] for row in found] == ["price_alert_first"]
