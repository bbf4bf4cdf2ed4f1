"""Gate.io spot: books in all the forms that the venue has for them."""

import json
from typing import Any

import pytest

from producers.exchange import BadRecord
from producers.exchanges.gateio.spot import GateSpot
from schemas.records import BookUpdate, Instrument

RECEIVED = 1_788_336_082_500_000

CHANGE = {
    "t": 1631836142325,
    "e": "depthUpdate",
    "E": 1631836142,
    "s": "BTC_USDT",
    "U": 4622074361,
    "u": 4622074364,
    "b": [["47737.89", "0.002"], ["47741.35", "0"]],
    "a": [["47813.04", "0.0355"]],
}


def instrument(name: str) -> Instrument:
    found = GateSpot.guess(name)
    assert found is not None
    return found


def gate(*channels: str) -> GateSpot:
    return GateSpot([instrument("BTC_USDT"), instrument("ETH_USDT")], channels or ("books",))


def frame(channel: str, result: Any, **fields: Any) -> bytes:
    envelope = {"time": 1788336082, "time_ms": 1788336082403, "channel": f"spot.{channel}", "event": "update"}
    return json.dumps(envelope | {"result": result} | fields).encode()


def test_a_change_of_a_book_covers_a_range_of_ids() -> None:
    (update,) = gate().parse(frame("order_book_update", CHANGE), RECEIVED)
    assert update == BookUpdate(
        venue="gateio",
        symbol="BTC/USDT",
        kind="delta",
        first_sequence=4622074361,
        last_sequence=4622074364,
        previous_sequence=None,
        bid_prices=[47737.89, 47741.35],
        bid_sizes=[0.002, 0.0],
        ask_prices=[47813.04],
        ask_sizes=[0.0355],
        checksum=None,
        event_time=1631836142325000,
        receive_time=RECEIVED,
    )


def test_a_full_update_replaces_the_book_best_levels_first() -> None:
    (update,) = gate().parse(frame("order_book_update", CHANGE | {"full": True, "l": "100"}), RECEIVED)
    assert isinstance(update, BookUpdate)
    assert (update.kind, update.first_sequence, update.last_sequence) == ("snapshot", 4622074364, 4622074364)
    assert (update.bid_prices, update.bid_sizes) == ([47737.89], [0.002])
    turned = CHANGE | {"full": True, "b": [["1", "5"], ["2", "6"]], "a": [["9", "5"], ["8", "6"]]}
    (update,) = gate().parse(frame("order_book_update", turned), RECEIVED)
    assert isinstance(update, BookUpdate)
    assert (update.bid_prices, update.ask_prices, update.ask_sizes) == ([2.0, 1.0], [8.0, 9.0], [6.0, 5.0])


def test_a_snapshot_that_a_recorder_put_into_the_channel_is_one() -> None:
    result: dict[str, Any] = {"id": 13934528632, "current": 1682689052257, "update": 1682689052253}
    result |= {"asks": [["29303", "0.0068"]], "bids": [["29302.9", "0.2483"]]}
    made = {"channel": "spot.order_book_update", "event": "snapshot", "symbol": "BTC_USDT", "result": result}
    raw = json.dumps(made | {"generated": True}).encode()
    (snapshot,) = gate().parse(raw, RECEIVED)
    assert isinstance(snapshot, BookUpdate)
    assert (snapshot.kind, snapshot.last_sequence) == ("snapshot", 13934528632)
    assert snapshot.event_time == 1682689052253000
    assert GateSpot.stream_of(raw) == "spot.order_book_update/BTC_USDT"


def test_the_second_version_of_books_names_its_depth() -> None:
    full = {"t": 1754006400261, "full": True, "s": "ob.BTC_USDT.400", "u": 25847113075, "b": [["1", "2"]]}
    change = {
        "t": 1754006460600,
        "s": "ob.BTC_USDT.400",
        "U": 25847113076,
        "u": 25847113099,
        "a": [["3", "0"]],
    }
    first, second = (gate().parse(frame("obu", result), RECEIVED)[0] for result in (full, change))
    assert isinstance(first, BookUpdate)
    assert isinstance(second, BookUpdate)
    assert (first.kind, first.symbol, first.last_sequence) == ("snapshot", "BTC/USDT", 25847113075)
    assert (second.kind, second.first_sequence, second.ask_sizes) == ("delta", 25847113076, [0.0])


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        ("id", {"U": 4622074365}),
        ("id", {"U": None}),
        ("id", {"U": -5}),
        ("price", {"b": [["0", "1"]]}),
        ("price", {"b": [["1.1", "1"], ["nan", "1"]]}),
        ("size", {"a": [["1", "-1"]]}),
        ("shape", {"a": [["1"]]}),
        ("time", {"t": 86_400_000}),
    ],
)
def test_bad_levels_and_ranges_are_refused(reason: str, fields: dict[str, Any]) -> None:
    with pytest.raises(BadRecord) as refusal:
        gate().parse(frame("order_book_update", CHANGE | fields), RECEIVED)
    assert refusal.value.reason == reason


def test_books_of_symbols_that_are_not_fed_are_nobodys() -> None:
    assert gate().parse(frame("order_book_update", CHANGE | {"s": "SOL_USDT"}), RECEIVED) == ()
    whole = {"t": 1662630117190, "lastUpdateId": 8, "s": "SOL_USDT", "bids": [], "asks": []}
    assert gate().parse(frame("order_book", whole), RECEIVED) == ()
    (snapshot,) = gate().parse(frame("order_book", whole | {"s": "ETH_USDT"}), RECEIVED)
    assert isinstance(snapshot, BookUpdate)
    assert (snapshot.symbol, snapshot.last_sequence) == ("ETH/USDT", 8)
