"""When price alerts fire, and what they say; the model in tests/property covers the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from processors.alerts.book import AlertBook, Firing, signal_of
from processors.alerts.versions import FOREVER, AlertVersions, Version, fault_of
from processors.engine.snapshots import ForeignSnapshotError
from schemas.identity import ce_id
from schemas.records import AlertKind, PriceAlert, Signal, TimeMark, Trade
from schemas.rows import encode
from schemas.topics import ALERTS, TRADES
from sinks.notifications.message import Templates
from sinks.notifications.occasion import occasion_of
from sinks.storable import signal_fault
from tests.candle_stream import Item, KeyIds, rows_from

SECOND = 1_000_000
BEGAN = 1_700_000_000 * SECOND
MINUTE = 60.0


def alert(
    kind: AlertKind, level: float, *, window_s: float = 0.0, repeats: bool = False, **other: Any
) -> PriceAlert:
    made = PriceAlert("a", "binance", "BTC/USDT", kind, level, window_s, repeats, True, BEGAN)
    return PriceAlert(**{name: getattr(made, name) for name in made.__struct_fields__} | other)


def trades(*prices: float, step_s: float = 1.0, first: int = 1, start_s: float = 0.0) -> list[Item]:
    times = [BEGAN + round((start_s + step_s * number) * SECOND) for number in range(len(prices))]
    return [
        Trade("binance", "BTC/USDT", f"t{first + at}", first + at, price, 1.0, "buy", time, time)
        for at, (price, time) in enumerate(zip(prices, times, strict=True))
    ]


class Watched:
    """A book with alerts, and what has fired."""

    def __init__(self, *alerts: PriceAlert, lead_s: int = 300) -> None:
        self.log = AlertVersions()
        for each in alerts:
            assert self.log.take(encode(each)) is None
        self.book = AlertBook(lead_s * SECOND)
        self.book.learn(self.log)
        self._ids = KeyIds()
        self.see([TimeMark("binance", "binance-spot-0", BEGAN, False, "run")])

    def see(self, items: Sequence[Item]) -> list[Firing]:
        rows = rows_from(items, 0, self._ids)
        return self.book.fold(replace(rows, value=lambda row: encode(items[row])))

    def prices(self, items: Sequence[Item]) -> list[float]:
        return [firing.price for firing in self.see(items)]


@pytest.mark.parametrize(
    ("watched", "prices", "once", "each_time"),
    [
        (("above", 100.0), (99, 100, 101, 99, 103), [100], [100, 103]),
        (("above", 100.0), (105, 106), [105], [105]),
        (("below", 100.0), (101, 100, 99, 101, 98), [100], [100, 98]),
        (("crosses", 100.0), (99, 100, 101, 102, 98, 100, 99, 103), [101], [101, 98, 103]),
        (("crosses", 100.0), (100, 101, 100, 101), [], []),
        (("crosses", 100.0), (99, 100, 99), [], []),
    ],
)
def test_fires_at_the_first_trade_that_fulfils_it_and_again_only_if_it_repeats(
    watched: tuple[AlertKind, float], prices: tuple[float, ...], once: list[float], each_time: list[float]
) -> None:
    assert Watched(alert(*watched)).prices(trades(*prices)) == once
    assert Watched(alert(*watched, repeats=True)).prices(trades(*prices)) == each_time


def test_a_move_looks_back_over_its_window_and_no_further() -> None:
    rise = trades(100, 102, 104.9, 105, step_s=10)
    assert Watched(alert("move", 5.0, window_s=MINUTE)).prices(rise) == [105]
    slow = trades(100, 102, 104, 105.5, step_s=30)
    assert Watched(alert("move", 5.0, window_s=MINUTE)).prices(slow) == []
    (fall,) = Watched(alert("move", 5.0, window_s=MINUTE)).see(trades(100, 98, 95))
    assert (fall.direction, fall.reference) == ("short", 100.0)


def test_a_move_that_repeats_fires_again_once_the_window_has_calmed_down() -> None:
    watched = Watched(alert("move", 5.0, window_s=10.0, repeats=True))
    assert watched.prices(trades(100, 106, 107, 108)) == [106]
    assert watched.prices(trades(108, 108, 114, first=10, start_s=20)) == [114]


def test_a_move_keeps_the_extremes_of_seconds_and_not_the_trades() -> None:
    watched = Watched(alert("move", 50.0, window_s=300.0, repeats=True))
    chance = np.random.default_rng(1)
    for part in range(20):
        prices = (100 + chance.uniform(-1, 1, 2_000)).tolist()
        mark = TimeMark("binance", "a", BEGAN + part * 100 * SECOND, False, "run")
        watched.see([mark, *trades(*prices, step_s=0.05, first=part * 2_000, start_s=part * 100)])
    assert len(watched.book.snapshot()) < 2_000


def test_the_time_of_the_record_decides_from_when_and_until_when_it_acts() -> None:
    later = alert("above", 100.0, event_time=BEGAN + 3 * SECOND)
    assert Watched(later).prices(trades(101, 102, 103, 104, 105)) == [104]
    gone = alert("above", 100.0, wanted=False, event_time=BEGAN + 2 * SECOND)
    assert Watched(alert("above", 100.0), gone).prices(trades(99, 99, 101)) == []
    assert Watched(alert("above", 100.0), gone).prices(trades(99, 101, 101)) == [101]
    raised = alert("above", 110.0, event_time=BEGAN + 2 * SECOND)
    assert Watched(alert("above", 100.0), raised).prices(trades(99, 101, 105, 111)) == [101, 111]


def test_an_alert_that_comes_while_trades_flow_leaves_the_others_as_they_are() -> None:
    watched = Watched(alert("above", 100.0), alert("crosses", 100.0, id="b"))
    assert watched.prices(trades(99, 99.5)) == []
    watched.log.take(encode(alert("below", 90.0, id="c", event_time=BEGAN + 10 * SECOND)))
    watched.book.learn(watched.log)
    fired = watched.see(trades(101, 80, 79, first=10, start_s=9.5))
    assert [(each.alert.id, each.price) for each in fired] == [("a", 101), ("b", 101), ("c", 80)]


def test_late_trades_repeats_and_trades_without_a_usable_number_fire_nothing() -> None:
    watched = Watched(alert("above", 100.0), alert("crosses", 95.0, id="b", repeats=True))
    seen = trades(90, 91, 92)
    assert watched.prices([*seen, *seen]) == []
    assert watched.prices(trades(150, first=50, start_s=1)) == []
    assert watched.prices(trades(float("inf"), first=60, start_s=3)) == []
    assert watched.prices(trades(float("nan"), first=61, start_s=3)) == []
    assert watched.prices(trades(-5, first=62, start_s=3)) == []


def test_trades_of_one_moment_are_told_apart_by_their_sequence() -> None:
    watched = Watched(alert("crosses", 100.0, repeats=True))
    moment = [
        Trade("binance", "BTC/USDT", f"{number}", number, price, 1.0, "buy", BEGAN, BEGAN)
        for number, price in ((1, 99.0), (2, 101.0), (1, 99.0), (3, 99.0), (4, 101.0))
    ]
    assert watched.prices(moment) == [101.0], "at one event time it fires once"
    assert watched.prices(trades(99, first=9, start_s=1)) == [99.0]


def test_a_trade_far_ahead_of_its_feed_waits_for_the_next_mark() -> None:
    watched = Watched(alert("above", 100.0), lead_s=60)
    assert watched.prices(trades(101, start_s=90)) == []
    assert watched.prices(trades(99, start_s=1)) == []
    snapshot = watched.book.snapshot()
    watched.book.restore(snapshot)
    watched.book.learn(watched.log)
    assert watched.book.snapshot() == snapshot
    assert watched.prices([TimeMark("binance", "a", BEGAN + 5 * SECOND, False, "run")]) == []
    assert watched.prices(trades(99, start_s=6)) == [], "one that stays far ahead is forgotten"
    assert watched.prices(trades(102, first=5, start_s=95)) == []
    assert watched.prices([TimeMark("binance", "a", BEGAN + 80 * SECOND, False, "run")]) == [102]


def test_many_alerts_on_one_symbol_fire_at_one_trade() -> None:
    watched = Watched(*(alert("above", 100.0 + number, id=f"n{number:03}") for number in range(300)))
    assert len(watched.see(trades(99, 500, 501))) == 300


def test_what_has_fired_stays_fired_after_a_restart() -> None:
    watched = Watched(alert("above", 100.0))
    assert watched.prices(trades(101)) == [101]
    again = Watched()
    again.book.restore(watched.book.snapshot())
    again.book.learn(watched.log)
    assert again.prices(trades(101, 102, 103)) == []
    with pytest.raises(ForeignSnapshotError):
        again.book.restore(b"")


@pytest.mark.parametrize(
    ("watched", "prices", "direction", "values"),
    [
        (alert("above", 100.0), (101.5,), "long", {"price": 101.5, "level": 100.0}),
        (alert("below", 100.0), (99.5,), "short", {"price": 99.5, "level": 100.0}),
        (alert("crosses", 100.0), (101, 98), "short", {"price": 98.0, "level": 100.0, "previous": 101.0}),
        (
            alert("move", 5.0, window_s=MINUTE),
            (100, 110),
            "long",
            {"price": 110.0, "level": 5.0, "reference": 100.0, "move_percent": 10.0, "window_s": MINUTE},
        ),
    ],
)
def test_the_signal_says_what_was_seen_and_is_fit_for_every_sink(
    watched: PriceAlert, prices: tuple[float, ...], direction: str, values: dict[str, float]
) -> None:
    items = trades(*prices)
    (firing,) = Watched(watched).see(items)
    signal = signal_of(firing)
    last = items[-1]
    assert isinstance(last, Trade)
    assert signal == Signal(
        id=f"signal/binance/BTC/USDT/trade/{last.event_time}/price_alert_a",
        venue="binance",
        symbol="BTC/USDT",
        interval="trade",
        open_time=last.event_time,
        event_time=last.event_time,
        rule="price_alert_a",
        direction=direction,  # type: ignore[arg-type]
        strength=1.0,
        values=values,
        candle_id=ce_id(last),
        complete=True,
    )
    assert signal_fault(signal) is None
    longest = alert("above", 1.0, id="x" * 64, venue="a" * 20, symbol="ABCDEFGHIJ/ABCDEFGHIJ:ABCDEFGHIJ")
    assert fault_of(longest) is None
    assert signal_fault(signal_of(replace(firing, alert=longest))) is None


def test_the_message_of_an_alert_speaks_of_a_trade() -> None:
    (firing,) = Watched(alert("above", 100.0)).see(trades(101.5))
    message = Templates().render(occasion_of(signal_of(firing)), "json")
    assert message.subject == "BTC/USDT at 101.5: price_alert_a (binance)"
    assert "candle" not in message.text
    assert "traded at 101.5" in message.text


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (alert("above", 100.0, id=""), "id"),
        (alert("above", 100.0, id="a*"), "id"),
        (alert("above", 100.0, id="x" * 65), "id"),
        (alert("above", 100.0, venue=""), "market"),
        (alert("above", 0.0), "level"),
        (alert("above", float("nan")), "level"),
        (alert("move", 5.0), "window"),
        (alert("move", 5.0, window_s=1e6), "window"),
    ],
)
def test_an_alert_that_cannot_be_watched_is_left_out_with_a_reason(wrong: PriceAlert, said: str) -> None:
    log = AlertVersions()
    reason = log.take(encode(wrong))
    assert reason is not None
    assert said in reason
    assert log.versions() == []


def test_values_that_are_no_alerts_are_left_out() -> None:
    log = AlertVersions()
    assert log.take(None) == "it is empty"
    assert log.take(b"\x00garbage") is not None
    assert log.take(encode(trades(1)[0])) == "it is a Trade"
    assert log.changes == 0


def test_each_record_holds_from_its_time_until_that_of_a_newer_one() -> None:
    first = alert("above", 100.0)
    far = alert("above", 200.0, event_time=BEGAN + 100 * SECOND)
    second = alert("above", 110.0, event_time=BEGAN + 10 * SECOND)
    log = AlertVersions()
    for each in (first, far, second, second):
        assert log.take(encode(each)) is None
    assert log.versions() == [Version(first, second.event_time), Version(second, FOREVER)]
    assert log.changes == 3
    gone = alert("above", 110.0, wanted=False, event_time=BEGAN + 20 * SECOND)
    log.take(encode(gone))
    assert log.versions()[-1] == Version(second, gone.event_time)
    assert log.newest == {"a": gone}


def test_a_replaced_record_stays_longer_than_the_trades_that_it_acts_on() -> None:
    assert TRADES.retention_ms is not None
    assert int(ALERTS.config["min.compaction.lag.ms"]) > TRADES.retention_ms
