"""Read a topic by Confluent's own deserializer, without Kandle: it asks our schema registry.

    pip install "confluent-kafka[avro,schemaregistry]"
    python subscribe_registry.py localhost:9092 http://127.0.0.1:8765 market.signals.v1

`kandle serve` (or `kandle up`) is the registry; where it wants a token, give --token. It prints a JSON object
a record; with --until-end it stops where the topic ended when it began.
"""

import argparse
import json

from confluent_kafka import Consumer, KafkaError
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext


def main() -> None:
    """Read the arguments and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("servers")
    parser.add_argument("registry")
    parser.add_argument("topic")
    parser.add_argument("--token")
    parser.add_argument("--until-end", action="store_true")
    given = parser.parse_args()
    access = {"basic.auth.user.info": f"example:{given.token}"} if given.token else {}
    registry = SchemaRegistryClient({"url": given.registry, **access})
    deserialize = AvroDeserializer(registry)
    consumer = Consumer(
        {
            "bootstrap.servers": given.servers,
            "group.id": "example-registry",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": given.until_end,
        }
    )
    consumer.subscribe([given.topic])
    place = SerializationContext(given.topic, MessageField.VALUE)
    ended: set[int] = set()
    try:
        while not (given.until_end and ended and len(ended) == len(consumer.assignment())):
            message = consumer.poll(1.0)
            if message is None:
                continue
            error = message.error()
            if error is None:
                # A topic holds several types of record: the id of the schema (bytes 1 to 4) tells which.
                schema = registry.get_schema(int.from_bytes(message.value()[1:5], "big"))
                kind = json.loads(schema.schema_str or "{}")["name"]
                fields = deserialize(message.value(), place)
                print(json.dumps({"type": kind, "fields": fields}, default=str), flush=True)
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            else:
                raise SystemExit(f"Kafka says: {error}")
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
