"""A strict reader of flat Avro values in plain Python, and generated schemas and values to hold it against.

The reader is the word-by-word twin of the compiled walker, statuses included; fastavro is the judge of
what it reads.
"""

import functools
import io
import struct
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import fastavro
import numpy as np
from hypothesis import strategies as st

from schemas.row_status import RowStatus

FLOATS = {"float": struct.Struct("<f"), "double": struct.Struct("<d")}
LOGICAL = {
    "long": ("timestamp-micros", "timestamp-millis", "time-micros", "local-timestamp-micros"),
    "int": ("date", "time-millis"),
}


@dataclass(frozen=True)
class Entry:
    """A schema of a batch; record names are made as need be."""

    schema_id: int
    record: Hashable
    definition: dict[str, Any]

    def encode(self, value: dict[str, Any]) -> bytes:
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, self.parsed, value)
        return self.prefix + buffer.getvalue()

    def decode(self, value: bytes, reader: "Entry | None" = None) -> dict[str, Any]:
        found: Any = fastavro.schemaless_reader(
            io.BytesIO(value[5:]), self.parsed, None if reader is None else reader.parsed
        )
        return dict(found)

    @functools.cached_property
    def named(self) -> dict[str, Any]:
        """The enums by name."""
        return enums_of(self.definition)

    @functools.cached_property
    def parsed(self) -> Any:
        return fastavro.parse_schema(plain(self.definition))

    @property
    def prefix(self) -> bytes:
        return struct.pack(">bI", 0, self.schema_id)


def plain(node: Any) -> Any:
    """A schema without logical types."""
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items() if key != "logicalType"}
    return [plain(item) for item in node] if isinstance(node, list) else node


def enums_of(node: Any) -> dict[str, Any]:
    """The enums in a schema by name."""
    if isinstance(node, list):
        return {name: enum for item in node for name, enum in enums_of(item).items()}
    if not isinstance(node, dict):
        return {}
    if node.get("type") == "enum":
        return {node["name"]: node}
    return enums_of(node["fields"] if "fields" in node else node["type"])


class BrokenError(Exception):
    """The value has this status."""

    def __init__(self, status: RowStatus) -> None:
        super().__init__(status)
        self.status = status


class StrictReader:
    """Reads one body; raises `BrokenError` at the first thing that is wrong."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.position = 0

    @property
    def left(self) -> int:
        return len(self.body) - self.position

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise BrokenError(RowStatus.TRUNCATED)
        self.position += size
        return self.body[self.position - size : self.position]

    def varint(self) -> int:
        bits = 0
        for index in range(10):
            (byte,) = self.take(1)
            if index == 9 and byte > 1:
                raise BrokenError(RowStatus.BAD_VARINT)
            bits |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                break
        return (bits >> 1) ^ -(bits & 1)

    def read(self, node: Any, named: dict[str, Any]) -> Any:
        if isinstance(node, list):
            branch = self.varint()
            if branch not in (0, 1):
                raise BrokenError(RowStatus.BAD_UNION)
            return self.read(node[branch], named)
        if isinstance(node, dict):
            match node["type"]:
                case "enum":
                    index = self.varint()
                    if not 0 <= index < len(node["symbols"]):
                        raise BrokenError(RowStatus.BAD_ENUM)
                    return node["symbols"][index]
                case "array":
                    return self.array(node["items"])
                case inner:
                    return self.read(inner, named)
        if node in named:
            return self.read(named[node], named)
        return self.primitive(node)

    def primitive(self, name: str) -> Any:
        match name:
            case "null":
                return None
            case "boolean":
                (byte,) = self.take(1)
                if byte > 1:
                    raise BrokenError(RowStatus.BAD_BOOLEAN)
                return bool(byte)
            case "int" | "long":
                value = self.varint()
                if name == "int" and not -(2**31) <= value < 2**31:
                    raise BrokenError(RowStatus.INT_RANGE)
                return value
            case "float" | "double":
                packed = FLOATS[name]
                return packed.unpack(self.take(packed.size))[0]
        length = self.varint()
        if length < 0:
            raise BrokenError(RowStatus.BAD_LENGTH)
        found = self.take(length)
        if name == "bytes":
            return found
        try:
            return found.decode()
        except UnicodeDecodeError:
            raise BrokenError(RowStatus.BAD_UTF8) from None

    def array(self, items: Any) -> list[Any]:
        name = items if isinstance(items, str) else items["type"]
        smallest = FLOATS[name].size if name in FLOATS else 1
        found: list[Any] = []
        while count := self.varint():
            end = None
            if count < 0:
                if count == -(2**63):
                    raise BrokenError(RowStatus.BAD_LENGTH)
                size = self.varint()
                if not 0 <= size <= self.left:
                    raise BrokenError(RowStatus.BAD_LENGTH)
                end = self.position + size
            if abs(count) > self.left // smallest:
                raise BrokenError(RowStatus.TRUNCATED)
            found.extend(self.primitive(name) for _ in range(abs(count)))
            if end is not None and self.position != end:
                raise BrokenError(RowStatus.BAD_LENGTH)
        return found


def strict_read(value: bytes | None, entries: list[Entry]) -> tuple[RowStatus, Entry | None, dict[str, Any]]:
    """What a value is: its status, its schema if that is known, its fields if it is good."""
    if value is None:
        return RowStatus.NULL_VALUE, None, {}
    if len(value) < 5:
        return RowStatus.NO_PREFIX, None, {}
    if value[0] != 0:
        return RowStatus.WRONG_MAGIC, None, {}
    entry = next((e for e in entries if e.prefix == value[:5]), None)
    if entry is None:
        return RowStatus.UNKNOWN_SCHEMA, None, {}
    reader = StrictReader(value[5:])
    try:
        fields = {f["name"]: reader.read(f["type"], entry.named) for f in entry.definition["fields"]}
    except BrokenError as broken:
        return broken.status, entry, {}
    return (RowStatus.TRAILING_BYTES if reader.left else RowStatus.OK), entry, fields


PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
NUMBERS = ("boolean", "int", "long", "float", "double")


@st.composite
def types(draw: st.DrawFn, name: str, enums: list[str]) -> Any:
    """The type of one field; enums are named after the field and may be meant again by later ones."""
    kind = draw(st.sampled_from(("primitive", "primitive", "logical", "enum", "array", "again")))
    node: Any
    if kind == "logical":
        base = draw(st.sampled_from(sorted(LOGICAL)))
        node = {"type": base, "logicalType": draw(st.sampled_from(LOGICAL[base]))}
    elif kind == "enum":
        node = {
            "type": "enum",
            "name": f"E{name}",
            "symbols": [f"s{i}" for i in range(draw(st.integers(1, 70)))],
        }
        enums.append(f"E{name}")
    elif kind == "array":
        node = {"type": "array", "items": draw(st.sampled_from(NUMBERS))}
    elif kind == "again" and enums:
        node = draw(st.sampled_from(enums))
    else:
        node = draw(st.sampled_from(PRIMITIVES))
    if node == "null":
        return node
    union = draw(st.sampled_from(("no", "first", "last")))
    return {"no": node, "first": ["null", node], "last": [node, "null"]}[union]


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    """A flat record's schema, or, at times, one that is not columnar."""
    enums: list[str] = []
    fields = [{"name": f"f{i}", "type": draw(types(f"f{i}", enums))} for i in range(draw(st.integers(0, 7)))]
    if draw(st.integers(0, 5)) == 0:
        fields.append({"name": "m", "type": {"type": "map", "values": "long"}})
    return {"type": "record", "name": "R", "fields": fields}


def is_flat(definition: dict[str, Any]) -> bool:
    return all(field["name"] != "m" for field in definition["fields"])


LONGS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from((0, -1, 63, 64, -64, -65, 2**63 - 1, -(2**63)))
TEXTS = st.text(max_size=20) | st.sampled_from(
    ("", "a" * 70, "\x00", "ключ", "\U0001f4c8" * 3, "\ud7ff\ue000")
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": LONGS,
    "float": st.floats(width=32),
    "double": st.floats(),
    "bytes": st.binary(max_size=20),
    "string": TEXTS,
}


def values_of(node: Any, named: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of one field."""
    if isinstance(node, list):
        return st.one_of([values_of(branch, named) for branch in node])
    if isinstance(node, str):
        return VALUES[node] if node in VALUES else values_of(named[node], named)
    if node["type"] == "enum":
        return st.sampled_from(node["symbols"])
    if node["type"] == "array":
        return st.lists(values_of(node["items"], named), max_size=6)
    if node["type"] == "map":
        return st.dictionaries(TEXTS, values_of(node["values"], named), max_size=3)
    return values_of(node["type"], named)


def rows_of(definition: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Values of one record."""
    named = enums_of(definition)
    return st.fixed_dictionaries({f["name"]: values_of(f["type"], named) for f in definition["fields"]})


def read_back(columns: Any, record: Hashable, names: list[str]) -> list[dict[str, Any]]:
    """The good rows of a record, field by field, as fastavro would give them."""
    found: list[list[Any]] = []
    for name in names:
        field = columns.reader.field(record, name)
        values: list[Any]
        match field.type:
            case "string":
                values = columns.strings(record, name)
            case "bytes":
                values = columns.bytes_of(record, name)
            case "enum":
                values = columns.symbols(record, name)
            case "array":
                values = [array.tolist() for array in columns.arrays(record, name)]
                if field.items == "boolean":
                    values = [[bool(item) for item in items] for items in values]
            case "null":
                values = [None] * columns.rows(record).size
            case _:
                values = columns.column(record, name).tolist()
        valid = columns.valid(record, name).tolist()
        found.append([value if good else None for value, good in zip(values, valid, strict=True)])
    rows = columns.rows(record).size
    return [dict(zip(names, (values[row] for values in found), strict=True)) for row in range(rows)]


def same(left: Any, right: Any) -> bool:
    """Equality in value and type, under which every NaN equals every other and 0.0 is not -0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return struct.pack("<d", left) == struct.pack("<d", right) or (left != left and right != right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def laid_out(values: Sequence[bytes | None], filler: int = 0) -> tuple[Any, Any, Any]:
    """Values as a batch has them: (data, starts, lengths), with filler between them."""
    gap = bytes([filler]) * 11
    data = bytearray(gap)
    starts, lengths = [], []
    for value in values:
        starts.append(len(data))
        lengths.append(-1 if value is None else len(value))
        data += (value or b"") + gap
    return np.frombuffer(bytes(data), np.uint8), np.array(starts, np.int64), np.array(lengths, np.int64)
