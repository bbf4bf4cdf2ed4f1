"""REST, WebSocket, SSE and health over a real database and a real broker."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from pydantic import SecretStr
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from infra.settings import Settings
from schemas.records import Quote, TimeMark, Trade
from schemas.topics import CANDLES, LIVE_CANDLES, QUOTES, TRADES
from serve.hub.channels import CHANNELS
from tests.processor_harness import expected
from tests.serve_harness import FEED, Client, Server, serving, store
from tests.sink_harness import BASE_US, Log, fresh_topics, settings_for
from tests.sink_samples import sample

MARKET = "venue=binance&symbol=S0/USDT"
TELLING = {"/health", "/readyz", "/startupz", "/livez"}
"""Paths where a 503 is an answer and no failure."""


@pytest.fixture(scope="module")
def stored(kafka: str, sink_database: Callable[[], str]) -> Settings:
    url = sink_database()
    settings = settings_for(kafka, url)
    fresh_topics(settings.kafka)
    asyncio.run(store(settings, kafka, url))
    return settings


@pytest.fixture(scope="module")
def server(stored: Settings) -> Iterator[Server]:
    with serving(stored) as running:
        yield running


def test_candles_page_back_to_the_first_one(server: Server) -> None:
    records = expected(FEED)[CANDLES.name].values()
    wanted = sorted(
        (r.open_time, r.open, r.close, r.volume, r.complete)  # type: ignore[attr-defined]
        for r in records
        if r.symbol == "S0/USDT" and r.interval == "1s"  # type: ignore[attr-defined]
    )
    found: list[tuple[Any, ...]] = []
    before = ""
    pages = 0
    while True:
        page = server.get(f"/api/v1/candles?{MARKET}&interval=1s&limit=20{before}").json
        pages += 1
        found = [
            (row["time"], row["open"], row["close"], row["volume"], row["complete"]) for row in page["data"]
        ] + found
        if page["before"] is None:
            break
        before = f"&before={page['before']}"
    assert found == wanted
    assert pages == -(-len(wanted) // 20)


def test_trades_page_back_without_loss_within_a_moment(server: Server) -> None:
    wanted = {item.trade_id for item in FEED[0] if isinstance(item, Trade) and item.symbol == "S0/USDT"}
    found: list[str] = []
    before = ""
    while True:
        page = server.get(f"/api/v1/trades?{MARKET}&limit=37{before}").json
        found += [row["trade_id"] for row in page["data"]]
        if page["before"] is None:
            break
        before = f"&before={page['before']}"
    assert len(found) == len(wanted)
    assert set(found) == wanted


def test_a_range_is_given_by_micros_or_by_rfc_3339(server: Server) -> None:
    first, end = BASE_US + 10_000_000, BASE_US + 20_000_000
    by_number = server.get(f"/api/v1/candles?{MARKET}&interval=1s&from={first}&to={end}").json
    by_text = server.get(
        f"/api/v1/candles?{MARKET}&interval=1s&from=2023-11-14T22:13:30Z&to=2023-11-14T22:13:40%2B00:00"
    ).json
    assert by_number == by_text
    assert all(first <= row["time"] < end for row in by_number["data"])
    assert by_number["data"]


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/api/v1/candles?venue=binance", 422, "symbol must be given"),
        (f"/api/v1/candles?{MARKET}&interval=1min", 422, "interval is a length, as 1m; got '1min'"),
        (f"/api/v1/candles?{MARKET}&interval=1s&form=1", 422, "no parameter 'form'; did you mean from?"),
        (f"/api/v1/candles?{MARKET}&interval=1s&from=5&to=3", 422, "from is later than to"),
        ("/api/v1/venues?venue=binance", 422, "no parameter 'venue'; it takes none"),
        (f"/api/v1/candles?{MARKET}&interval=1s&from=yesterday", 422, "RFC 3339"),
        (f"/api/v1/candles?{MARKET}&interval=1s&limit=0", 422, "limit"),
        ("/api/v1/trades?venue=binance&symbol=NO/NE", 404, "nothing is stored of binance NO/NE"),
        ("/api/v1/nothing", 404, "there is nothing at /api/v1/nothing; /docs lists"),
        ("/api/v1/stream?channel=candles", 422, "candles needs venue"),
    ],
)
def test_a_wrong_question_is_told_what_is_wrong(server: Server, path: str, status: int, detail: str) -> None:
    answer = server.get(path, X_Request_ID="my-id")
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == status
    assert detail in answer.json["detail"]
    assert answer.json["request_id"] == answer.headers["x-request-id"] == "my-id"


def test_head_is_get_without_a_body_and_options_names_the_methods(server: Server) -> None:
    path = f"/api/v1/candles?{MARKET}&interval=1s&limit=3"
    whole, head = server.get(path), server.get(path, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["etag"] == whole.headers["etag"]
    assert int(head.headers["content-length"]) == len(whole.body)
    options = server.get(path, method="OPTIONS")
    assert (options.status, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    for refused, method, allow in (
        (path, "POST", "GET, HEAD, OPTIONS"),
        ("/api/v1/stream?channel=events", "HEAD", "GET, OPTIONS"),
    ):
        answer = server.get(refused, method=method)
        assert (answer.status, answer.headers["allow"]) == (405, allow)
    assert server.get("/api/v1/nothing", method="POST").status in {404, 405}


def test_what_has_not_changed_is_not_sent_again(server: Server) -> None:
    path = f"/api/v1/signals?{MARKET}"
    first = server.get(path)
    again = server.get(path, If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_instruments_name_what_there_is(server: Server) -> None:
    found = server.get("/api/v1/instruments?venue=binance&symbol=S1/USDT").json["data"]
    assert found == [
        {
            "venue": "binance",
            "symbol": "S1/USDT",
            "base": "S1",
            "quote": "USDT",
            "intervals": ["1s", "1m"],
            **dict.fromkeys(("kind", "status", "tick_size", "lot_size", "min_notional", "multiplier")),
        }
    ]
    listed = server.get("/api/v1/instruments?symbol=BTC/USDT").json["data"][0]
    assert (listed["kind"], listed["tick_size"]) == ("perpetual", 0.01)
    first = server.get("/api/v1/instruments?limit=3").json
    rest = server.get(f"/api/v1/instruments?after={urllib.parse.quote(first['after'])}").json
    assert [row["symbol"] for row in first["data"] + rest["data"]] == [
        "BTC/USDT",
        *(f"S{number}/USDT" for number in range(6)),
    ]


def asking(server: Server, checks: list[Any]) -> Callable[[Any], None]:
    def ask(case: Any) -> None:
        case.call_and_validate(base_url=server.url, checks=checks)

    return ask


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # schemathesis does
def test_the_api_is_as_it_is_described(server: Server) -> None:
    """Questions made from the description never fail the server, and their answers are as described."""
    described = server.get("/openapi.json").json
    # It does not end.
    del described["paths"]["/api/v1/stream"]
    schema = schemathesis.openapi.from_dict(described)
    checks = [status_code_conformance, content_type_conformance, response_schema_conformance]
    known = {"venue": "binance", "symbol": "S0/USDT", "interval": "1s"}
    places = {"topic": "market.trades.v1.dlq", "name": "kafka"}
    asked = []
    for operation in schema.get_all_operations():
        api: Any = operation.ok()  # type: ignore[union-attr]
        # They answer 503 where no feed is connected, or a dependency was not asked yet.
        held = checks if api.path in TELLING else [not_a_server_error, *checks]
        ask = asking(server, held)
        # Without a query nothing can be wrong with it.
        for mode in GenerationMode if api.query else [GenerationMode.POSITIVE]:
            bounded = hypothesis.settings(max_examples=6, deadline=None, derandomize=True, database=None)
            bounded(hypothesis.given(case=api.as_strategy(generation_mode=mode))(ask))()
        # What is asked for exists, so that rows are held against the models.
        named = {parameter.name for parameter in api.query}
        inside = {each.name: places[each.name] for each in api.path_parameters}
        query = {name: value for name, value in known.items() if name in named}
        ask(api.Case(path_parameters=inside, query=query))
        asked.append(api.path)
    assert len(asked) >= 11


async def test_a_snapshot_first_then_changes(server: Server, kafka: str) -> None:
    log = Log(kafka)
    market = {"venue": "binance", "symbol": "S0/USDT"}
    async with server.connected() as client:
        await client.ask(action="subscribe", channel="trades", **market)
        assert await client.next("subscribed") == {"type": "subscribed", "channel": "trades", **market}
        snapshot = (await client.next("snapshot"))["data"]
        wanted = [item for item in FEED[0] if isinstance(item, Trade) and item.symbol == "S0/USDT"][-50:]
        assert [row["trade_id"] for row in snapshot] == [trade.trade_id for trade in wanted]
        coming = Trade("binance", "S0/USDT", "new", None, 1.5, 2.0, "buy", BASE_US, BASE_US + 1)
        await _until_told(client, log, coming)


async def _until_told(client: Client, log: Log, coming: Trade) -> None:
    """The reader of the topics may begin after the first one was written: it is written until it is told."""

    async def publish() -> None:
        while True:
            await asyncio.to_thread(log.put, TRADES, 0, [coming])
            await asyncio.sleep(0.2)

    publishing = asyncio.create_task(publish())
    change = await client.next("change")
    publishing.cancel()
    assert change["data"] == {
        "time": BASE_US,
        "trade_id": "new",
        "price": 1.5,
        "size": 2.0,
        "side": "buy",
        "receive_time": BASE_US + 1,
    }


async def test_what_cannot_be_read_is_warned_about_and_what_cannot_be_is_refused(server: Server) -> None:
    async with server.connected() as client:
        for text in ("{", "[]", '{"action": "dance"}', "x" * 10_000):
            await client.connection.send(text)
            assert (await client.next("warning"))["message"]
        await client.connection.send(b"\x00")
        assert (await client.next("warning"))["message"]
        await client.ask(action="subscribe", channel="candles", venue="binance", symbol="S0/USDT")
        refused = await client.next("error")
        assert "needs interval" in refused["message"]
        assert refused["channel"] == "candles"
        await client.ask(action="subscribe", channel="quotes", venue="binance", symbol="BTC/USDT")
        assert (await client.next("snapshot"))["data"][0]["bid"] == 100.5
        await client.ask(action="unsubscribe", channel="quotes", venue="binance", symbol="BTC/USDT")
        assert (await client.next("unsubscribed"))["channel"] == "quotes"


@pytest.mark.parametrize("channel", ["books", "tickers", "notifications", "events", "signals", "indicators"])
async def test_every_channel_has_a_snapshot_of_what_is_stored(server: Server, channel: str) -> None:
    asked = {"venue": "binance", "symbol": "BTC/USDT"} if channel in {"books", "tickers"} else {}
    if channel == "indicators":
        asked = {"venue": "binance", "symbol": "S0/USDT", "interval": "1s"}
    async with server.connected() as client:
        await client.ask(action="subscribe", channel=channel, **asked)
        assert (await client.next("snapshot"))["data"]


async def test_the_open_candle_is_told_and_then_closed(server: Server, kafka: str) -> None:
    log = Log(kafka)
    asked = {"venue": "binance", "symbol": "BTC/USDT", "interval": "1m"}
    async with server.connected() as client:
        await client.ask(action="subscribe", channel="candles", **asked)
        snapshot = (await client.next("snapshot"))["data"]
        assert [(row["time"], row["closed"]) for row in snapshot] == [(BASE_US, False)]
        live, closed = (sample(candle) for candle in (type_of(LIVE_CANDLES), type_of(CANDLES)))
        key = b"binance:BTC/USDT"
        async with asyncio.timeout(20):
            while True:
                await asyncio.to_thread(log.put, CANDLES, 0, [closed], key)
                await asyncio.to_thread(log.put, LIVE_CANDLES, 0, [live], key + b":1m")
                change = await client.next("change")
                if change["data"]["closed"]:
                    break
        await asyncio.to_thread(log.put, CANDLES, 0, [sample(type_of(CANDLES), 1)], key)
        # The open candle of that time was late: nothing was said of it.
        told = await client.next("change")
        while told["data"]["time"] == BASE_US:
            assert told["data"]["closed"]
            told = await client.next("change")
        assert (told["data"]["time"], told["data"]["closed"]) == (BASE_US + 60_000_000, True)


def type_of(topic: Any) -> Any:
    return topic.records[0]


async def test_event_source_gets_the_same(server: Server, kafka: str) -> None:
    """Each channel's messages are, by SSE, those of a WebSocket."""
    wanted = "&".join(f"channel={name}" for name in CHANNELS)
    path = f"/api/v1/stream?{wanted}&venue=binance&symbol=BTC/USDT&interval=1m"

    has_snapshots = threading.Event()

    def events(count: int) -> dict[tuple[str, str], Any]:
        with urllib.request.urlopen(server.url + path, timeout=20) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            found: dict[tuple[str, str], Any] = {}
            while len(found) < count:
                name, data, _ = (stream.readline().decode().strip() for _ in range(3))
                if name.startswith(":"):
                    continue
                said = json.loads(data.removeprefix("data: "))
                assert name == f"event: {said['type']}"
                found[said["type"], said["channel"]] = said
                if len(found) == 2 * len(CHANNELS):
                    has_snapshots.set()
        return found

    async with server.connected() as client:
        for name, channel in CHANNELS.items():
            parts = {"venue": "binance", "symbol": "BTC/USDT", "interval": "1m"}
            used = {part: parts[part] for part in (*channel.needs, *channel.narrowed_by)}
            await client.ask(action="subscribe", channel=name, **used)
        count = 2 * len(CHANNELS) + 1
        streamed = asyncio.create_task(asyncio.to_thread(events, count))
        heard: dict[tuple[str, str], Any] = {}
        async with asyncio.timeout(20):
            while len(heard) < count:
                if len(heard) == count - 1 and await asyncio.to_thread(has_snapshots.wait, 20):
                    # Both have their snapshots: what comes now is an update to both.
                    Log(kafka).put(QUOTES, 0, [sample(Quote, 7)])
                said = await client.until(lambda _: True)
                heard[said["type"], said["channel"]] = said
        assert await streamed == heard


def test_health_says_which_service_is_down_and_up(server: Server, kafka: str) -> None:
    answer = server.get("/health")
    assert answer.status == 503
    assert answer.json["services"] == {"database": "up", "kafka": "up", "exchange": "down"}
    at, deadline = BASE_US + 900_000_000, time.monotonic() + 20
    while answer.status != 200 and time.monotonic() < deadline:
        at += 1_000_000
        Log(kafka).put(TRADES, 0, [TimeMark("binance", "binance-spot-0", at, False, "again")])
        answer = server.get("/health")
    assert answer.json["services"]["exchange"] == "up"
    assert server.get("/api/v1/venues").json["data"][0]["connected"] is True


def test_probes_of_the_process_are_on_its_own_port_too(server: Server) -> None:
    deadline = time.monotonic() + 20
    while server.get("/readyz").json["checks"].get("database") != "ok" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert server.get("/readyz").json["checks"]["database"] == "ok"
    assert server.get("/livez").json == {"status": "alive", "checks": {"loop": "ok"}}
    assert server.get("/startupz").json["status"] in {"starting", "started"}


def test_the_pipeline_shows_lag_and_positions(server: Server, kafka: str) -> None:
    before = server.get("/api/v1/pipeline").json
    Log(kafka).put(QUOTES, 0, [sample(type_of(QUOTES), 5)] * 3)
    lags = {one["topic"]: one["lag_records"] for one in before["sinks"]}
    # Nobody stores now: what came since is lag.
    wanted, found, deadline = lags[QUOTES.name] + 3, -1, time.monotonic() + 20
    while found != wanted and time.monotonic() < deadline:
        time.sleep(0.2)
        after = server.get("/api/v1/pipeline").json
        found = next(one["lag_records"] for one in after["sinks"] if one["topic"] == QUOTES.name)
    assert found == wanted
    assert {stage["name"] for stage in after["stages"]} >= {"produce", "process", "sink timescale"}
    rates = {one["topic"]: one["rate"] for one in after["topics"]}
    assert rates[TRADES.name] is not None
    assert after["dead_letters"] == 0


async def test_a_database_that_is_away_is_told_as_503(stored: Settings) -> None:
    database = stored.database.model_copy(
        update={
            "url": SecretStr("postgresql://kandle@127.0.0.1:9/none"),
            "acquire_timeout_s": 1.0,
        }
    )
    with serving(stored.model_copy(update={"database": database})) as server:
        answer = server.get("/api/v1/signals")
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert "kandle@" not in answer.body.decode()
        assert server.get("/health").json["services"]["database"] == "down"
        async with server.connected() as client:
            await client.ask(action="subscribe", channel="signals")
            assert (await client.next("snapshot"))["data"] == []
