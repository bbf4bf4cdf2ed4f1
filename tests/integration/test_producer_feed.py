"""From a simulated exchange over a real WebSocket into a real Kafka, value by value."""

import asyncio
import gzip
import itertools
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from producers import line, link, stage
from producers.capture import CaptureReader, CaptureWriter
from producers.markets import exchange_class
from producers.simulator.playback import Playback
from schemas.errors import ConfigurationError
from schemas.records import Gap, Position, Quote, SystemEvent, TimeMark, Trade
from schemas.topics import POSITIONS, QUOTES, SYSTEM_EVENTS, TRADES
from tests.producer_harness import MUTE, OPEN, ScriptedVenue, Topics, feed, playing, settings_for

CAPTURE = "binance-spot-btcusdt.capture.gz"
TRADES_OF_CAPTURE = 19_904
QUOTES_OF_CAPTURE = 73_174
PARTITIONS = 4
SECOND_US = 1_000_000


@pytest.fixture
def topics(kafka: str) -> Topics:
    """The market topics, empty."""
    found = Topics(kafka)
    found.renew()
    return found


@dataclass
class Recorded:
    """What a capture says, read independently of the product."""

    trades: list[dict[str, Any]]
    quotes: int

    @property
    def times(self) -> list[int]:
        return [trade["T"] * 1000 for trade in self.trades]

    def marks(self) -> list[int]:
        """Times of the marks that the trades must bring, the final one not among them."""
        marks: list[int] = []
        newest = 0
        for event_time in self.times:
            newest = max(newest, event_time)
            if not marks or event_time // SECOND_US > marks[-1] // SECOND_US:
                marks.append(newest)
        return marks


def recorded(path: Path) -> Recorded:
    trades, quotes = [], 0
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in itertools.islice(lines, 1, None):
            message = json.loads(line.partition(" ")[2])
            if message.get("stream", "").endswith("@trade"):
                trades.append(message["data"])
            quotes += message.get("stream", "").endswith("@bookTicker")
    return Recorded(trades, quotes)


def head_of(captures: Path, target: Path, trades: int) -> Path:
    """The beginning of the recorded capture, up to a number of trades."""
    reader = CaptureReader(captures / CAPTURE)
    with CaptureWriter(target, reader.header) as writer:
        for entry in reader:
            if entry.rest is None:
                writer.write(entry.receive_ns, entry.frame.decode())
                trades -= b"@trade" in entry.frame[:40]
            if not trades:
                break
    return target


def trade_frame(number: int, **fields: Any) -> str:
    data = {"e": "trade", "s": "BTCUSDT", "t": number, "p": "1.5", "q": "2.0", "m": True}
    data["T"] = 1_700_000_000_000 + number
    return json.dumps({"stream": "btcusdt@trade", "data": data | fields}, separators=(",", ":"))


def values(trades: list[Trade]) -> list[tuple[Any, ...]]:
    return [(t.sequence, t.price, t.size, t.side, t.event_time) for t in trades]


async def test_a_capture_arrives_whole_once_and_exact(topics: Topics, captures: Path) -> None:
    path = captures / CAPTURE
    expected = recorded(path)
    first_run = await feed(topics, Playback(path, "max"))

    stored = topics.read(TRADES.name)
    trades = [record for entry in stored if isinstance(record := entry.record, Trade)]
    assert len(trades) == TRADES_OF_CAPTURE
    assert [(t.trade_id, t.price, t.size, t.side, t.event_time) for t in trades] == [
        (str(t["t"]), float(t["p"]), float(t["q"]), "sell" if t["m"] else "buy", t["T"] * 1000)
        for t in expected.trades
    ]
    ids = [trade.sequence for trade in trades if trade.sequence is not None]
    assert ids == list(range(ids[0], ids[0] + TRADES_OF_CAPTURE))
    assert {entry.key for entry in stored if isinstance(entry.record, Trade)} == {"binance:BTC/USDT"}
    quotes = topics.read(QUOTES.name)
    assert sum(isinstance(entry.record, Quote) for entry in quotes) == expected.quotes == QUOTES_OF_CAPTURE
    assert not any(isinstance(entry.record, Gap) for entry in stored)

    times = [*expected.marks(), max(expected.times)]
    for entries in (stored, quotes):
        for number in range(PARTITIONS):
            marks = [
                record
                for entry in entries
                if entry.partition == number and isinstance(record := entry.record, TimeMark)
            ]
            assert [mark.time for mark in marks] == times
            assert [mark.final for mark in marks] == [False] * (len(times) - 1) + [True]
            assert {mark.instance for mark in marks} == {first_run}
    newest = 0
    home = next(entry.partition for entry in stored if isinstance(entry.record, Trade))
    for record in (entry.record for entry in stored if entry.partition == home):
        if isinstance(record, Trade):
            newest = max(newest, record.event_time)
        elif isinstance(record, TimeMark):
            assert record.time == newest, "a mark says the newest time before it"

    second_run = await feed(topics, Playback(path, "max"))
    for topic, entries in ((TRADES.name, stored), (QUOTES.name, quotes)):
        known = {(entry.partition, entry.offset) for entry in entries}
        added = [entry.record for entry in topics.read(topic) if (entry.partition, entry.offset) not in known]
        assert added == [TimeMark("binance", "binance-spot-0", times[-1], True, second_run)] * PARTITIONS


async def test_the_speed_changes_nothing_but_the_time_it_takes(
    topics: Topics, captures: Path, tmp_path: Path
) -> None:
    path = head_of(captures, tmp_path / "head.capture.gz", 1_500)
    await feed(topics, Playback(path, "max"))
    fast = values(topics.records(TRADES.name, Trade))
    fast_marks = [(mark.time, mark.final) for mark in topics.records(TRADES.name, TimeMark)]
    topics.renew()
    await feed(topics, Playback(path, 40.0))
    assert values(topics.records(TRADES.name, Trade)) == fast
    assert [(mark.time, mark.final) for mark in topics.records(TRADES.name, TimeMark)] == fast_marks
    assert len(fast) == 1_500


@pytest.mark.parametrize("rewind", [True, False])
async def test_a_connection_that_breaks_loses_nothing_or_tells_the_gap(
    topics: Topics, captures: Path, tmp_path: Path, rewind: bool
) -> None:
    path = head_of(captures, tmp_path / "head.capture.gz", 4_000)
    playback = Playback(path, 80.0, rewind=rewind)

    async with playing(playback) as server:

        async def cut() -> None:
            while playback.played < 6_000:
                await asyncio.sleep(0.01)
            next(iter(server.clients)).transport.abort()

        settings = settings_for(topics, server)
        await asyncio.gather(cut(), asyncio.wait_for(stage.run(settings, asyncio.Event()), 30.0))

    trades = topics.records(TRADES.name, Trade)
    gaps = topics.records(TRADES.name, Gap)
    numbers = [trade.sequence for trade in trades if trade.sequence is not None]
    assert sorted(numbers) == list(range(3735683259, 3735683259 + 4_000)), "each once"
    in_stream = [trade.sequence for trade in trades if not trade.backfilled]
    assert in_stream == sorted(set(numbers) & set(in_stream)), "in order"
    assert {gap.status for gap in gaps} <= {"opened", "filled"}
    if rewind:
        assert in_stream == numbers
    kinds = [event.type for event in topics.records(SYSTEM_EVENTS.name, SystemEvent)]
    assert kinds.count("provider.connected") == kinds.count("provider.disconnected") == 2
    assert kinds.count("gap") == len([gap for gap in gaps if gap.status == "filled"])


async def test_no_mark_passes_a_gap_before_it_is_filled(
    topics: Topics, captures: Path, tmp_path: Path
) -> None:
    path = head_of(captures, tmp_path / "head.capture.gz", 3_000)
    async with playing(Playback(path, 40.0, rewind=False), "gap@5000:20") as server:
        await asyncio.wait_for(stage.run(settings_for(topics, server), asyncio.Event()), 30.0)

    newest_mark = 0
    found = topics.read(TRADES.name)
    partition = next(stored.partition for stored in found if isinstance(stored.record, Trade))
    for stored in found:
        record = stored.record
        if isinstance(record, TimeMark) and stored.partition == partition:
            newest_mark = max(newest_mark, record.time)
        elif isinstance(record, Trade) and record.backfilled:
            assert record.event_time >= newest_mark - SECOND_US
    assert any(isinstance(stored.record, Trade) and stored.record.backfilled for stored in found)


async def test_malformed_frames_go_to_the_dead_letters_and_the_feed_goes_on(topics: Topics) -> None:
    bad: list[str | bytes] = [
        trade_frame(2, p="NaN"),
        trade_frame(3, q="-1"),
        '{"stream":"btcusdt@trade","data":{"e":"tra',
        "nonsense",
        trade_frame(4, s="OTHER"),
        trade_frame(5, T=1),
    ]
    frames: list[str | bytes] = [trade_frame(1), *bad, trade_frame(6), b"\xff\xfe", trade_frame(7)]
    async with ScriptedVenue((frames, 4000)).serving() as venue:
        await asyncio.wait_for(stage.run(settings_for(topics, venue), asyncio.Event()), 30.0)

    assert [trade.sequence for trade in topics.records(TRADES.name, Trade)] == [1, 6, 7]
    opened, given_up = topics.records(TRADES.name, Gap)
    assert (opened.status, opened.first_sequence, opened.last_sequence) == ("opened", 2, 5)
    assert (given_up.status, given_up.first_sequence, given_up.last_sequence) == ("given_up", 2, 5)
    letters = topics.read(TRADES.dead_letter_name)
    assert [letter.value.decode("utf-8", "replace") for letter in letters][:6] == bad
    reasons = [letter.headers["__connect.errors.exception.message"].decode() for letter in letters]
    assert reasons[0].startswith("expected a price above 0")
    assert "'NaN'" in reasons[0]
    assert "not JSON" in reasons[3]
    assert letters[0].headers["__connect.errors.topic"] == TRADES.name.encode()
    errors = [e for e in topics.records(SYSTEM_EVENTS.name, SystemEvent) if e.type == "provider.error"]
    told = {event.data["reason"] for event in errors}
    # `shape`: the scripted venue has no past trades, and answers with something else.
    assert told == {"price", "size", "json", "symbol", "time", "shape"}


async def test_a_venue_that_hangs_up_is_called_again_without_end(topics: Topics) -> None:
    scripts = [([trade_frame(1)], 1006), ([trade_frame(1), trade_frame(2)], 1011), ([trade_frame(3)], 4000)]
    async with ScriptedVenue(*scripts).serving() as venue:
        await asyncio.wait_for(stage.run(settings_for(topics, venue), asyncio.Event()), 30.0)
        assert len(venue.connections) == 3
    assert [trade.sequence for trade in topics.records(TRADES.name, Trade)] == [1, 2, 3]


async def test_a_mute_connection_is_given_up(topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_class("binance"), "ping_after_s", 0.2)
    monkeypatch.setattr(line, "PONG_WITHIN_S", 0.4)
    monkeypatch.setattr(link, "CLOSE_TIMEOUT_S", 0.2)
    async with ScriptedVenue(([trade_frame(1)], MUTE), ([trade_frame(2)], 4000)).serving() as venue:
        await asyncio.wait_for(stage.run(settings_for(topics, venue), asyncio.Event()), 30.0)
    assert [trade.sequence for trade in topics.records(TRADES.name, Trade)] == [1, 2]
    events = topics.records(SYSTEM_EVENTS.name, SystemEvent)
    assert any("no sign of life" in event.message for event in events)


async def test_a_stop_writes_the_final_mark(topics: Topics) -> None:
    stop = asyncio.Event()
    async with ScriptedVenue(([trade_frame(1), trade_frame(2)], OPEN)).serving() as venue:
        settings = settings_for(topics, venue)
        running = asyncio.create_task(stage.run(settings, stop))
        async with asyncio.timeout(15.0):
            while len(await asyncio.to_thread(topics.records, TRADES.name, Trade)) < 2:
                await asyncio.sleep(0.05)
        stop.set()
        await asyncio.wait_for(running, 15.0)
    finals = [mark for mark in topics.records(TRADES.name, TimeMark) if mark.final]
    assert [mark.time for mark in finals] == [1_700_000_000_002_000] * PARTITIONS
    told = topics.read(SYSTEM_EVENTS.name)
    event = next(stored for stored in told if stored.headers["ce_type"] == b"provider.connected")
    assert event.headers["ce_specversion"] == b"1.0"
    assert event.headers["ce_id"].decode() == event.record.id  # type: ignore[attr-defined]


async def test_an_idle_live_feed_goes_on_marking_time(topics: Topics) -> None:
    stop = asyncio.Event()
    began_ms = time.time_ns() // 1_000_000
    async with ScriptedVenue(([trade_frame(1, T=began_ms)], OPEN)).serving() as venue:
        running = asyncio.create_task(stage.run(settings_for(topics, venue, idle_marks=True), stop))
        async with asyncio.timeout(15.0):
            while len(await asyncio.to_thread(topics.records, QUOTES.name, TimeMark)) < 3 * PARTITIONS:
                await asyncio.sleep(0.1)
        stop.set()
        await asyncio.wait_for(running, 15.0)
    times = [mark.time for mark in topics.records(TRADES.name, TimeMark) if not mark.final]
    assert max(times) // SECOND_US > began_ms // 1000


async def test_wrong_symbols_are_told_with_near_ones(topics: Topics) -> None:
    async with ScriptedVenue(([], 4000)).serving(["BTC/USDT", "ETH/USDT"]) as venue:
        with pytest.raises(ConfigurationError, match=r"did you mean .*BTC/USDT"):
            await stage.run(settings_for(topics, venue, symbols=["BTC/USTD"]), asyncio.Event())


async def test_without_a_network_it_tries_on_until_it_is_stopped(topics: Topics) -> None:
    venue = ScriptedVenue()
    venue.websocket_url, venue.rest_url = "ws://127.0.0.1:9", "http://127.0.0.1:9"
    stop = asyncio.Event()
    running = asyncio.create_task(stage.run(settings_for(topics, venue), stop))
    await asyncio.sleep(0.5)
    assert not running.done()
    stop.set()
    await asyncio.wait_for(running, 5.0)


async def test_a_killed_producer_goes_on_where_the_log_stands(
    topics: Topics, captures: Path, tmp_path: Path
) -> None:
    path = head_of(captures, tmp_path / "head.capture.gz", 6_000)
    playback = Playback(path, 200.0)
    async with playing(playback) as server:
        arguments = (server.websocket_url, server.rest_url, topics.settings.bootstrap_servers)
        script = (
            "import asyncio, sys; from infra.settings import *; from producers import stage;"
            "ws, rest, kafka = sys.argv[1:];"
            "asyncio.run(stage.run(Settings(kafka=KafkaSettings(bootstrap_servers=kafka), producer="
            "ProducerSettings(symbols=['BTC/USDT'], websocket_url=ws, rest_url=rest, idle_marks=False,"
            "lossless=True, instance_id='one')),"
            "asyncio.Event()))"
        )
        command = [sys.executable, "-c", script, *[str(argument) for argument in arguments]]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        first = await asyncio.create_subprocess_exec(*command, env=environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while playback.played < 12_000:
            assert first.returncode is None
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        first.kill()
        await first.wait()
        half = len(topics.records(TRADES.name, Trade))
        second = await asyncio.create_subprocess_exec(*command, env=environment, stderr=subprocess.DEVNULL)
        assert await asyncio.wait_for(second.wait(), 40.0) == 0
    assert 0 < half < 6_000
    numbers = [trade.sequence for trade in topics.records(TRADES.name, Trade)]
    assert numbers == list(range(3735683259, 3735683259 + 6_000))
    assert not topics.records(TRADES.name, Gap)
    assert topics.records(POSITIONS.name, Position)[-1].time == topics.records(TRADES.name, TimeMark)[-1].time
