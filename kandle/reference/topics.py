"""topics.md: every topic, and every record with its fields."""

from typing import Any

from kandle.reference.markdown import code, made_by, page, table
from schemas.registry import CURRENT, ENTRIES, SchemaEntry
from schemas.topics import DAY_MS, DLQ_RETENTION_MS, TOPICS, Topic

PARTITIONS = "`kafka.partitions`"


def topics_page() -> str:
    """The topic table, then the records in the order of their schema ids."""
    used = {record for topic in TOPICS for record in topic.records}
    return page(
        "Topics and records",
        "Values are Avro in the Confluent wire format: a zero byte, the schema id in four bytes (big "
        "endian), the body. How to read them: [subscribing](../subscribing.md). For programs: "
        "[asyncapi.yaml](asyncapi.yaml), `kandle topics --offline --json`, and the [schema "
        "registry](../serve.md#schema-registry) of the server.",
        made_by("topics"),
        "## Topics",
        table(
            ("topic", "records (schema ids)", "key", "partitions", "cleanup", "kept", "dead letters"),
            [_topic(topic) for topic in TOPICS],
        ),
        "The partition of a key is murmur2's, as in Java clients; what is derived from a trade stands in "
        "the partition of the same number. `market.candles-live.v1` has the partition of `venue:symbol`, "
        "without the interval of its key. All topics use LogAppendTime. Dead letters are kept "
        f"{DLQ_RETENTION_MS // DAY_MS} days, in topics named `<topic>.dlq` of one partition. With a "
        "[namespace](../operations.md#namespaces) all names have its prefix.",
        "## Records",
        *(_record(entry) for entry in CURRENT if entry.record in used),
    )


def ids_of(record: type) -> list[int]:
    """Ids of the schemas of a record, the oldest first."""
    return [entry.schema_id for entry in ENTRIES if entry.record is record]


def kept(topic: Topic) -> str:
    """How long records stay, for people."""
    if topic.cleanup == "compact":
        return "the newest of each key"
    if topic.retention_ms is None:
        return "as the broker says"
    return "for ever" if topic.retention_ms < 0 else f"{topic.retention_ms // DAY_MS} days"


def _topic(topic: Topic) -> tuple[str, ...]:
    records = ", ".join(
        f"[{record.__name__}](#{record.__name__.lower()}) ({', '.join(map(str, ids_of(record)))})"
        for record in topic.records
    )
    return (
        code(topic.base_name),
        records,
        code(topic.key),
        PARTITIONS if topic.keyed else "1",
        topic.cleanup,
        kept(topic),
        "yes" if topic.dead_letters else "no",
    )


def _record(entry: SchemaEntry) -> str:
    found = entry.definition
    older = [each for each in ids_of(entry.record) if each != entry.schema_id]
    ids = f"Schema id {entry.schema_id}" + (f"; older: {', '.join(map(str, older))}" if older else "")
    places = ", ".join(code(topic.base_name) for topic in TOPICS if entry.record in topic.records)
    rows = [
        (code(field["name"]), type_text(field["type"]), field.get("unit", ""), _doc(field))
        for field in found["fields"]
    ]
    fields = table(("field", "type", "unit", "meaning"), rows)
    return f"### {found['name']}\n\n{found['doc']}\n\n{ids}, in {places}.\n\n{fields}"


def type_text(kind: Any) -> str:
    """An Avro type, for people."""
    if isinstance(kind, list):
        others = [type_text(each) for each in kind if each != "null"]
        return " or ".join(others) + (" or null" if "null" in kind else "")
    if isinstance(kind, str):
        return kind
    if "logicalType" in kind:
        return str(kind["logicalType"])
    match kind["type"]:
        case "enum":
            return ", ".join(code(symbol) for symbol in kind["symbols"])
        case "array":
            return f"array of {type_text(kind['items'])}"
        case "map":
            return f"map of {type_text(kind['values'])}"
        case "record":
            return ", ".join(f"{field['name']} {type_text(field['type'])}" for field in kind["fields"])
    return str(kind["type"])


def _doc(field: dict[str, Any]) -> str:
    if "default" not in field or field["default"] is None:
        return str(field["doc"])
    shown = str(field["default"]).lower() if isinstance(field["default"], bool) else field["default"]
    return f"{field['doc']} Default: {code(shown) or 'empty'}."
