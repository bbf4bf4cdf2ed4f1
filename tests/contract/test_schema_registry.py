"""Confluent's clients read every record of the contract by the registry that we serve."""

from __future__ import annotations

import datetime as dt
import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import fastavro
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.schema import make_avsc_object
from confluent_kafka.schema_registry import SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from fastavro.utils import generate_one
from pydantic import SecretStr

from infra.settings import DatabaseSettings, KafkaSettings, Settings
from schemas import rows
from schemas.records import Record
from schemas.registry import BY_ID, BY_RECORD, ENTRIES
from schemas.topics import TOPICS
from serve.registry.compatibility import incompatibilities
from tests.serve_harness import Server, serving
from tests.sink_harness import BASE_US, Log, fresh_topics

TRADES = "market.trades.v1-kandle.Trade"
CANDLES = "market.candles.v1-kandle.Candle"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Neither Kafka nor a database are needed for schemas."""
    nowhere = Settings(
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:9"),
        database=DatabaseSettings(url=SecretStr("postgresql://kandle@127.0.0.1:9/none")),
    )
    with serving(nowhere) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": server.url}) as asking:
        yield asking


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.base_name)
def test_a_deserializer_reads_every_record_of_a_topic(client: SchemaRegistryClient, topic: Any) -> None:
    deserialize = AvroDeserializer(client)
    for record in topic.records:
        made = fields_of(record)
        value = rows.encode_by_reference(record(**made))
        found = deserialize(value, SerializationContext(topic.name, MessageField.VALUE))
        assert isinstance(found, dict)
        assert {name: plain(value) for name, value in found.items()} == made


def fields_of(record: type[Record]) -> dict[str, Any]:
    """Values for the fields of a record, by chance."""
    definition = BY_RECORD[record].definition
    made: dict[str, Any] = generate_one(fastavro.parse_schema(definition))
    for field in definition["fields"]:
        # Times at random lie beyond the calendar.
        if "timestamp" in str(field["type"]):
            made[field["name"]] = {"a": BASE_US} if "map" in str(field["type"]) else BASE_US
    return made


def plain(value: Any) -> Any:
    """A value as records hold it."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return round(value.timestamp() * 1_000_000) if isinstance(value, dt.datetime) else value


def test_a_serializer_finds_the_id_of_the_schema_that_it_has(client: SchemaRegistryClient) -> None:
    entry = ENTRIES[0]
    serialize = AvroSerializer(
        client,
        json.dumps(entry.definition),
        conf={
            "auto.register.schemas": False,
            "subject.name.strategy": lambda _, name: f"market.trades.v1-{name}",
        },
    )
    made = generate_one(fastavro.parse_schema(entry.definition))
    value = serialize(made, SerializationContext("market.trades.v1", MessageField.VALUE))
    assert value is not None
    assert value[:5] == rows.HEADER.pack(rows.MAGIC, entry.schema_id)


def test_a_client_reads_subjects_versions_and_the_rule(server: Server, client: SchemaRegistryClient) -> None:
    subjects = client.get_subjects()
    assert {TRADES, CANDLES, "market.trades.v1-value"} <= set(subjects)
    assert client.get_versions(CANDLES) == [1, 2]
    latest = client.get_latest_version(CANDLES)
    assert latest.schema_id == 18
    assert json.loads(latest.schema.schema_str) == BY_ID[18].definition
    assert client.get_version(CANDLES, 1).schema_id == 7
    assert client.get_compatibility() == "BACKWARD"
    assert server.get("/schemas/types").json == ["AVRO"]
    assert server.get("/mode").json == {"mode": "READONLY"}
    assert {"subject": CANDLES, "version": 1} in server.get("/schemas/ids/7/versions").json
    assert server.get("/schemas/ids/7/schema").json == BY_ID[7].definition


def test_what_is_not_there_and_what_is_not_allowed_is_told_as_registries_do(
    server: Server, client: SchemaRegistryClient
) -> None:
    with pytest.raises(SchemaRegistryError) as refused:
        client.register_schema(TRADES, client.get_schema(1))
    assert (refused.value.http_status_code, refused.value.error_code) == (403, 40301)
    with pytest.raises(SchemaRegistryError) as missing:
        client.get_schema(4711)
    assert (missing.value.http_status_code, missing.value.error_code) == (404, 40403)
    for path, code in (
        ("/subjects/none/versions", 40401),
        (f"/subjects/{TRADES}/versions/9", 40402),
        (f"/subjects/{TRADES}/versions/zero", 42202),
        ("/schemas/ids/x", 40403),
        ("/config/none", 40401),
    ):
        answer = server.get(path)
        assert (answer.status, answer.json["error_code"]) == (code // 100, code)
        assert answer.headers["content-type"] == "application/vnd.schemaregistry.v1+json"
    for path, method in ((f"/subjects/{TRADES}", "DELETE"), ("/config", "PUT"), ("/mode", "PUT")):
        assert server.get(path, {}, method).json["error_code"] == 40301
    wrong = server.get(f"/compatibility/subjects/{TRADES}/versions/1", {"schema": '{"type": "rec"}'})
    assert wrong.json["error_code"] == 42201


def test_a_change_is_compared_with_what_is_in_the_log(server: Server) -> None:
    path = f"/compatibility/subjects/{TRADES}/versions/latest?verbose=true"
    schema = json.loads(json.dumps(ENTRIES[0].definition))
    schema["fields"].append({"name": "note", "type": "string"})
    refused = server.get(path, {"schema": json.dumps(schema)}).json
    assert refused == {
        "is_compatible": False,
        "messages": ["version 1: /note: the reader's field is new and has no default"],
    }
    schema["fields"][-1]["default"] = ""
    assert server.get(path, {"schema": json.dumps(schema)}).json["is_compatible"] is True


def test_every_schema_of_a_record_reads_the_older_ones() -> None:
    for older in ENTRIES:
        newest = BY_RECORD[older.record]
        assert incompatibilities(newest.definition, older.definition) == []


NESTED = {"type": "record", "name": "R", "fields": [{"name": "next", "type": ["null", "R"], "default": None}]}
ENUM = {"type": "enum", "name": "E", "symbols": ["a", "b"]}
CASES: list[Any] = [
    *("int", "long", "float", "double", "string", "bytes", "boolean", "null"),
    *(
        ["null", "int"],
        ["string", "long"],
        {"type": "array", "items": "int"},
        {"type": "map", "values": "long"},
    ),
    *({"type": "array", "items": ["null", "double"]}, ENUM, {**ENUM, "symbols": ["a"]}),
    *({**ENUM, "symbols": ["a"], "default": "a"}, {**ENUM, "name": "F"}, NESTED),
    *({"type": "fixed", "name": "X", "size": 4}, {"type": "fixed", "name": "X", "size": 8}),
    {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]},
    {"type": "record", "name": "R", "fields": [{"name": "a", "type": "long"}]},
    {"type": "record", "name": "R", "fields": [{"name": "b", "aliases": ["a"], "type": "long"}]},
    {
        "type": "record",
        "name": "R",
        "fields": [{"name": "a", "type": "long"}, {"name": "c", "type": ENUM, "default": "a"}],
    },
    {"type": "record", "name": "S", "fields": []},
]


@pytest.mark.parametrize("reader", CASES, ids=str)
def test_the_rule_is_that_of_the_reference(reader: Any) -> None:
    for writer in CASES:
        wanted = ReaderWriterCompatibilityChecker().get_compatibility(  # type: ignore[no-untyped-call]
            make_avsc_object(reader), make_avsc_object(writer)
        )
        is_compatible = wanted.compatibility is SchemaCompatibilityType.compatible
        assert (incompatibilities(reader, writer) == []) is is_compatible, writer


def test_kcat_decodes_every_record_of_every_topic(server: Server, request: pytest.FixtureRequest) -> None:
    kcat = shutil.which("kcat")
    if kcat is None:
        pytest.skip("no kcat: apt-get install kcat")
    features = subprocess.run([kcat, "-V"], capture_output=True, text=True, check=False)
    if "Avro" not in features.stdout + features.stderr:
        pytest.skip("this kcat was built without Avro, as Debian's is")
    kafka = request.getfixturevalue("kafka")
    fresh_topics(KafkaSettings(bootstrap_servers=kafka, partitions=2))
    log = Log(kafka)
    for topic in TOPICS:
        made = [fields_of(record) for record in topic.records]
        log.put(topic, 0, [record(**fields) for record, fields in zip(topic.records, made, strict=True)])
        # Without -C kcat chooses by what its standard input is.
        found = subprocess.run(
            [kcat, "-C", "-b", kafka, "-t", topic.name, "-s", "value=avro", "-r", server.url, "-e", "-q"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        for record, line, fields in zip(topic.records, found.stdout.splitlines(), made, strict=True):
            (read,) = fastavro.json_reader(io.StringIO(line), BY_RECORD[record].definition)
            assert {name: plain(value) for name, value in read.items()} == fields
