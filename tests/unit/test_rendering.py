"""Records as lines and as JSON."""

import json

import pytest

from kandle.rendering import as_dict, as_json, as_line, iso_time
from schemas.records import (
    Candle,
    Gap,
    IndicatorValue,
    Instrument,
    Notification,
    Position,
    Quote,
    Record,
    Signal,
    SystemEvent,
    TimeMark,
    Trade,
)

TIME = 1_723_161_255_342_000
RECORDS: list[tuple[Record, str]] = [
    (Trade("binance", "BTC/USDT", "7", 7, 61_837.63, 0.02, "sell", TIME, TIME + 5), "sell"),
    (Quote("binance", "BTC/USDT", 1.5, 2.0, None, 0.0, 9, None, TIME), "quote"),
    (
        Candle("binance", "BTC/USDT", "1m", TIME, TIME + 1, 1, 2, 1, 2, 3, 4, 2, 5, 1, 9, 2, False),
        "rev 2 incomplete",
    ),
    (IndicatorValue("binance", "BTC/USDT", "1m", TIME, "sma_20", 1.25, 0, True), "sma_20 = 1.25"),
    (
        Signal("s", "binance", "BTC/USDT", "1m", TIME, TIME + 1, "cross", "long", 0.5, {"a": 1.0}, "c", True),
        "cross long strength 0.500",
    ),
    (TimeMark("binance", "binance-spot-0", TIME, True, "run"), "final"),
    (Gap("binance", "BTC/USDT", "s", "given_up", 3, 5, TIME, TIME + 9, "missing ids"), "given_up 3-5"),
    (SystemEvent("e", "provider.connected", "s", "info", "connected", {}, TIME), "connected"),
    (Notification("n", "strategy.signal", "hook", "BTC crossed", "text", "s", TIME), "BTC crossed"),
    (Position("b", "s", "t", TIME, {"0": 1}, {"S": 7}, {"S": TIME}), '"type":"position"'),
    (
        Instrument("b", "S", "s", "B", "Q", "spot", "trading", None, None, None, 1.0, TIME),
        '"type":"instrument"',
    ),
]


@pytest.mark.parametrize(("record", "part"), RECORDS, ids=lambda value: type(value).__name__)
def test_a_line_shows_what_a_person_looks_for(record: Record, part: str) -> None:
    text = as_line(record)
    assert part in text
    assert "\n" not in text


@pytest.mark.parametrize("record", [record for record, _ in RECORDS], ids=lambda value: type(value).__name__)
def test_json_has_type_id_and_every_field_with_times_as_iso(record: Record) -> None:
    found = json.loads(as_json(record, partition=3))
    assert found["partition"] == 3
    assert found["ce_id"]
    assert set(record.__struct_fields__) <= set(found)
    for name, value in as_dict(record).items():
        if (name == "time" or name.endswith("_time")) and value is not None:
            assert value.endswith("Z")


def test_times_keep_their_microseconds() -> None:
    assert iso_time(1_723_161_255_342_001) == "2024-08-08T23:54:15.342001Z"
    assert iso_time(0) == "1970-01-01T00:00:00.000000Z"
    assert iso_time(-1) == "1969-12-31T23:59:59.999999Z"
