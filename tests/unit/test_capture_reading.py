"""A capture as records: counts, what is missing, what is refused, and books held against quotes."""

import base64
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.order_book import OrderBook
from producers.capture import CaptureError, CaptureReader, CaptureWriter
from producers.capture.lines import as_fields
from producers.capture.reading import CaptureReading, Tally
from producers.capture.tallies import BookCheck, TradeIds
from producers.exchange import CHANNELS, Channel, MarketRecord
from schemas.records import Quote
from tests.book_updates import delta, snapshot

T0_MS = 1_700_000_000_000
HEADER = {"venue": "binance", "market": "spot"}
BOOK_URL = "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000"


def trade(number: int, symbol: str = "BTCUSDT", event: str = "trade") -> str:
    key = "a" if event == "aggTrade" else "t"
    message = {
        "e": event,
        "E": T0_MS,
        "s": symbol,
        key: number,
        "p": "1.5",
        "q": "2.0",
        "T": T0_MS,
        "m": True,
    }
    if event == "aggTrade":
        message |= {"f": number, "l": number}
    return json.dumps({"stream": f"{symbol.lower()}@{event}", "data": message})


def quote(number: int, bid: str, ask: str) -> str:
    return json.dumps({"u": number, "s": "BTCUSDT", "b": bid, "B": "1", "a": ask, "A": "1"})


def depth(first: int, last: int, bids: list[list[str]], asks: list[list[str]]) -> str:
    message = {"e": "depthUpdate", "E": T0_MS, "s": "BTCUSDT", "U": first, "u": last, "b": bids, "a": asks}
    return json.dumps({"stream": "btcusdt@depth@100ms", "data": message})


def book(last: int) -> tuple[str, bytes]:
    return BOOK_URL, json.dumps({"lastUpdateId": last, "bids": [["10", "1"]], "asks": [["11", "1"]]}).encode()


def read(
    path: Path, *entries: str | bytes | tuple[str, bytes], channels: tuple[Channel, ...] = CHANNELS
) -> tuple[list[MarketRecord], Tally]:
    with CaptureWriter(path, HEADER) as capture:
        for number, entry in enumerate(entries):
            if isinstance(entry, tuple):
                capture.write_rest(T0_MS * 1_000_000 + number, "GET", *entry)
            else:
                capture.write(T0_MS * 1_000_000 + number, entry)
    return opened(path, channels)


def opened(path: Path, channels: tuple[Channel, ...] = CHANNELS) -> tuple[list[MarketRecord], Tally]:
    reader = CaptureReader(path)
    reading = CaptureReading(reader, reader.exchange(), channels)
    return list(reading), reading.tally


def test_trades_that_are_missing_or_repeated_are_counted(tmp_path: Path) -> None:
    records, tally = read(tmp_path / "a", *(trade(number) for number in (5, 6, 6, 9, 8, 12)))
    assert [as_fields(record)["sequence"] for record in records] == [5, 6, 9, 8, 12]
    assert (tally.counts["trade"], tally.repeats, tally.gaps) == (5, 1, 2)


def test_trades_read_by_rest_close_a_hole(tmp_path: Path) -> None:
    rows = [
        {
            "id": 6,
            "price": "1.5",
            "qty": "2",
            "quoteQty": "3",
            "time": T0_MS,
            "isBuyerMaker": True,
            "isBestMatch": True,
        }
    ]
    answer = (
        "https://api.binance.com/api/v3/historicalTrades?symbol=BTCUSDT&fromId=6",
        json.dumps(rows).encode(),
    )
    records, tally = read(tmp_path / "a", trade(5), trade(7), answer)
    assert (tally.counts["trade"], tally.gaps) == (3, 0)
    assert as_fields(records[-1])["backfilled"] is True


def test_aggregated_trades_are_read_where_there_are_no_single_ones(tmp_path: Path) -> None:
    both = [trade(5), trade(900, event="aggTrade"), trade(7, "ETHUSDT", "aggTrade")]
    records, tally = read(tmp_path / "a", *both)
    assert [as_fields(record)["trade_id"] for record in records] == ["5", "7"]
    assert tally.frames == {"trades": 1, "aggregated_trades": 2}
    records, _ = read(tmp_path / "b", *both, channels=("aggregated_trades",))
    assert [as_fields(record)["trade_id"] for record in records] == ["900", "7"]


def test_a_book_begins_with_its_snapshot(tmp_path: Path) -> None:
    records, tally = read(
        tmp_path / "a",
        depth(1, 3, [], []),
        depth(4, 6, [["10", "2"]], []),
        book(4),
        depth(7, 7, [], [["11", "0"]]),
    )
    lines = [as_fields(record) for record in records]
    assert [line["snapshot"] for line in lines] == [True, False, False]
    assert [line["last_id"] for line in lines] == [4, 6, 7]
    assert (lines[1]["first_id"], lines[1]["bids"], lines[1]["asks"]) == (4, [(10.0, 2.0)], [])
    assert "first_id" not in lines[0]
    assert (tally.counts["book"], tally.unused, tally.gaps) == (3, 1, 0)


def test_a_hole_in_a_book_is_a_gap_and_its_new_snapshot_a_resync(tmp_path: Path) -> None:
    entries: list[Any] = [book(4), depth(5, 5, [], []), depth(7, 7, [], []), depth(8, 8, [], [])]
    _, tally = read(tmp_path / "a", *entries)
    assert (tally.gaps, tally.resyncs, tally.counts["book"], tally.unused) == (1, 0, 2, 2)
    _, tally = read(tmp_path / "b", *entries, book(7), depth(9, 9, [], []))
    assert (tally.gaps, tally.resyncs, tally.counts["book"]) == (1, 1, 5)


def test_a_crossed_book_is_counted(tmp_path: Path) -> None:
    _, tally = read(tmp_path / "a", book(4), depth(5, 5, [["12", "1"]], []))
    assert (tally.breaks, tally.gaps) == ({"crossed": 1}, 0)


def test_books_are_held_against_quotes(tmp_path: Path) -> None:
    _, tally = read(
        tmp_path / "a",
        book(4),
        quote(5, "10.5", "11"),
        depth(5, 5, [["10.5", "1"]], []),
        depth(6, 7, [["10.2", "1"]], []),
        quote(8, "10.4", "11"),
        depth(8, 8, [["10.5", "0"]], []),
    )
    checks = tally.as_dict()
    assert (checks["book_checks"], checks["book_mismatches"]) == (3, 1), "same id, still standing, wrong"


def test_bad_frames_are_counted_by_reason_and_nothing_stops(tmp_path: Path) -> None:
    path = tmp_path / "a"
    lines = [
        b"# venue=binance market=spot",
        b"1 " + trade(5).encode(),
        b"2 not json",
        b"3 " + trade(6).replace("1.5", "-1").encode(),
        b"what",
        b'4 {"rest":{"method":"GET"',
        b'5 {"rest":{"method":"GET","url":"' + BOOK_URL.encode() + b'","body":[]}}',
        b'6 {"rest":{"method":"GET","url":"https://elsewhere/","body":{}}}',
        b"7 base64:" + base64.b64encode(b"\x00\xff"),
        b"8 " + trade(7).encode(),
    ]
    path.write_bytes(b"\n".join(lines) + b"\n")
    records, tally = opened(path)
    assert [as_fields(record)["sequence"] for record in records] == [5, 7]
    assert tally.rejected == {"json": 2, "price": 1, "line": 1, "rest": 1, "shape": 1}
    assert tally.as_dict()["rejected"] == 6


def test_answers_of_the_venue_are_no_market_data(tmp_path: Path) -> None:
    records, tally = read(tmp_path / "a", '{"result":null,"id":1}', trade(1))
    assert (len(records), tally.frames) == (1, {"control": 1, "trades": 1})


def test_a_symbol_that_cannot_be_told_does_not_refuse_the_rest(tmp_path: Path) -> None:
    records, tally = read(tmp_path / "a", trade(5), trade(1, "WHAT"), trade(2, "WHAT"))
    assert len(records) == 1
    assert (tally.unknown, tally.rejected) == ({"WHAT": 2}, {"symbol": 2})


def test_names_come_from_a_list_that_was_recorded_later(tmp_path: Path) -> None:
    listed = {"symbols": [{"symbol": "WHAT", "status": "TRADING", "baseAsset": "WH", "quoteAsset": "AT"}]}
    url = "https://api.binance.com/api/v3/exchangeInfo"
    records, tally = read(tmp_path / "a", trade(1, "WHAT"), (url, json.dumps(listed).encode()))
    assert ([record.symbol for record in records], tally.rejected) == (["WH/AT"], {})


def test_only_the_channels_asked_for_are_read(tmp_path: Path) -> None:
    entries = [book(4), trade(5), quote(5, "10", "11")]
    for channel, kind in (("trades", "trade"), ("quotes", "quote"), ("books", "book")):
        records, _ = read(tmp_path / channel, *entries, channels=(channel,))  # type: ignore[arg-type]
        assert [as_fields(record)["type"] for record in records] == [kind]


def test_what_a_cut_capture_holds_is_given_first(tmp_path: Path) -> None:
    path = tmp_path / "a"
    text = b"# venue=binance\n" + b"".join(b"%d %s\n" % (n, trade(n).encode()) for n in range(1, 20_000))
    path.write_bytes(gzip.compress(text)[:-4_000])
    reader = CaptureReader(path)
    reading = CaptureReading(reader, reader.exchange())
    with pytest.raises(CaptureError, match="cut off"):
        for _ in reading:
            pass
    assert reading.tally.counts["trade"] > 10_000


def test_trade_ids_that_come_late_fill_their_holes() -> None:
    ids = TradeIds()
    assert [ids.add(number) for number in (5, 9, 7, 7, 6, 8, 3, 9)] == [True] * 3 + [False] + [True] * 3 + [
        False
    ]
    assert ids.holes == 1
    assert ids.add(4)
    assert ids.holes == 0


class Checked:
    """A book and its quotes, one call a step."""

    def __init__(self) -> None:
        self.check = BookCheck()
        self._book = OrderBook("test", "BTC/USDT")
        self.snapshot = self._step(snapshot)
        self.delta = self._step(delta)

    def _step(self, make: Callable[..., Any]) -> Callable[..., None]:
        def step(*arguments: Any) -> None:
            update = make(*arguments)
            self._book.apply(update)
            self.check.on_book(update, self._book)

        return step

    def quote(self, sequence: int | None, bid: float | None, ask: float | None) -> None:
        self.check.on_quote(Quote("test", "BTC/USDT", bid, 1.0, ask, 1.0, sequence, None, 1))

    @property
    def result(self) -> tuple[int, int]:
        self.check.end()
        return self.check.checks, self.check.mismatches


def test_a_quote_of_the_same_id_decides_whichever_came_first() -> None:
    seen = Checked()
    seen.snapshot(4)
    seen.quote(5, 10.5, 11.0)
    seen.delta(5, 5, {10.5: 1.0})
    seen.delta(6, 6, {10.6: 1.0})
    seen.quote(6, 10.6, 11.0)
    seen.delta(7, 7, {}, {11.0: 0.0})
    seen.quote(7, 10.6, None)
    seen.quote(8, 10.6, 12.0)
    seen.delta(8, 8, {10.6: 0.0}, {12.0: 1.0})
    assert seen.result == (4, 1)


def test_an_update_that_ends_between_two_changes_is_not_held_against_the_quote_before() -> None:
    seen = Checked()
    seen.snapshot(4)
    seen.quote(5, 10.5, 11.0)
    seen.delta(5, 6, {10.4: 1.0})
    seen.delta(7, 7, {10.4: 0.0, 10.5: 1.0})
    seen.quote(9, 10.6, 11.0)
    seen.delta(8, 9, {10.6: 1.0})
    assert seen.result == (1, 0)


def test_a_book_that_stays_wrong_is_found_by_a_quote_that_still_stands() -> None:
    seen = Checked()
    seen.snapshot(4)
    seen.quote(5, 10.5, 11.0)
    seen.delta(5, 6, {9.0: 1.0})
    for number in (7, 8, 9):
        seen.delta(number, number, {8.0: float(number)})
    assert seen.result == (2, 2), "the third waits for a fourth"


def test_quotes_without_numbers_are_held_against_nothing() -> None:
    seen = Checked()
    seen.snapshot(4)
    seen.quote(None, 1.0, 2.0)
    seen.delta(5, 5, {10.5: 1.0})
    assert seen.result == (0, 0)


EXPECTED: dict[str, dict[str, int]] = {
    "binance-spot-btcusdt": {"trade": 19_904, "quote": 73_174, "book": 6_494},
    "binance-usdm-btcusdt": {"trade": 21_313, "quote": 66_089, "book": 6_548},
    "binance-spot-2021": {"trade": 2, "quote": 84, "book": 176, "candle": 2},
    "gateio-spot-2021": {"trade": 9, "quote": 22, "book": 169, "candle": 14, "ticker": 22},
}
CHECKS = {
    "binance-spot-btcusdt": 1_143,
    "binance-usdm-btcusdt": 629,
    "binance-spot-2021": 84,
    "gateio-spot-2021": 0,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_recorded_captures_are_whole(captures: Path, name: str) -> None:
    _, tally = opened(captures / f"{name}.capture.gz")
    found = tally.as_dict()
    assert {kind: count for kind, count in found["counts"].items() if count} == EXPECTED[name]
    assert (found["gaps"], found["resyncs"], found["rejected"], found["book_mismatches"]) == (0, 0, 0, 0)
    assert found["book_checks"] >= CHECKS[name]


def test_what_is_taken_out_of_a_recorded_capture_is_missed(captures: Path, tmp_path: Path) -> None:
    with gzip.open(captures / "binance-usdm-btcusdt.capture.gz") as file:
        lines = [line for _, line in zip(range(4_000), file, strict=False)]
    changes = [number for number, line in enumerate(lines) if b'"depthUpdate"' in line]
    trades = [number for number, line in enumerate(lines) if b'"trade"' in line]
    lines[changes[len(changes) // 2]] = lines[trades[10]] = b""
    lines[changes[-1]] = b"1 {\n"
    path = tmp_path / "a"
    path.write_bytes(b"".join(lines))
    _, tally = opened(path)
    assert (tally.gaps, tally.breaks, tally.rejected) == (2, {"gap": 1}, {"json": 1})
