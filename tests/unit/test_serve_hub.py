"""Fan-out without sockets: who gets what, what is conflated, dropped or held back."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from infra.settings import ServeSettings
from schemas import rows
from schemas.errors import ConflictError, ValidationError
from schemas.records import Candle, LiveCandle, Quote, Record, Signal, TimeMark, Trade
from schemas.topics import CANDLES, LIVE_CANDLES, QUOTES, SIGNALS, TRADES, Topic
from serve.hub import hub as hubs
from serve.hub.asking import question_of, subscription_of
from serve.hub.channels import CHANNELS, Subscription
from serve.hub.feeds import SILENT_S, Feeds
from serve.hub.hub import Hub
from serve.hub.outbox import Outbox, message
from serve.hub.snapshots import merged
from tests.sink_samples import sample

BTC = Subscription("trades", "binance", "BTC/USDT")
QUOTE = Subscription("quotes", "binance", "BTC/USDT")
MINUTES = Subscription("candles", "binance", "BTC/USDT", "1m")
KEY = b"binance:BTC/USDT"


def hub(**settings: Any) -> Hub:
    return Hub(ServeSettings(**settings))


def enter(hub: Hub, *subscriptions: Subscription) -> Outbox:
    """A client whose snapshots are there."""
    outbox = hub.enter(asyncio.ensure_future(asyncio.sleep(0)))
    for subscription in subscriptions:
        hub.subscribe(outbox, subscription)
        outbox.release(subscription, message("snapshot", subscription, data=[]))
    return outbox


def put(hub: Hub, topic: Topic, *records: Record, key: bytes = KEY) -> None:
    hub.take(topic.name, [(key, rows.encode(record)) for record in records])


async def taken(outbox: Outbox) -> list[dict[str, Any]]:
    async with asyncio.timeout(10):
        return [json.loads(said.text) for said in await outbox.take()]


async def test_a_record_goes_to_who_has_asked_for_it() -> None:
    core = hub()
    here, there = enter(core, BTC), enter(core, Subscription("trades", "binance", "ETH/USDT"))
    put(core, TRADES, sample(Trade, 7), TimeMark("binance", "s", 1, False, "r"))
    assert [one["type"] for one in await taken(here)] == ["snapshot", "change"]
    assert [one["type"] for one in await taken(there)] == ["snapshot"]


async def test_a_slow_client_gets_the_newest_quote_and_hears_of_lost_trades() -> None:
    core = hub(queue=10)
    outbox = enter(core, BTC, QUOTE)
    await taken(outbox)
    put(core, QUOTES, *(sample(Quote, number) for number in range(100)))
    assert len(outbox) == 1
    put(core, TRADES, *(sample(Trade, number) for number in range(40)))
    assert len(outbox) == 10
    found = await taken(outbox)
    dropped = {one["channel"]: one["count"] for one in found if one["type"] == "dropped"}
    # The quote, which waited longest, was given up as well.
    assert dropped == {"quotes": 1, "trades": 30}
    trades = [one["data"]["trade_id"] for one in found if one["type"] == "change"]
    assert trades == [str(number) for number in range(30, 40)]
    put(core, QUOTES, sample(Quote, 101))
    assert [one["type"] for one in await taken(outbox)] == ["change"]


async def test_what_comes_before_the_snapshot_waits_behind_it() -> None:
    core = hub(queue=20)
    outbox = core.enter(asyncio.ensure_future(asyncio.sleep(0)))
    core.subscribe(outbox, BTC)
    put(core, TRADES, *(sample(Trade, number) for number in range(50)))
    assert len(outbox) == 20
    outbox.release(BTC, message("snapshot", BTC, data=[]))
    found = await taken(outbox)
    assert found[0]["type"] == "dropped"
    assert found[0]["count"] + sum(one["type"] == "change" for one in found) in {50, 51}
    assert found[-1]["data"]["trade_id"] == "49"


async def test_an_open_candle_that_comes_after_the_closed_one_is_not_told() -> None:
    core = hub()
    outbox = enter(core, MINUTES)
    await taken(outbox)
    put(core, LIVE_CANDLES, sample(LiveCandle), key=KEY + b":1m")
    put(core, CANDLES, sample(Candle))
    put(core, LIVE_CANDLES, sample(LiveCandle), key=KEY + b":1m")
    put(core, LIVE_CANDLES, sample(LiveCandle, 1), key=KEY + b":1m")
    found = [(one["data"]["time"], one["data"]["closed"]) for one in await taken(outbox)]
    first = sample(Candle)
    assert isinstance(first, Candle)
    assert found == [(first.open_time, True), (first.close_time, False)]


async def test_signals_are_narrowed_by_what_was_asked() -> None:
    core = hub()
    every, some, other = (
        enter(core, Subscription("signals", *narrowed))
        for narrowed in ((), ("binance", "BTC/USDT"), ("gateio",))
    )
    put(core, SIGNALS, sample(Signal))
    assert [len(await taken(each)) for each in (every, some, other)] == [2, 2, 1]


async def test_nobody_is_told_after_leaving_and_values_are_not_read_for_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = hub()
    outbox = enter(core, BTC)
    core.leave(outbox)
    assert core.figures() == {"clients": 0, "subscriptions": 0, "waiting": 0}

    def never(value: bytes) -> Record:
        raise AssertionError("a value was decoded for nobody")

    monkeypatch.setattr(hubs, "_decoded", never)
    put(core, TRADES, sample(Trade, 7))


async def test_clients_and_subscriptions_are_bounded() -> None:
    core = hub(clients=1, subscriptions=1)
    outbox = enter(core, BTC)
    with pytest.raises(ConflictError, match=r"serve\.clients"):
        enter(core)
    with pytest.raises(ValidationError, match="1 subscriptions"):
        core.subscribe(outbox, QUOTE)


async def test_a_client_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "SWEEP_S", 0.01)
    core = hub(slow_client_s=0.05)
    task = asyncio.create_task(asyncio.sleep(60))
    outbox = core.enter(task)
    sweeping = asyncio.create_task(core.sweep())
    outbox.tell(message("warning", message="?"))
    await asyncio.sleep(0.1)
    # Nothing is on its way: waiting is no fault.
    assert not task.cancelled()
    await outbox.take()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert outbox.given_up
    sweeping.cancel()


def test_a_snapshot_holds_each_candle_once_in_its_newest_state() -> None:
    def candle(time: int, close: float, *, closed: bool, revision: int = 0) -> dict[str, Any]:
        return {"time": time, "close": close, "closed": closed, "revision": revision}

    found = [
        candle(1, 1.0, closed=True, revision=1),
        candle(2, 2.0, closed=True),
        candle(1, 9.0, closed=True),
        candle(2, 9.0, closed=False),
        candle(3, 3.0, closed=False),
        candle(3, 4.0, closed=False),
    ]
    assert [(one["time"], one["close"]) for one in merged(CHANNELS["candles"], found)] == [
        (1, 1.0),
        (2, 2.0),
        (3, 4.0),
    ]


@pytest.mark.parametrize(
    "asked",
    [
        {"channel": "none"},
        {"channel": ["trades"]},
        {"channel": "trades", "venue": "binance"},
        {"channel": "trades", "venue": "binance", "symbol": "BTC\nUSDT"},
        {"channel": "trades", "venue": "binance", "symbol": "BTC/USDT", "interval": "1m"},
        {"channel": "candles", "venue": "binance", "symbol": "BTC/USDT", "interval": "soon"},
    ],
)
def test_a_wrong_subscription_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        subscription_of(asked)


@pytest.mark.parametrize("text", ["", "nil", "1", '{"action": 1}', "[" * 4000, '{"action":"x"}'])
def test_a_wrong_question_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        question_of(text)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("serve.hub.feeds.time.monotonic", lambda: now[0])
    return now


def test_processors_are_behind_by_their_slowest_partition() -> None:
    feeds = Feeds()
    assert feeds.process_lag_s() is None

    def value(second: int) -> bytes:
        return rows.encode(TimeMark("binance", "a", second * 1_000_000, False, "r"))

    feeds.take([(value(10), 10_000)])
    feeds.processed(0, [value(9), value(10)])
    assert feeds.process_lag_s() == 0
    feeds.processed(1, [value(7), b"no record"])
    assert feeds.process_lag_s() == 3


def test_a_feed_without_marks_is_not_connected_and_one_that_ended_neither(clock: list[float]) -> None:
    feeds = Feeds()

    def mark(second: int, source: str = "a", *, final: bool = False) -> None:
        value = rows.encode(TimeMark("binance", source, second * 1_000_000, final, "r"))
        feeds.take([(value, second * 1_000 + 250), (value, second * 1_000 + 250)])

    mark(1)
    state = feeds.states()["binance"]
    assert (state.connected, state.delay_s, state.mark) == (True, 0.25, 1_000_000)
    clock[0] += SILENT_S + 1
    assert not feeds.states()["binance"].connected
    mark(2)
    mark(1, "b")
    assert feeds.states()["binance"].connected
    assert feeds.states()["binance"].mark == 1_000_000
    mark(3, final=True)
    assert feeds.states()["binance"].connected
    mark(3, "b", final=True)
    state = feeds.states()["binance"]
    assert (state.connected, state.ended) == (False, True)
