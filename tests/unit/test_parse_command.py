"""`kandle parse` as a user runs it: lines, the check, what it says of a bad file."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kandle.commands.parse import parse
from producers.capture import CaptureWriter
from schemas.errors import KandleError
from tests.made_capture import write_capture


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_capture(tmp_path_factory.mktemp("made") / "a.capture.gz", seconds=20)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(parse, [str(argument) for argument in arguments])


def test_records_are_printed_as_json_lines(capture: Path) -> None:
    answer = run(capture)
    assert (answer.exit_code, answer.stderr) == (0, "")
    lines = [json.loads(line) for line in answer.stdout.splitlines()]
    trades = [line for line in lines if line["type"] == "trade"]
    quotes = [line for line in lines if line["type"] == "quote"]
    assert len(lines) == len(trades) + len(quotes) > 100
    assert set(trades[0]) == {
        *("type", "venue", "symbol", "event_time", "receive_time"),
        *("trade_id", "sequence", "price", "size", "side"),
    }
    assert set(quotes[0]) == {
        *("type", "venue", "symbol", "receive_time", "sequence"),
        *("bid", "bid_size", "ask", "ask_size"),
    }
    assert trades[0]["receive_time"] > trades[0]["event_time"] > 1_600_000_000_000_000
    assert {line["symbol"] for line in lines} == {"BTC/USDT", "ETH/USDT", "SOL/USDT"}


def test_a_channel_can_be_chosen_in_any_form(capture: Path) -> None:
    for name in ("trades", "Trade", "trade,books"):
        answer = run(capture, "--channel", name)
        assert {json.loads(line)["type"] for line in answer.stdout.splitlines()} == {"trade"}
    answer = run(capture, "--channel", "gossip")
    assert answer.exit_code == 2
    assert "'gossip' is no channel; there are trades," in answer.stderr


def test_the_check_is_one_object(capture: Path) -> None:
    lines = len(run(capture).stdout.splitlines())
    answer = run(capture, "--check")
    found = json.loads(answer.stdout)
    assert (answer.exit_code, found["venue"], found["market"]) == (0, "binance", "spot")
    assert set(found["counts"]) == {"trade", "quote", "book", "ticker", "candle", "derivative", "liquidation"}
    assert sum(found["counts"].values()) == lines
    assert [found[name] for name in ("gaps", "resyncs", "rejected", "book_checks", "book_mismatches")] == [
        0
    ] * 5
    assert sum(found["frames"].values()) == lines


@pytest.mark.parametrize("venue", ["binance-usdm", "binance usdm", "Binance-Futures"])
def test_a_venue_can_be_given_instead_of_the_headers(capture: Path, venue: str) -> None:
    answer = run(capture, "--venue", venue, "--channel", "trades")
    assert json.loads(answer.stdout.splitlines()[0])["symbol"].endswith("/USDT:USDT")


def test_the_same_venue_keeps_the_market_of_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with CaptureWriter(path, {"venue": "binance", "market": "usdm"}):
        pass
    for venue, market in (("BINANCE", "usdm"), ("binance spot", "spot"), ("gateio", "spot")):
        assert json.loads(run(path, "--check", "--venue", venue).stdout)["market"] == market


def test_a_plain_file_without_a_header_needs_a_venue(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text('1 {"u":400900217,"s":"BNBUSDT","b":"25.35","B":"31.21","a":"25.36","A":"40.66"}\n')
    with pytest.raises(KandleError, match="line 1: expected a comment"):
        CliRunner().invoke(parse, [str(path)], catch_exceptions=False)
    assert json.loads(run(path, "--venue", "binance").stdout)["bid"] == 25.35


def test_what_is_wrong_is_told_on_the_side(tmp_path: Path) -> None:
    path = tmp_path / "a"
    depth = '{"e":"depthUpdate","E":1700000000000,"s":"%s","U":1,"u":1,"b":[],"a":[]}'
    with CaptureWriter(path, {"venue": "binance"}) as capture:
        for frame in ("{", depth % "WHAT", depth % "BTCUSDT"):
            capture.write(1, frame)
    answer = run(path)
    assert (answer.exit_code, answer.stdout) == (0, "")
    assert "WHAT is left out (1 frames)" in answer.stderr
    assert "rejected: 1 for json, 1 for symbol" in answer.stderr
    assert "1 book updates, but no snapshot" in answer.stderr


def test_a_cut_file_gives_what_it_holds_and_an_error(capture: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut"
    path.write_bytes(capture.read_bytes()[:-3_000])
    answer = run(path, "--check")
    assert answer.exit_code != 0
    assert "the file is cut off" in str(answer.exception)
    assert json.loads(answer.stdout)["counts"]["trade"] > 10
    with pytest.raises(KandleError, match="there is no capture"):
        CliRunner().invoke(parse, [str(tmp_path / "nothing")], catch_exceptions=False)


def test_an_unknown_venue_is_told_with_those_there_are(capture: Path) -> None:
    with pytest.raises(KandleError, match=r"atlantis is not supported.*binance spot"):
        CliRunner().invoke(parse, [str(capture), "--venue", "atlantis"], catch_exceptions=False)
    with pytest.raises(KandleError, match="needs a name"):
        CliRunner().invoke(parse, [str(capture), "--venue", " "], catch_exceptions=False)
