"""A Confluent deserializer, which asks a schema registry, decodes what we write."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from schemas import rows
from schemas.records import Candle, Record, Signal, TimeMark, Trade
from schemas.registry import BY_ID

RECORDS: list[Record] = [
    Trade(
        "binance", "BTC/USDT", "7", 7, 61_837.63, 0.02, "sell", 1_723_161_255_342_000, 1_723_161_255_343_000
    ),
    TimeMark("binance", "binance-spot-0", 1_723_161_255_342_000, True, "run"),
    Candle("binance", "BTC/USDT", "1m", 0, 60_000_000, 1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 2.0, 5, 1, 9, 0, True),
    Signal("s", "binance", "BTC/USDT", "1m", 0, 60_000_000, "cross", "long", 0.5, {"a": 1.0}, "c", True),
]


class _Registry(BaseHTTPRequestHandler):
    """The one question of a deserializer: the schema of an id."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/schemas/ids/"):
            number = int(path.rpartition("/")[2])
            self._answer(200, {"schema": json.dumps(BY_ID[number].definition)})
        else:
            self._answer(404, {"error_code": 40401, "message": "not found"})

    def _answer(self, status: int, content: dict[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[str]:
    """URL of a registry that serves the contract's schemas under their fixed ids."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Registry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_confluent_deserializer_reads_every_field(registry: str, record: Record) -> None:
    deserialize = AvroDeserializer(SchemaRegistryClient({"url": registry}))
    found = deserialize(rows.encode(record), SerializationContext("topic", MessageField.VALUE))
    assert isinstance(found, dict)
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if name == "time" or name.endswith("_time"):
            assert round(found[name].timestamp() * 1_000_000) == value
        else:
            assert found[name] == value
