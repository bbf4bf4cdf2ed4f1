"""Captures: what is written is read, what is damaged is told with its line."""

import base64
import gzip
from pathlib import Path

import pytest

from producers.capture import CaptureError, CaptureReader, CaptureWriter, summarize

TRADE = '{"e":"trade","E":2,"s":"BTCUSDT","t":%d,"p":"1.5","q":"2.0","T":%d,"m":true,"M":true}'
AGGREGATED = '{"e":"aggTrade","E":2,"s":"%s","a":%d,"p":"1.5","q":"2.0","f":1,"l":1,"T":%d,"m":true,"M":true}'
HEADER = {"venue": "binance", "market": "spot"}
T0_MS = 1_700_000_000_000


def write(path: Path, *frames: str, header: dict[str, str] | None = None) -> Path:
    with CaptureWriter(path, header or HEADER) as capture:
        for number, frame in enumerate(frames):
            capture.write(T0_MS * 1_000_000 + number, frame)
    return path


def text(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content))
    return path


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.capture.gz"
    with CaptureWriter(path, HEADER | {"licence": "with spaces"}) as capture:
        capture.write(1, '{"text":"ü"}')
        capture.write(2, b"\x00\xff")
        capture.write_rest(3, "GET", "https://x/api/v3/depth?symbol=BTCUSDT", b'{ "bids": [] }')
    reader = CaptureReader(path)
    assert reader.header == HEADER | {"licence": "with_spaces"}
    text_entry, binary, rest = list(reader)
    assert (text_entry.receive_ns, text_entry.frame.decode(), text_entry.line) == (1, '{"text":"ü"}', 2)
    assert (binary.frame, binary.binary) == (b"\x00\xff", True)
    assert rest.rest is not None
    assert (rest.rest.url, bytes(rest.rest.body)) == (
        "https://x/api/v3/depth?symbol=BTCUSDT",
        b'{"bids":[]}',
    )
    assert text_entry.rest is None
    assert list(reader) == [text_entry, binary, rest], "a reader can be read again"


def test_a_frame_with_a_line_break_is_not_written(tmp_path: Path) -> None:
    with CaptureWriter(tmp_path / "a", HEADER) as capture, pytest.raises(CaptureError, match="line break"):
        capture.write(1, "a\nb")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"no capture .*nowhere"):
        CaptureReader(tmp_path / "nowhere")
    with pytest.raises(CaptureError, match="cannot be read"):
        CaptureReader(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"plain text\n", "line 1: expected a comment"),
        (b"\x1f\x8bnot gzip", "not a capture"),
        (gzip.compress(b"", mtime=0), "empty"),
        (gzip.compress(b"1 {}\n", mtime=0), "line 1: expected a comment"),
        (gzip.compress(b"# market=spot\n", mtime=0), "names no venue"),
        (gzip.compress(b"# venue=binance\n", mtime=0)[:-12], "cut off"),
    ],
)
def test_a_file_that_is_no_capture_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.capture.gz"
    path.write_bytes(content)
    with pytest.raises(CaptureError, match=message):
        CaptureReader(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"no stamp here", "expected '<ns> <frame>'"),
        (b"123", "expected '<ns> <frame>'"),
        (b"123 base64:@@", "not base64"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = text(tmp_path / "a", b"# venue=binance\n1 {}\n" + line + b"\n")
    with pytest.raises(CaptureError, match=f"line 3: .*{message}"):
        list(CaptureReader(path))


def test_a_rest_answer_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = text(tmp_path / "a", b'# venue=binance\n1 {"rest":{"method":"GET"\n')
    with pytest.raises(CaptureError, match="line 2"):
        summarize(path)


def test_a_capture_that_is_cut_says_where(tmp_path: Path) -> None:
    lines = b"".join(b"%d %s\n" % (n, base64.b16encode(n.to_bytes(40, "big"))) for n in range(5_000))
    path = tmp_path / "a"
    path.write_bytes(gzip.compress(b"# venue=binance\n" + lines)[:-4_000])
    with pytest.raises(CaptureError, match=r"line \d{3,}: the file is cut off"):
        list(CaptureReader(path))


def test_damaged_bytes_in_the_middle_are_told(tmp_path: Path) -> None:
    path = text(tmp_path / "a", b"# venue=binance\n" + b"1 {}\n" * 20_000)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(CaptureError, match="line"):
        list(CaptureReader(path))


@pytest.mark.parametrize(("venue", "market"), [("atlantis", "spot"), ("binance", "moon")])
def test_a_venue_that_is_not_supported_is_named(tmp_path: Path, venue: str, market: str) -> None:
    path = write(tmp_path / "a", "{}", header={"venue": venue, "market": market})
    with pytest.raises(CaptureError, match=f"{venue}.* not supported.*binance spot"):
        summarize(path)


@pytest.mark.parametrize(
    ("venue", "market", "found"),
    [
        ("binance-usdm", "usdm", ("binance", "usdm")),
        ("Binance", "futures", ("binance", "usdm")),
        ("binance_us", "spot", ("binanceus", "spot")),
    ],
)
def test_a_header_may_write_a_venue_in_several_ways(
    tmp_path: Path, venue: str, market: str, found: tuple[str, str]
) -> None:
    exchange = CaptureReader(write(tmp_path / "a", header={"venue": venue, "market": market})).exchange()
    assert (exchange.venue, exchange.market) == found


def test_a_capture_without_market_data_is_told(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="no market data of binance spot"):
        summarize(write(tmp_path / "a", '{"result":null,"id":1}'))


def test_a_summary_takes_single_trades_where_there_are_any(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a",
        AGGREGATED % ("BTCUSDT", 900, T0_MS + 5),
        TRADE % (7, T0_MS + 20),
        TRADE % (8, T0_MS + 10),
        AGGREGATED % ("ETHUSDT", 5, T0_MS + 30),
        TRADE.replace("1.5", "-1") % (9, T0_MS + 99),
    )
    summary = summarize(path)
    bitcoin, ether = summary.symbols["BTC/USDT"], summary.symbols["ETH/USDT"]
    assert (bitcoin.trades, bitcoin.first_id, bitcoin.last_id, bitcoin.aggregated) == (2, 7, 8, False)
    assert (bitcoin.first_time, bitcoin.last_time) == ((T0_MS + 10) * 1000, (T0_MS + 20) * 1000)
    assert bitcoin.streams == {"aggregated_trades": 1, "trades": 3}
    assert (ether.trades, ether.first_id, ether.aggregated) == (1, 5, True)
    assert summary.aggregated_symbols == ["ETH/USDT"]
    assert (summary.first_time, summary.last_time) == ((T0_MS + 10) * 1000, (T0_MS + 30) * 1000)
    assert summary.rejected == 1


def test_unified_names_come_from_a_recorded_instrument_list(tmp_path: Path) -> None:
    path = tmp_path / "a"
    listed = b'{"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTCU","quoteAsset":"SDT"}]}'
    with CaptureWriter(path, HEADER) as capture:
        capture.write(1, TRADE % (7, T0_MS))
        capture.write_rest(2, "GET", "https://api.binance.com/api/v3/exchangeInfo", listed)
    assert list(summarize(path).symbols) == ["BTCU/SDT"]


def test_a_symbol_whose_name_cannot_be_told_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a", TRADE % (7, T0_MS), TRADE.replace("BTCUSDT", "WHAT") % (8, T0_MS))
    summary = summarize(path)
    assert (list(summary.symbols), summary.unknown) == (["BTC/USDT"], ("WHAT",))
    path = write(tmp_path / "b", TRADE.replace("BTCUSDT", "WHAT") % (8, T0_MS))
    with pytest.raises(CaptureError, match="the names of WHAT cannot be told"):
        summarize(path)


def test_a_plain_file_is_read_and_a_venue_can_be_given(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1 {}\n2 base64:AP8=\n")
    with pytest.raises(CaptureError, match="expected a comment"):
        CaptureReader(path)
    reader = CaptureReader(path, venue="binance", market="usdm")
    assert (reader.venue, reader.market) == ("binance", "usdm")
    assert [entry.frame for entry in reader] == [b"{}", b"\x00\xff"]


def test_bad_lines_can_be_passed_over(tmp_path: Path) -> None:
    path = text(tmp_path / "a", b"# venue=binance\n1 {}\nwhat\n%d {}\n2 {}\n" % 10**19)
    refused: list[str] = []
    entries = list(CaptureReader(path).entries(lambda error: refused.append(str(error))))
    assert [entry.line for entry in entries] == [2, 5]
    assert [message.partition(": expected")[0].rpartition(" ")[2] for message in refused] == ["3", "4"]


def test_the_recorded_captures_are_summed_up(captures: Path) -> None:
    summary = summarize(captures / "binance-spot-btcusdt.capture.gz")
    bitcoin = summary.symbols["BTC/USDT"]
    assert (bitcoin.trades, bitcoin.first_id, bitcoin.last_id) == (19_904, 3735683259, 3735703162)
    assert bitcoin.streams == {"trades": 19_904, "quotes": 73_174, "books": 6_495}
    thin = summarize(captures / "binance-spot-2021.capture.gz")
    assert thin.aggregated_symbols == ["NKN/USDT", "LRC/BTC"]
    assert sum(symbol.trades for symbol in thin.symbols.values()) == 2
