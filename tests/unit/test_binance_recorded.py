"""Binance as it was recorded: whole captures by their counts, single messages by what they become."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from producers.capture import CaptureReader
from producers.exchange import BadRecord, Channel
from producers.exchanges.binance.frames import Binance
from producers.exchanges.binance.spot import BinanceSpot
from producers.exchanges.binance.usdm import BinanceUsdM
from producers.markets import exchange_class
from schemas.records import BookUpdate, Instrument, Trade


def instruments(cls: type[Binance], names: list[str]) -> list[Instrument]:
    return [found for name in names if (found := cls.guess(name)) is not None]


@pytest.mark.parametrize(
    ("capture", "names", "expected"),
    [
        (
            "binance-spot-2021",
            ["NKNUSDT", "BLZETH", "LRCBTC", "RUNEEUR"],
            {"Quote": 84, "Trade": 2, "ExchangeCandle": 2, "delta": 177, "snapshot": 4},
        ),
        (
            "binance-spot-btcusdt",
            ["BTCUSDT"],
            {"Quote": 73_174, "Trade": 19_904, "delta": 6_495, "snapshot": 1},
        ),
        (
            "binance-usdm-btcusdt",
            ["BTCUSDT"],
            {"Quote": 66_089, "Trade": 21_313, "delta": 6_551, "snapshot": 1},
        ),
    ],
)
def test_a_capture_holds_what_is_known_of_it(
    captures: Path, capture: str, names: list[str], expected: dict[str, int]
) -> None:
    reader = CaptureReader(captures / f"{capture}.capture.gz")
    cls = exchange_class(reader.venue, reader.market)
    found = [instrument for name in names if (instrument := cls.guess(name)) is not None]
    aggregated = [each.symbol for each in found] if "2021" in capture else []
    exchange = cls(found, cls.channels_available, aggregated)
    counts: Counter[str] = Counter()
    for entry in reader:
        if entry.rest is None:
            records = list(exchange.parse(entry.frame, 1))
        else:
            call = exchange.call_of(entry.rest.url)
            assert call is not None
            if call.kind == "instruments":
                continue
            records = list(exchange.read(call, bytes(entry.rest.body), 1))
        for record in records:
            counts[record.kind if isinstance(record, BookUpdate) else type(record).__name__] += 1
            assert not (isinstance(record, Trade) and record.inexact)
    assert counts == expected


def test_the_rule_of_names_agrees_with_a_recorded_list_of_instruments(captures: Path) -> None:
    for entry in CaptureReader(captures / "binance-spot-2021.capture.gz"):
        if entry.rest is not None and "exchangeInfo" in entry.rest.url:
            listed = BinanceSpot.read_instruments(bytes(entry.rest.body), 1)
            told = {each.symbol: BinanceSpot.guess(each.venue_symbol) for each in listed}
            assert len(told) == 1_695
            assert [name for name, guess in told.items() if guess is None or guess.symbol != name] == []
            assert all(each.tick_size and each.lot_size and each.min_notional for each in listed)
            assert Counter(each.status for each in listed) == {"trading": 1_262, "halted": 433}
            return
    pytest.fail("the capture has no instrument list")


def samples(folder: Path) -> Iterator[tuple[str, type[Binance], dict[str, Any]]]:
    """Each recorded message with its file and the market that it belongs to; none of coin-margined ones."""
    for name in ("cmp_binance", "tardis_binance", "tardis_binance_futures", "ccxt_recent_2026"):
        for line in (folder / f"{name}.jsonl").read_text("utf-8").splitlines():
            entry = json.loads(line)
            if name == "cmp_binance":
                if entry["test"].startswith("inverse") or "stream" not in entry["raw"]:
                    continue
                yield name, BinanceSpot if entry["test"] == "spot" else BinanceUsdM, entry["raw"]
            elif name == "ccxt_recent_2026":
                if entry["exchange"].startswith("binance"):
                    cls = BinanceUsdM if "usdm" in entry["exchange"] else BinanceSpot
                    for message in entry["messages"]:
                        yield name, cls, message
            else:
                yield name, BinanceUsdM if name.endswith("futures") else BinanceSpot, entry


def test_every_recorded_shape_is_read_or_passed_over_on_purpose(captures: Path) -> None:
    counts: Counter[str] = Counter()
    passed_over = set()
    for file, cls, message in samples(captures / "samples"):
        data = message.get("data", message)
        items = data if isinstance(data, list) else [data]
        names = [item.get("s") or item.get("o", {}).get("s") for item in items if isinstance(item, dict)]
        found = instruments(cls, [name for name in names if name] or ["BTCUSDT"])
        frame = json.dumps(message, separators=(",", ":")).encode()
        is_aggregated = "aggTrade" in message.get("stream", "")
        channels: set[Channel] = set(cls.channels_available)
        exchange = cls(found, channels, [each.symbol for each in found] if is_aggregated else [])
        try:
            records = exchange.parse(frame, 1)
        except BadRecord as refused:
            pytest.fail(f"{file}: {message}: {refused}")
        counts.update(type(record).__name__ for record in records)
        if not records:
            passed_over.add(message["stream"].partition("@")[2])
    # What Tardis made up, options and partial books.
    assert passed_over == {
        "TRADE_ALL",
        "TICKER_ALL",
        "depth20",
        "depthSnapshot",
        "openInterest",
    }
    assert counts == {
        "Trade": 8,
        "OffBookTrade": 1,
        "Quote": 7,
        "BookUpdate": 9,
        "Ticker": 12,
        "ExchangeCandle": 3,
        "DerivativeTicker": 6,
        "Liquidation": 1,
        "Control": 3,
    }


def test_recorded_answers_of_rest_are_read(captures: Path) -> None:
    kinds: Counter[str] = Counter()
    for line in (captures / "samples" / "cmp_binance.jsonl").read_text("utf-8").splitlines():
        entry = json.loads(line)
        if entry["mod"] not in ("l2_snapshot", "open_interest") or entry["test"].startswith("inverse"):
            continue
        cls = BinanceSpot if entry["test"] == "spot" else BinanceUsdM
        symbol = entry["raw"].get("symbol", "BTCUSDT")
        exchange = cls(instruments(cls, [symbol]))
        endpoint = "depth" if entry["mod"] == "l2_snapshot" else "openInterest"
        call = exchange.call_of(f"{cls.rest_url}{cls.api}/{endpoint}?symbol={symbol}")
        assert call is not None
        (record,) = exchange.read(call, json.dumps(entry["raw"]).encode(), 1)
        kinds[type(record).__name__] += 1
    assert kinds == {"BookUpdate": 3, "DerivativeTicker": 2}
