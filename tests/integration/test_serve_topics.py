"""What is in the topics of a broker, read by a client of the schema registry, and dead letters by REST."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from pydantic import SecretStr

from infra.kafka.dead_letters import NOTE_HEADER, error_headers
from infra.settings import DatabaseSettings, Settings
from schemas import rows
from schemas.records import (
    Gap,
    Position,
    PriceAlert,
    Quote,
    Record,
    SymbolRequest,
    Ticker,
    TimeMark,
    VenuePrice,
)
from schemas.topics import QUOTES, TICKERS, TOPICS, TRADES
from tests.serve_harness import Server, serving
from tests.sink_harness import BASE_US, Log, fresh_topics, settings_for
from tests.sink_samples import moment, sample

NOWHERE = DatabaseSettings(url=SecretStr("postgresql://kandle@127.0.0.1:9/none"))


@pytest.fixture(scope="module")
def settings(kafka: str) -> Settings:
    """Of a broker with empty topics, and of no database."""
    made = settings_for(kafka, "postgresql://kandle@127.0.0.1:9/none")
    fresh_topics(made.kafka)
    return made.model_copy(update={"database": NOWHERE})


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    with serving(settings) as running:
        yield running


def test_dead_letters_say_why_they_are_there_and_what_became_of_them(server: Server, kafka: str) -> None:
    producer = Producer({"bootstrap.servers": kafka})
    topic = QUOTES.dead_letter_name
    why = error_headers(stage="sink", topic=QUOTES.name, partition=1, offset=7, reason="too late")
    for value in (b"no quote", rows.encode(sample(Quote, 3)), bytes([0, 255])):
        producer.produce(topic, value, b"key", headers=why)
    producer.produce(topic, b"[[1, 2]]", headers=[(NOTE_HEADER, b"retried")])
    assert producer.flush(20) == 0
    found = server.get(f"/api/v1/dead-letters/{topic}?limit=3").json["data"]
    told = {letter["offset"]: letter for letter in found}
    assert [told[offset]["outcome"] for offset in (1, 2)] == ["retried", None]
    assert (told[1]["cause"], told[1]["source"]) == ("too late", f"{QUOTES.name}/1/7")
    assert json.loads(told[1]["value"])["bid"] == 100.5
    assert (told[2]["value"], told[2]["key"], told[2]["size"]) == ("00 ff", "key", 2)
    assert server.get("/api/v1/dead-letters/market.quotes.v1").status == 404


MARKET = ("binance", "BTC/USDT")
OTHERS: dict[type[Record], Record] = {
    type(record): record
    for record in (
        TimeMark("binance", "binance-spot-0", BASE_US, True, "run"),
        Gap(*MARKET, "binance-spot-0", "opened", 7, None, BASE_US, BASE_US + 7, "lost"),
        VenuePrice(*MARKET, "1s", BASE_US, BASE_US + 1_000_000, 100.5, 0, True),
        SymbolRequest("binance", "spot", "BTC/USDT", True, BASE_US),
        PriceAlert("1a2b", *MARKET, "above", 70_000.0, 0.0, False, True, BASE_US),
        Position(
            "binance", "binance-spot-0", TRADES.name, BASE_US, {"0": 7}, {"BTCUSDT": 9}, {"BTCUSDT": BASE_US}
        ),
    )
}
"""Records that no table holds."""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Confluent's own parts
def test_every_topic_and_what_was_put_aside_is_decoded(
    server: Server, settings: Settings, kafka: str
) -> None:
    """One record of each kind of each topic, as the broker has it; a dead letter is the record as it was."""
    log, written = Log(kafka), {}
    for topic in TOPICS:
        records = [OTHERS[kind] if kind in OTHERS else sample(kind) for kind in topic.records]
        log.put(topic, 0, records)
        written[topic.name] = records
    letters = replace(TICKERS, base_name=TICKERS.dead_letter_name)
    log.put(letters, 0, [sample(Ticker)])
    written[letters.name] = [sample(Ticker)]
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "decoder", "log_level": 0})
    with SchemaRegistryClient({"url": server.url}) as registry:
        deserialize = AvroDeserializer(registry)
        consumer.assign([TopicPartition(name, 0, 0) for name in written])
        waiting, deadline = sum(map(len, written.values())), time.monotonic() + 30
        while waiting and time.monotonic() < deadline:
            for message in consumer.consume(100, 1.0):
                name = message.topic()
                found = deserialize(message.value(), SerializationContext(name, MessageField.VALUE))
                record = written[name][message.offset()]
                assert {field: found[field] for field in found} == {
                    field: as_clients_see(field, getattr(record, field)) for field in record.__struct_fields__
                }, name
                waiting -= 1
    consumer.close()
    assert waiting == 0


def as_clients_see(field: str, value: Any) -> Any:
    """A value as Confluent's deserializer gives it: times as datetimes."""
    if isinstance(value, dict) and field == "event_times":
        return {name: as_clients_see("time", each) for name, each in value.items()}
    is_time = field in {"time", "as_of", "session"} or field.endswith("_time")
    return moment(value) if is_time and value is not None else value
