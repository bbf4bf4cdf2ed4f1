"""What holds for every sink that is registered, ours and the user's, on a real Kafka."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from infra.kafka.admin import Admin
from infra.kafka.dead_letters import DeadLetters
from infra.kafka.publisher import Publisher
from infra.settings import Settings, SinkSettings
from schemas import rows
from schemas.errors import ConfigurationError
from schemas.records import Record
from schemas.topics import Topic
from sinks.database import Database
from sinks.database_destination import DatabaseDestination
from sinks.destination import Destination, Log, MovedError, Pace, Place
from sinks.migrator import migrate
from sinks.portion import Portion, Slice
from sinks.registry import SHIPPED, Parts, make
from sinks.runner import Runner
from tests import sink_harness
from tests.sink_adapters import ADAPTERS, OWN_SINK, Adapter, url_of
from tests.sink_harness import PARTITIONS, fresh_topics, settings_for, until
from tests.user_package import write

OWN = "strong_signals"
SINKS = [*SHIPPED, OWN]
GOOD = 240
ROWS = 40
"""Of a portion; so that there are several."""
CRASHES = 8
REPEATED = 7
"""Of each partition's records, the one that comes twice."""


@pytest.fixture(scope="module", autouse=True)
def _own_sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = write(tmp_path_factory.mktemp("own"), {"kept_signals.py": OWN_SINK})
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def sent(kafka: str) -> dict[str, list[Record]]:
    """What good records stand in each topic that is read, among as many kinds of poison as there are."""
    fresh_topics(settings_for(kafka, "").kafka)
    log = sink_harness.Log(kafka)
    found: dict[str, list[Record]] = {}
    for adapter in (make_adapter() for make_adapter in ADAPTERS.values()):
        if adapter.topic.name in found:
            continue
        good = [adapter.record(number) for number in range(GOOD)]
        found[adapter.topic.name] = good
        for partition in range(PARTITIONS):
            own = good[partition::PARTITIONS]
            records = [*own[:50], *poison(own[0]), *own[50:], own[REPEATED]]
            for first in range(0, len(records), ROWS // PARTITIONS):
                log.put(adapter.topic, partition, records[first : first + ROWS // PARTITIONS])
    return found


def poison(record: Record) -> list[bytes | None]:
    whole = rows.encode(record)
    return [b"garbage", b"\x07" + whole[1:], b"\0\0\x0f\xff\xff" + whole[5:], whole[:-3], None]


class Around(Destination):
    """A destination with a test in front; it is made anew by `begin_again`, as by a new process."""

    def __init__(self, create: Callable[[], Destination]) -> None:
        self._create = create
        self.inner = create()
        self.name = self.inner.name
        self.logs: dict[TopicPartition, Log] = {}
        self.portions = 0

    @property
    def topics(self) -> Sequence[Topic]:
        return self.inner.topics

    @property
    def pace(self) -> Pace | None:
        return self.inner.pace

    def inspect(self, slice_: Slice) -> None:
        self.inner.inspect(slice_)

    async def place(self, logs: Mapping[TopicPartition, Log]) -> Mapping[TopicPartition, Place]:
        self.logs |= logs
        return await self.inner.place(logs)

    async def store(self, portion: Portion) -> None:
        self.portions += 1
        await self.inner.store(portion)

    async def begin_again(self) -> Mapping[TopicPartition, Place]:
        await self.inner.close()
        self.inner = self._create()
        return await self.inner.place(self.logs)

    def is_passing(self, error: Exception) -> bool:
        return self.inner.is_passing(error)

    async def recover(self, error: Exception) -> None:
        await self.inner.recover(error)

    async def serve(self) -> None:
        await self.inner.serve()

    async def close(self) -> None:
        await self.inner.close()


class StoredTwice(Around):
    """Stores every portion again: as after an answer that was lost, and as a process that was overtaken."""

    async def store(self, portion: Portion) -> None:
        await super().store(portion)
        portion.uncertain = True
        await self.inner.store(portion)
        portion.uncertain = False
        with pytest.raises(MovedError):
            await self.inner.store(portion)


class Crashing(Around):
    """Ends in the middle of storing, later each time, and begins again where the destination says."""

    def __init__(self, create: Callable[[], Destination]) -> None:
        super().__init__(create)
        self.cut, self.whole, self.nothing = 0, 0, 0
        self._delay_s = 0.0

    async def store(self, portion: Portion) -> None:
        self.portions += 1
        left = list(portion.slices)
        while left:
            task = asyncio.create_task(self.inner.store(Portion(left, dead_letters_sent=True)))
            await asyncio.sleep(self._delay_s)
            if task.done() or self.cut == CRASHES:
                await task
                self._delay_s = 0.0
                return
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.cut += 1
            self._delay_s = (self._delay_s * 2 + 0.0005) % 0.05
            places = await self.begin_again()
            before = left
            left = []
            for slice_ in before:
                place = places[TopicPartition(slice_.ref.topic, slice_.ref.partition)]
                assert place.ref == slice_.ref
                assert place.offset in {slice_.expected, slice_.next_offset}
                if place.offset == slice_.expected:
                    left.append(slice_)
            self.whole += len(before) - len(left)
            self.nothing += len(left)


class Blocked(Around):
    """Stores nothing until it is let."""

    def __init__(self, create: Callable[[], Destination]) -> None:
        super().__init__(create)
        self.free = asyncio.Event()

    async def store(self, portion: Portion) -> None:
        self.portions += 1
        await self.free.wait()
        await self.inner.store(portion)


@contextlib.contextmanager
def empty(name: str, kafka: str, postgres: Callable[[], str]) -> Iterator[tuple[Adapter, Settings]]:
    """A sink's adapter, and settings of a destination that keeps nothing yet."""
    adapter = ADAPTERS[name]()
    base = settings_for(kafka, postgres(), sink=SinkSettings(plugins=["kept_signals"], max_rows=ROWS))
    with adapter.settings(base) as settings:
        yield adapter, settings


@contextlib.asynccontextmanager
async def fed(
    name: str, settings: Settings, kind: type[Around]
) -> AsyncIterator[tuple[Around, Runner, asyncio.Task[None]]]:
    """A runner at work on the sink, with a test in front of it."""
    publisher = Publisher(settings.kafka)
    dead_letters = DeadLetters(publisher, "sink")
    database = Database(settings.database)
    parts = Parts(settings, database, publisher, dead_letters)
    around = kind(lambda: make([name], parts)[0])
    if isinstance(around.inner, DatabaseDestination):
        await asyncio.to_thread(migrate, url_of(settings))
    stop = asyncio.Event()
    runner = Runner(settings, around, dead_letters)
    task = asyncio.create_task(runner.run(stop))
    try:
        yield around, runner, task
    finally:
        stop.set()
        try:
            await asyncio.wait_for(task, 30)
        finally:
            await database.close()
            await publisher.close()


def expected_of(adapter: Adapter, good: Sequence[Record]) -> list[Any]:
    repeats = good[REPEATED * PARTITIONS : (REPEATED + 1) * PARTITIONS] if adapter.keeps_repeats else []
    return adapter.expected([*good, *repeats])


async def until_kept(
    adapter: Adapter, settings: Settings, good: Sequence[Record], task: asyncio.Task[None]
) -> None:
    expected = expected_of(adapter, good)
    await until(lambda: len(adapter.kept(settings)) >= len(expected), 30, task)
    assert adapter.kept(settings) == expected


@pytest.mark.parametrize("name", SINKS)
async def test_what_is_stored_twice_is_kept_once_and_poison_is_put_aside(
    name: str, kafka: str, postgres: Callable[[], str], sent: dict[str, list[Record]]
) -> None:
    with empty(name, kafka, postgres) as (adapter, settings):
        before = len(sink_harness.Log(kafka).read(adapter.topic.dead_letter_name))
        good = sent[adapter.topic.name]
        async with fed(name, settings, StoredTwice) as (around, _, task):
            await until_kept(adapter, settings, good, task)
        assert around.portions > 2
        letters = sink_harness.Log(kafka).read(adapter.topic.dead_letter_name)[before:]
        wanted = [value for partition in range(PARTITIONS) for value in poison(good[partition])]
        assert sorted(m.value() or b"" for m in letters) == sorted(value or b"" for value in wanted)
        for message in letters:
            headers = dict(message.headers())
            assert headers["__connect.errors.exception.message"]
            assert headers["__connect.errors.topic"] == adapter.topic.name.encode()
            assert headers["h"] == b"1"
        assert adapter.kept(settings) == expected_of(adapter, good)


@pytest.mark.parametrize("name", SINKS)
async def test_a_crash_at_any_moment_loses_and_doubles_nothing(
    name: str, kafka: str, postgres: Callable[[], str], sent: dict[str, list[Record]]
) -> None:
    with empty(name, kafka, postgres) as (adapter, settings):
        good = sent[adapter.topic.name]
        async with fed(name, settings, Crashing) as (around, _, task):
            await until_kept(adapter, settings, good, task)
        assert isinstance(around, Crashing)
        assert around.cut > CRASHES // 2
        assert around.whole + around.nothing >= around.cut
        assert adapter.kept(settings) == expected_of(adapter, good)
        print(
            f"{name}: {around.cut} crashes in {around.portions} portions; {around.nothing} slices were not "
            f"kept yet, {around.whole} were; 0 lost, 0 duplicate of {len(good)}"
        )


@pytest.mark.parametrize(
    "name", [SINKS[0], *(pytest.param(name, marks=pytest.mark.full) for name in SINKS[1:])]
)
async def test_a_destination_that_is_slow_holds_up_the_reading_and_nothing_else(
    name: str, kafka: str, postgres: Callable[[], str], sent: dict[str, list[Record]], in_full: bool
) -> None:
    with empty(name, kafka, postgres) as (adapter, settings):
        good = sent[adapter.topic.name]
        async with fed(name, settings, Blocked) as (around, runner, task):
            assert isinstance(around, Blocked)
            intake = runner._intake
            intake._buffer_bytes = 1
            await until(lambda: around.portions == 1, 20, task)
            held = []
            for _ in range(80 if in_full else 6):  # in full, longer than the session
                await asyncio.sleep(0.1)
                held.append(intake._bytes)
            assert max(held) == held[-1]
            assert intake._paused or not intake._bytes
            assert around.portions == 1
            assert adapter.kept(settings) == [] if name != OWN else True
            assert await asyncio.to_thread(Admin(settings.kafka).members, f"kandle-{name}") == 1
            around.free.set()
            await until_kept(adapter, settings, good, task)


def test_every_registered_sink_has_an_adapter() -> None:
    assert set(ADAPTERS) == {*SHIPPED, OWN}, "a new sink: add it to tests/sink_adapters.py"


def parts_of(settings: Settings) -> Parts:
    publisher = Publisher(settings.kafka)
    return Parts(settings, Database(settings.database), publisher, DeadLetters(publisher, "sink"))


async def test_an_entry_point_is_a_sink_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "installed_signals.py": OWN_SINK.replace("strong_signals", "installed"),
            "installed_signals-1.0.dist-info/METADATA": "Name: installed\nVersion: 1.0\n",
            "installed_signals-1.0.dist-info/entry_points.txt": (
                "[kandle.sinks]\ninstalled = installed_signals:StrongSignals\n"
            ),
        },
    )
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = make(["installed"], parts_of(settings_for("127.0.0.1:1", "")))
    assert (found.name, [topic.name for topic in found.topics]) == ("installed", ["market.signals.v1"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "holds no subclass of kandle.Sink"),
        (OWN_SINK.replace('"strong_signals"', '"Strong Signals"'), "small letters"),
        (OWN_SINK.replace('"strong_signals"', '"timescale"'), "exists already"),
        (OWN_SINK.replace("market.signals.v1", "market.signal.v1"), "no topic 'market.signal.v1'"),
        (
            OWN_SINK.replace("async def write", "async def put"),
            "abstract method 'write'|abstract method write",
        ),
        ("import nowhere_at_all", "importing it raises ModuleNotFoundError"),
    ],
)
async def test_a_faulty_plug_in_is_told(
    text: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = f"faulty_{abs(hash(text))}"
    write(tmp_path, {f"{module}.py": text})
    monkeypatch.syspath_prepend(tmp_path)
    settings = settings_for("127.0.0.1:1", "", sink=SinkSettings(plugins=[module]))
    with pytest.raises(ConfigurationError, match=message):
        make([OWN], parts_of(settings))
