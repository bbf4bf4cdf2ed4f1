"""Whether what was written by one Avro schema can be read by another: the rule BACKWARD.

The rules are those of Avro's schema resolution: https://avro.apache.org/docs/1.12.0/specification/#schema-resolution
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

Schema = Any
"""A schema as JSON data."""

_WIDER: Final = {
    ("int", "long"),
    ("int", "float"),
    ("int", "double"),
    ("long", "float"),
    ("long", "double"),
    ("float", "double"),
    ("string", "bytes"),
    ("bytes", "string"),
}
"""(writer's type, reader's type) that readers convert."""
_NAMED: Final = frozenset({"record", "error", "enum", "fixed"})


def incompatibilities(reader: Schema, writer: Schema) -> list[str]:
    """Why values of the writer's schema cannot be read by the reader's; empty if they can.

    Both must be valid schemas.
    """
    return list(_Comparison(_names(reader), _names(writer)).differences(reader, writer, ""))


class _Comparison:
    """One comparison; remembers pairs of records under way, since schemas may refer to themselves."""

    def __init__(self, readers: Mapping[str, Schema], writers: Mapping[str, Schema]) -> None:
        self._readers = readers
        self._writers = writers
        self._under_way: set[tuple[str, str]] = set()

    def differences(self, reader: Schema, writer: Schema, path: str) -> Iterator[str]:
        reader, writer = _resolved(reader, self._readers), _resolved(writer, self._writers)
        if isinstance(writer, list):
            for branch in writer:
                yield from self.differences(reader, branch, path)
            return
        if isinstance(reader, list):
            if not any(not [*self.differences(branch, writer, path)] for branch in reader):
                yield f"{path or '/'}: none of the reader's types reads the writer's {_type(writer)}"
            return
        kind, written = _type(reader), _type(writer)
        if kind != written:
            if (written, kind) not in _WIDER:
                yield f"{path or '/'}: the reader expects {kind}, the writer has {written}"
        elif kind in _NAMED and not _same_name(reader, writer):
            yield f"{path or '/'}: the reader expects {reader['name']}, the writer has {writer['name']}"
        elif kind == "array":
            yield from self.differences(reader["items"], writer["items"], f"{path}/items")
        elif kind == "map":
            yield from self.differences(reader["values"], writer["values"], f"{path}/values")
        elif kind == "fixed":
            if reader["size"] != writer["size"]:
                yield f"{path or '/'}: the reader expects {reader['size']} bytes, not {writer['size']}"
        elif kind == "enum":
            yield from self._symbols(reader, writer, path)
        elif kind in {"record", "error"}:
            yield from self._fields(reader, writer, path)

    def _symbols(self, reader: Schema, writer: Schema, path: str) -> Iterator[str]:
        unknown = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
        if unknown and "default" not in reader:
            yield f"{path or '/'}: the reader does not know {', '.join(unknown)}"

    def _fields(self, reader: Schema, writer: Schema, path: str) -> Iterator[str]:
        pair = (reader["name"], writer["name"])
        if pair in self._under_way:
            return
        self._under_way.add(pair)
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            names = (field["name"], *field.get("aliases", ()))
            source = next((written[name] for name in names if name in written), None)
            place = f"{path}/{field['name']}"
            if source is not None:
                yield from self.differences(field["type"], source["type"], place)
            elif "default" not in field:
                yield f"{place}: the reader's field is new and has no default"
        self._under_way.discard(pair)


def _type(schema: Schema) -> str:
    return str(schema["type"]) if isinstance(schema, dict) else str(schema)


def _resolved(schema: Schema, names: Mapping[str, Schema]) -> Schema:
    """The schema itself, of a name or of an annotated type."""
    while True:
        if isinstance(schema, dict) and isinstance(schema["type"], (dict, list)):
            schema = schema["type"]
        elif isinstance(schema, str) and (_short(schema) in names):
            return names[_short(schema)]
        else:
            return schema


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _same_name(reader: Schema, writer: Schema) -> bool:
    known = {_short(reader["name"]), *(_short(alias) for alias in reader.get("aliases", ()))}
    return _short(writer["name"]) in known


def _names(schema: Schema) -> dict[str, Schema]:
    """The named types of a schema, by their names without namespaces, which resolution does not look at."""
    found: dict[str, Schema] = {}
    if isinstance(schema, list):
        for branch in schema:
            found |= _names(branch)
    elif isinstance(schema, dict):
        if schema.get("type") in _NAMED:
            found[_short(schema["name"])] = schema
        for part in ("type", "items", "values"):
            if isinstance(schema.get(part), (dict, list)):
                found |= _names(schema[part])
        for field in schema.get("fields", ()):
            found |= _names(field["type"])
    return found
