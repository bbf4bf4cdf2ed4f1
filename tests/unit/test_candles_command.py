"""`kandle candles` as a user runs it: every form of a file gives the same candles."""

import csv
import gzip
import io
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kandle.commands.candles import candles
from schemas.errors import ConfigurationError, KandleError
from tests.expected_candles import expected_candles, wire_trades

BEGAN_S = 1_723_161_240
TRADES = [
    # seconds, price, size, side, id
    (0.25, "100.5", "1", "buy", 11),
    (0.25, "101", "0.5", "sell", 12),
    (59.999999, "99.25", "0.25", "buy", 13),
    (60, "100", "2", "sell", 14),
    (185.5, "98", "0", "buy", 15),
]
MINUTES = [
    ("2024-08-08T23:54:00Z", 100.5, 101.0, 99.25, 99.25, 1.75, 3, 1.25, 11, 13),
    ("2024-08-08T23:55:00Z", 100.0, 100.0, 100.0, 100.0, 2.0, 1, 0.0, 14, 14),
    ("2024-08-08T23:57:00Z", 98.0, 98.0, 98.0, 98.0, 0.0, 1, 0.0, 15, 15),
]
FIGURES = (
    *("time", "open", "high", "low", "close", "volume", "trade_count", "taker_buy_volume"),
    *("first_trade_id", "last_trade_id"),
)


def epoch_ns(seconds: float) -> int:
    return (BEGAN_S * 1_000_000 + round(seconds * 1_000_000)) * 1_000


def iso(seconds: float, zone: str, separator: str = "T") -> str:
    moment = datetime.fromtimestamp(BEGAN_S, UTC).replace(tzinfo=None)
    micros = round(seconds * 1_000_000)
    minute, rest = divmod(micros, 60_000_000)
    moment = moment.replace(
        minute=moment.minute + minute, second=rest // 1_000_000, microsecond=rest % 1_000_000
    )
    return moment.isoformat(separator, "microseconds") + zone


TIMES: dict[str, Callable[[float], object]] = {
    "ns": lambda s: epoch_ns(s),
    "us": lambda s: epoch_ns(s) // 1_000,
    "us with a fraction": lambda s: f"{epoch_ns(s) // 1_000}.9",
    "ms with a fraction": lambda s: f"{epoch_ns(s) // 1_000_000}.{epoch_ns(s) // 1_000 % 1_000:03}",
    "s with a fraction": lambda s: f"{epoch_ns(s) // 10**9}.{epoch_ns(s) % 10**9:09}",
    "iso": lambda s: iso(s, "Z"),
    "iso without a zone": lambda s: iso(s, ""),
    "iso with a blank": lambda s: iso(s, "+00:00", " "),
    "iso with UTC": lambda s: iso(s, " UTC", " "),
    "iso with nanoseconds": lambda s: iso(s, "999Z"),
}


def csv_of(rows: list[dict[str, object]], delimiter: str = ",") -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def lines_of(rows: list[dict[str, object]]) -> str:
    return "\n".join(json.dumps(row) for row in rows)


def rows(time: Callable[[float], object] = TIMES["us"]) -> list[dict[str, object]]:
    return [
        {"time": time(at), "price": price, "size": size, "side": side, "id": number}
        for at, price, size, side, number in TRADES
    ]


def run(content: str | bytes, *options: str) -> Result:
    return CliRunner().invoke(candles, ["--trades", "-", *options], input=content)


def built(content: str | bytes, *options: str) -> list[dict[str, Any]]:
    answer = run(content, "--json", *options)
    assert answer.exit_code == 0, (answer.output, answer.exception)
    return [json.loads(line) for line in answer.stdout.splitlines()]


def figures(content: str | bytes, *options: str) -> list[tuple[Any, ...]]:
    return [tuple(candle[name] for name in FIGURES) for candle in built(content, *options)]


@pytest.mark.parametrize("time", TIMES.values(), ids=TIMES.keys())
def test_times_of_every_form_mean_the_same(time: Callable[[float], object]) -> None:
    assert figures(csv_of(rows(time))) == MINUTES
    assert figures(lines_of(rows(time))) == MINUTES


def test_numbers_of_json_keep_all_their_digits() -> None:
    lines = [json.dumps({**row, "time": 0, "price": float(str(row["price"]))}) for row in rows()]
    text = "\n".join(
        line.replace('"time": 0', f'"time": {TIMES["s with a fraction"](trade[0])}')
        for line, trade in zip(lines, TRADES, strict=True)
    )
    assert figures(text) == MINUTES


def test_other_zones_and_whole_days_are_understood() -> None:
    text = "date,price,amount\n2024-08-09T01:54:00+02:00,1,1\n2024-08-08,2,1\n"
    assert [candle["time"] for candle in built(text)] == ["2024-08-08T00:00:00Z", "2024-08-08T23:54:00Z"]


@pytest.mark.parametrize(
    "names",
    [
        ("Timestamp", "Price", "Qty", "Side", "Trade_ID"),
        ("ts", "px", "sz", "aggressor side", "tradeId"),
        ("T", "p", "q", "S", "t"),
        ("TIME", "RATE", "VOLUME", "TakerSide", "ID"),
        ("date time", "price", "base volume", "direction", "tid"),
    ],
)
def test_fields_are_found_under_their_usual_names(names: tuple[str, ...]) -> None:
    renamed = [dict(zip(names, row.values(), strict=True)) for row in rows()]
    for content in (csv_of(renamed), csv_of(renamed, ";"), csv_of(renamed, "\t"), lines_of(renamed)):
        assert figures(content) == MINUTES
    assert figures(gzip.compress(b"\xef\xbb\xbf" + csv_of(renamed).encode())) == MINUTES


@pytest.mark.parametrize("name", ["m", "isBuyerMaker", "is_buyer_maker"])
def test_a_buyer_who_is_the_maker_means_that_the_aggressor_sold(name: str) -> None:
    for true, false in ((True, False), ("true", "False"), (1, 0)):
        changed: list[dict[str, object]] = [
            {"T": row["time"], "p": row["price"], "q": row["size"], "t": row["id"], name: true}
            | ({name: false} if row["side"] == "buy" else {})
            for row in rows()
        ]
        assert figures(csv_of(changed)) == figures(lines_of(changed)) == MINUTES


def test_frames_of_an_exchange_are_read_as_they_are() -> None:
    frame = {
        "e": "trade",
        "E": 1,
        "s": "BTCUSDT",
        "t": 7,
        "p": "2.5",
        "q": "4",
        "T": 1723161240001,
        "m": False,
        "M": True,
    }
    assert built(lines_of([frame])) == [
        {
            "time": "2024-08-08T23:54:00Z",
            "close_time": "2024-08-08T23:55:00Z",
            "symbol": "BTCUSDT",
            "interval": "1m",
            **dict.fromkeys(("open", "high", "low", "close", "vwap"), 2.5),
            "volume": 4.0,
            "quote_volume": 10.0,
            "trade_count": 1,
            "taker_buy_volume": 4.0,
            "first_trade_id": 7,
            "last_trade_id": 7,
            "complete": True,
        }
    ]


def test_the_order_of_the_lines_does_not_matter() -> None:
    for seed in range(5):
        shuffled = rows()
        Random(seed).shuffle(shuffled)
        assert figures(csv_of(shuffled)) == MINUTES


def test_ids_that_are_texts_order_nothing_but_are_known_again() -> None:
    texts: list[dict[str, object]] = [row | {"id": f"{9 - index:x}-f00"} for index, row in enumerate(rows())]
    expected = [
        (*minute[:-2], f"{9 - minute[-2] + 11:x}-f00", f"{9 - minute[-1] + 11:x}-f00") for minute in MINUTES
    ]
    assert figures(csv_of([*texts, texts[2]])) == expected
    newest_first = texts[::-1]
    assert figures(csv_of(newest_first)) == expected


def test_ids_may_be_absent_wholly_or_here_and_there() -> None:
    bare: list[dict[str, object]] = [{k: v for k, v in row.items() if k != "id"} for row in rows()]
    nameless = [(*minute[:-2], None, None) for minute in MINUTES]
    assert figures(csv_of(bare)) == figures(lines_of(bare)) == nameless
    some: list[dict[str, object]] = [rows()[0], rows()[1] | {"id": ""}, *rows()[2:]]
    assert [minute[-2:] for minute in figures(csv_of(some))] == [(11, 13), (14, 14), (15, 15)]


def test_a_repeat_is_dropped_and_another_trade_under_its_id_is_refused() -> None:
    other = rows()[0] | {"price": "7"}
    answer = run(csv_of([*rows(), rows()[0], other]), "--json")
    assert [json.loads(line)["trade_count"] for line in answer.stdout.splitlines()] == [3, 1, 1]
    assert "1 trades repeat an id" in answer.stderr
    assert "line 8" in answer.stderr


def test_symbols_are_kept_apart() -> None:
    mixed = [row | {"symbol": symbol} for symbol in ("ETH/USDT", "BTC/USDT") for row in rows()]
    found = built(csv_of(mixed), "--interval", "3m,1m")
    assert [(candle["symbol"], candle["interval"], candle["time"][11:16]) for candle in found] == [
        (symbol, interval, time)
        for symbol in ("BTC/USDT", "ETH/USDT")
        for interval, times in (("1m", ("23:54", "23:55", "23:57")), ("3m", ("23:54", "23:57")))
        for time in times
    ]


def test_venues_are_kept_apart_though_their_ids_are_the_same() -> None:
    prices = {"gateio": "7", "binance": "5"}
    mixed = [
        row | {"exchange": venue, "symbol": "BTC/USDT", "price": price}
        for row in rows()
        for venue, price in prices.items()
    ]
    answer = run(lines_of(mixed), "--json")
    assert answer.stderr == ""
    found = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [(candle["venue"], candle["close"], candle["trade_count"]) for candle in found] == [
        (venue, float(prices[venue]), count) for venue in ("binance", "gateio") for count in (3, 1, 1)
    ]


def test_a_type_is_the_side_where_it_says_so() -> None:
    typed = [
        {"date": row["time"], "price": row["price"], "amount": row["size"], "type": row["side"]}
        for row in rows()
    ]
    bought = [candle["taker_buy_volume"] for candle in built(csv_of(typed))]
    assert bought == [minute[7] for minute in MINUTES]
    orders = [row | {"type": "limit"} for row in rows()]
    assert figures(csv_of(orders)) == MINUTES
    assert (
        built(csv_of([{k: v for k, v in row.items() if k != "side"} for row in orders]))[0][
            "taker_buy_volume"
        ]
        == 0
    )


def test_blank_lines_are_passed_over() -> None:
    lines = csv_of(rows()).splitlines()
    assert figures("\n".join([*lines[:3], "", "  ", *lines[3:], ""])) == MINUTES


def test_intervals_that_share_no_part_are_built_at_once() -> None:
    found = built(csv_of(rows()), "--interval", "5m", "--interval", "3m")
    assert [(candle["interval"], candle["trade_count"], candle["complete"]) for candle in found] == [
        ("3m", 4, True),
        ("3m", 1, False),
        ("5m", 3, False),
        ("5m", 2, False),
    ]


def test_a_table_is_for_people() -> None:
    answer = run(csv_of(rows()))
    assert answer.stdout.splitlines()[0].split()[:3] == ["time", "interval", "open"]
    assert len(answer.stdout.splitlines()) == 4


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"price": "cheap"}, "price is a number, got 'cheap'"),
        ({"price": "-1"}, "price is above 0, got '-1'"),
        ({"price": "nan"}, "price is above 0, got 'nan'"),
        ({"size": ""}, "size is a number, got ''"),
        ({"size": "-2"}, "size is 0 or more, got '-2'"),
        ({"time": "yesterday"}, "time is a number or ISO 8601, got 'yesterday'"),
        ({"time": "-5"}, "time lies between 1970 and 2112, got '-5'"),
        ({"time": "inf"}, "time is a number or ISO 8601, got 'inf'"),
        ({"side": "up"}, "side is buy or sell, got 'up'"),
    ],
)
def test_a_line_that_is_no_trade_is_named_with_its_number(change: dict[str, object], reason: str) -> None:
    bad = rows()
    bad[2] |= change
    for content, line in ((csv_of(bad), 4), (lines_of(bad), 3), ("\n" + lines_of(bad), 4)):
        answer = run(content, "--json")
        assert isinstance(answer.exception, KandleError)
        assert (answer.exception.exit_code, answer.stdout) == (2, "")
        assert f"line {line}: {reason}" in str(answer.exception)
    answer = run(csv_of(bad), "--json", "--skip-bad")
    assert [json.loads(line)["trade_count"] for line in answer.stdout.splitlines()] == [2, 1, 1]
    assert "line 4 is left out" in answer.stderr


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("price,size\n1,2\n", "no field for time"),
        ("time,price,size\n1,2\n", "line 2: expected 3 values as in the header, got 2"),
        ('{"time": 1, "price": 2}\n', "line 1: no field for size"),
        ('{"time": 1, "price": 2, "size": 1}\n{"time"', "line 2: no JSON"),
        ('{"time": 1, "price": 2, "size": 1}\n[1]\n', "line 2: expected a JSON object"),
        ("[1]\n", "expected one JSON object a line"),
        (gzip.compress(b"time,price,size\n1,2,3\n", mtime=0)[:-9], "cannot be read"),
        (b"time,price,size\n\xff,2,3\n", "cannot be read"),
    ],
)
def test_a_file_of_something_else_is_refused(content: str | bytes, reason: str) -> None:
    answer = run(content)
    assert isinstance(answer.exception, KandleError)
    assert answer.exception.exit_code == 2
    assert reason in str(answer.exception)


def test_without_trades_or_with_wrong_intervals_it_fails() -> None:
    assert run("time,price,size\n").exit_code == 1
    assert run("").exit_code == 1
    assert isinstance(run(csv_of(rows()), "--interval", "2m").exception, ConfigurationError)


def test_many_trades_come_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kandle.trade_file.reading.PORTION", 7)
    monkeypatch.setattr("processors.candles.past.PORTION", 10)
    random = Random(3)
    trades = [(random.randrange(300), random.randrange(1, 99), random.randrange(9), i) for i in range(200)]
    content = "time,price,size,id\n" + "".join(f"{a},{b},{c},{d}\n" for a, b, c, d in trades)
    expected = []
    for minute in sorted({trade[0] // 60 for trade in trades}):
        mine = sorted((t for t in trades if t[0] // 60 == minute), key=lambda t: (t[0], t[3]))
        prices = [trade[1] for trade in mine]
        expected.append((prices[0], max(prices), min(prices), prices[-1], sum(t[2] for t in mine), len(mine)))
    names = ("open", "high", "low", "close", "volume", "trade_count")
    assert [tuple(candle[name] for name in names) for candle in built(content)] == expected


def test_recorded_trades_give_the_candles_that_their_own_lines_say(captures: Path) -> None:
    trades = wire_trades(captures / "binance-spot-btcusdt.capture.gz")
    lines = lines_of(
        [
            {"T": t.time_ms, "p": t.price, "q": t.size, "m": t.buyer_is_maker, "t": t.number}
            for t in trades[::-1]
        ]
    )
    for interval in ("1s", "1m"):
        found = built(lines, "--interval", interval)
        expected = expected_candles(trades, interval)
        assert len(found) == len(expected)
        for candle, (key, wanted) in zip(found, sorted(expected.items()), strict=True):
            assert candle["time"] == datetime.fromtimestamp(key[1] / 1_000, UTC).strftime(
                "%Y-%m-%dT%H:%M:%SZ"
            )
            for name in ("open", "high", "low", "close", "trade_count"):
                assert candle[name] == wanted[name]
            for name in ("volume", "quote_volume"):
                assert math.isclose(candle[name], wanted[name], rel_tol=1e-12)


def test_intervals_without_trades_can_be_filled() -> None:
    found = built(csv_of(rows()), "--empty", "carry")
    assert [(candle["time"][14:16], candle["close"], candle["trade_count"]) for candle in found] == [
        ("54", 99.25, 3),
        ("55", 100.0, 1),
        ("56", 100.0, 0),
        ("57", 98.0, 1),
    ]
    assert (found[2]["volume"], found[2]["vwap"], found[2]["first_trade_id"]) == (0.0, None, None)
