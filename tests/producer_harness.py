"""A producer and a simulated exchange in one process, on a real broker, and what they leave in the topics."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from websockets.asyncio.server import ServerConnection, serve

from infra.kafka.admin import Admin
from infra.settings import KafkaSettings, ProducerSettings, Settings
from producers import stage
from producers.simulator.faults import parse_fault
from producers.simulator.playback import Playback
from producers.simulator.server import SimulatorServer
from producers.simulator.venue import venue_class
from schemas import rows
from schemas.records import Record
from schemas.topics import TOPICS

R = TypeVar("R", bound=Record)
TIMEOUT_S = 30.0
MUTE, OPEN = 0, 1
NOW_MS = 1_700_000_000_000


@dataclass(frozen=True)
class Stored:
    """One record of a topic."""

    partition: int
    offset: int
    key: str | None
    value: bytes
    headers: dict[str, bytes]

    @property
    def record(self) -> Record:
        return rows.decode(self.value)


class Topics:
    """The topics of one broker, emptied for each test."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.servers = bootstrap_servers
        self.settings = KafkaSettings(bootstrap_servers=bootstrap_servers)

    def renew(self) -> None:
        client = AdminClient({"bootstrap.servers": self.settings.bootstrap_servers})
        wanted = {topic.name for topic in TOPICS}
        wanted |= {topic.dead_letter_name for topic in TOPICS if topic.dead_letters}
        present = [name for name in client.list_topics(timeout=TIMEOUT_S).topics if name in wanted]
        if present:
            for future in client.delete_topics(present).values():
                future.result(TIMEOUT_S)
        deadline = time.monotonic() + TIMEOUT_S
        while set(client.list_topics(timeout=TIMEOUT_S).topics) & wanted and time.monotonic() < deadline:
            time.sleep(0.05)
        Admin(self.settings).ensure_topics()
        while not all(self._has_leaders(client, name) for name in wanted) and time.monotonic() < deadline:
            time.sleep(0.05)

    def await_leaders(self) -> None:
        """Wait until every topic can be read, as after a start of the broker."""
        client = AdminClient({"bootstrap.servers": self.servers, "log_level": 2})
        deadline = time.monotonic() + TIMEOUT_S
        while not all(self._has_leaders(client, topic.name) for topic in TOPICS):
            assert time.monotonic() < deadline, "the topics have no leaders"
            time.sleep(0.05)

    def _has_leaders(self, client: AdminClient, topic: str) -> bool:
        partitions = client.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions
        asked = {TopicPartition(topic, number): OffsetSpec.latest() for number in partitions}
        try:
            return bool(asked) and all(
                future.result(TIMEOUT_S) for future in client.list_offsets(asked).values()
            )
        except KafkaException:
            return False

    def read(self, topic: str) -> list[Stored]:
        """All records of a topic, partition after partition."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.settings.bootstrap_servers,
                "group.id": "test",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
                "fetch.queue.backoff.ms": 5,
            }
        )
        found: list[Stored] = []
        for number in consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=TIMEOUT_S)
            consumer.assign([TopicPartition(topic, number, low)])
            while low < high:
                for message in consumer.consume(10_000, timeout=0.05):
                    assert message.error() is None
                    low = message.offset() + 1
                    headers = dict(message.headers() or [])
                    key = None if message.key() is None else message.key().decode()
                    found.append(Stored(number, message.offset(), key, message.value(), headers))
        consumer.close()
        return found

    def records(self, topic: str, kind: type[R]) -> list[R]:
        return [record for stored in self.read(topic) if isinstance(record := stored.record, kind)]


def settings_for(topics: Topics, server: Any, **producer: Any) -> Settings:
    """Settings of a producer that reads from a simulated exchange."""
    chosen = {"symbols": ["BTC/USDT"], "idle_marks": False, "lossless": True} | producer
    return Settings(
        kafka=topics.settings,
        producer=ProducerSettings(websocket_url=server.websocket_url, rest_url=server.rest_url, **chosen),
    )


@asynccontextmanager
async def playing(playback: Playback, *faults: str) -> AsyncIterator[SimulatorServer]:
    """A playback on a free port, with faults as the simulator's settings write them."""
    server = SimulatorServer(playback, 0, [parse_fault(text) for text in faults])
    await server.start()
    work = asyncio.create_task(playback.play(server))
    try:
        yield server
    finally:
        work.cancel()
        await server.stop()


async def feed(topics: Topics, playback: Playback, **producer: Any) -> str:
    """Feed a playback to its end; returns the id of the run."""
    async with playing(playback) as server:
        settings = settings_for(topics, server, **producer)
        await asyncio.wait_for(stage.run(settings, asyncio.Event()), TIMEOUT_S)
        return settings.run_id


class ScriptedVenue:
    """An exchange that says what a test tells it to: one list of frames for each connection.

    After the frames of a connection it closes it with that connection's code: 1006 breaks it, `MUTE` leaves
    it open without a word, `OPEN` leaves it open and alive. The last script repeats.
    """

    def __init__(self, *scripts: tuple[Sequence[str | bytes], int]) -> None:
        self._scripts = list(scripts)
        self.connections: list[ServerConnection] = []
        self.received: list[str | bytes] = []
        self.websocket_url = ""
        self.rest_url = ""

    @asynccontextmanager
    async def serving(self, symbols: Iterable[str] = ("BTC/USDT",)) -> AsyncIterator["ScriptedVenue"]:
        venue = venue_class("binance")({symbol: symbol.replace("/", "") for symbol in symbols})
        listed = venue.rest("/api/v3/exchangeInfo", {}, NOW_MS).body.decode()

        async def answer(connection: ServerConnection) -> None:
            script = self._scripts[min(len(self.connections), len(self._scripts) - 1)]
            self.connections.append(connection)
            request = await connection.recv()
            self.received.append(request)
            await connection.send(json.dumps({"result": None, "id": json.loads(request)["id"]}))
            for frame in script[0]:
                await connection.send(frame, text=True)
            if script[1] == OPEN:
                await connection.wait_closed()
            elif script[1] == MUTE:
                connection.transport.pause_reading()
                await connection.wait_closed()
            elif script[1] == 1006:
                connection.transport.abort()
            else:
                await connection.close(script[1])

        async with serve(
            answer,
            "127.0.0.1",
            0,
            process_request=lambda connection, request: (
                None if "upgrade" in request.headers else connection.respond(200, listed)
            ),
            close_timeout=1,
        ) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            self.websocket_url, self.rest_url = f"ws://127.0.0.1:{port}", f"http://127.0.0.1:{port}"
            yield self
