"""asyncapi.yaml: the topics as an AsyncAPI 3 document, for generators, catalogues and editors.

One channel a topic, with Kafka's binding (partitions, cleanup, retention); one message a record, with its
Avro schema and the header and key by Kafka's binding; an operation `send` for who writes a topic and one
`receive` for who reads it.
"""

import json
from importlib import metadata
from typing import Any, Final

from infra.settings import KafkaSettings, ServeSettings
from infra.tracing import CORRELATION, HEADER
from schemas.registry import BY_RECORD, CURRENT
from schemas.topics import DLQ_RETENTION_MS, TOPICS, Topic

ABOUT: Final = (
    "Markets as streams: the topics of the pipeline. Values are Avro in the Confluent wire format: a zero "
    "byte, the schema id in four bytes, the body. A stage that was killed may write a record again, with the "
    "same ce_id and the same values."
)
AVRO: Final = "application/vnd.apache.avro;version=1.9.0"
CONTENT: Final = "application/vnd.confluent.avro"
BINDING: Final = "0.5.0"
WITH_HEADERS: Final = frozenset({"Signal", "SystemEvent", "Notification"})
"""Records that carry CloudEvents headers; the ids of the others follow from their fields."""

HEADERS: Final = {
    "ce_id": "Id of the event, equal for every repeat of it.",
    "ce_type": "What has happened; see the event types.",
    "ce_source": "Who says so.",
    "ce_time": "When it happened, RFC 3339 in UTC.",
    "ce_specversion": "Version of CloudEvents: 1.0.",
}
TRACES: Final = {
    HEADER: "Of a record that is traced: the span that it came of, as W3C Trace Context writes it.",
    CORRELATION: "Id of what has caused it, where something outside has.",
}


def asyncapi_text() -> str:
    """The document as YAML; JSON's quotes keep it one, whatever the texts hold."""
    return f"# Made by `kandle reference --out docs/reference`; edit the code.\n{_yaml(document())}"


def document() -> dict[str, Any]:
    """The document: the topics under their usual names, with the default settings."""
    kafka = KafkaSettings()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Kandle",
            "version": metadata.version("kandle"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT,
        "servers": {
            "kafka": {
                "host": "localhost:9092",
                "protocol": "kafka",
                "description": "Yours, or that of `kandle up`: its address stands in var/endpoints.json.",
                "bindings": {
                    "kafka": {
                        "schemaRegistryUrl": f"http://127.0.0.1:{ServeSettings().port}",
                        "schemaRegistryVendor": "confluent",
                        "bindingVersion": BINDING,
                    }
                },
            }
        },
        "channels": {_id(topic): _channel(topic, kafka) for topic in TOPICS}
        | {f"{_id(topic)}-dlq": _dead_letters(topic, kafka) for topic in TOPICS if topic.dead_letters},
        "operations": {
            f"{action}-{_id(topic)}": {
                "action": action,
                "channel": {"$ref": f"#/channels/{_id(topic)}"},
                "summary": f"{summary} {topic.base_name}",
                "messages": [
                    {"$ref": f"#/channels/{_id(topic)}/messages/{record.__name__}"}
                    for record in topic.records
                ],
            }
            for topic in TOPICS
            for action, summary in (("send", "Write"), ("receive", "Read"))
        },
        "components": {
            "messages": {entry.record.__name__: _message(entry.record.__name__) for entry in CURRENT}
            | {"DeadLetter": _dead_letter()},
            "schemas": {
                entry.record.__name__: {"schemaFormat": AVRO, "schema": entry.definition} for entry in CURRENT
            },
            "messageTraits": {"cloudEvent": _headers(HEADERS), "trace": _headers(TRACES)},
        },
    }


def _id(topic: Topic) -> str:
    return topic.base_name.replace(".", "-")


def _channel(topic: Topic, kafka: KafkaSettings) -> dict[str, Any]:
    configuration: dict[str, Any] = {"cleanup.policy": [topic.cleanup]}
    if topic.cleanup == "delete" and topic.retention_ms is not None:
        configuration["retention.ms"] = topic.retention_ms
    return {
        "address": topic.base_name,
        "description": f"Key: {topic.key}.",
        "messages": {
            record.__name__: {"$ref": f"#/components/messages/{record.__name__}"} for record in topic.records
        },
        "bindings": _binding(topic.base_name, kafka.partitions if topic.keyed else 1, kafka, configuration),
        "x-key": topic.key,
        "x-schema-ids": {record.__name__: BY_RECORD[record].schema_id for record in topic.records},
    }


def _dead_letters(topic: Topic, kafka: KafkaSettings) -> dict[str, Any]:
    configuration = {"cleanup.policy": ["delete"], "retention.ms": DLQ_RETENTION_MS}
    name = f"{topic.base_name}.dlq"
    return {
        "address": name,
        "description": f"What could not be used of or for {topic.base_name}: the original bytes.",
        "messages": {"DeadLetter": {"$ref": "#/components/messages/DeadLetter"}},
        "bindings": _binding(name, 1, kafka, configuration),
    }


def _binding(
    name: str, partitions: int, kafka: KafkaSettings, configuration: dict[str, Any]
) -> dict[str, Any]:
    return {
        "kafka": {
            "topic": name,
            "partitions": partitions,
            "replicas": kafka.replication_factor,
            "topicConfiguration": configuration,
            "bindingVersion": BINDING,
        }
    }


def _message(name: str) -> dict[str, Any]:
    entry = next(each for each in CURRENT if each.record.__name__ == name)
    traits = ["cloudEvent", "trace"] if name in WITH_HEADERS else ["trace"]
    return {
        "name": name,
        "title": name,
        "summary": entry.definition["doc"],
        "contentType": CONTENT,
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "traits": [{"$ref": f"#/components/messageTraits/{trait}"} for trait in traits],
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": "See the channel's x-key."},
                "schemaIdLocation": "payload",
                "schemaIdPayloadEncoding": "confluent",
                "bindingVersion": BINDING,
            }
        },
    }


def _headers(told: dict[str, str]) -> dict[str, Any]:
    properties = {name: {"type": "string", "description": text} for name, text in told.items()}
    return {"headers": {"type": "object", "properties": properties}}


def _dead_letter() -> dict[str, Any]:
    names = ("topic", "partition", "offset", "stage", "exception.class.name", "exception.message")
    return {
        "name": "DeadLetter",
        "title": "DeadLetter",
        "summary": "A record or a frame that could not be used, with Kafka Connect's error headers.",
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "properties": {f"__connect.errors.{name}": {"type": "string"} for name in names},
        },
    }


def _yaml(node: Any, indent: int = 0) -> str:
    """Block style for maps and lists, JSON for everything in them: a reader of YAML reads both."""
    pad = "  " * indent
    if isinstance(node, dict) and node:
        return "".join(f"{pad}{json.dumps(key)}:{_below(value, indent)}" for key, value in node.items())
    if isinstance(node, list) and node:
        return "".join(f"{pad}-{_below(value, indent)}" for value in node)
    return f"{pad}{json.dumps(node, ensure_ascii=False)}\n"


def _below(value: Any, indent: int) -> str:
    is_block = isinstance(value, dict | list) and value and not _is_small(value)
    if is_block:
        return f"\n{_yaml(value, indent + 1)}"
    return f" {json.dumps(value, ensure_ascii=False)}\n"


def _is_small(value: dict[str, Any] | list[Any]) -> bool:
    return len(json.dumps(value, ensure_ascii=False)) < 100
