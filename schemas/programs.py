"""Programs for the walker: a writer's Avro schema, compiled to the instructions that the kernel follows.

A record is columnar when it is flat: primitive types, enums, logical types over them, unions of null with one
of these in either order, arrays of numbers. Anything else (maps, nested records, fixed, wider unions) makes
the record opaque: the walker then reports its span and `rows` decodes it.

Several writers' schemas of one record share one layout, that of the newest: fields that the newest no
longer has are read over, fields that the writer did not have yet get their default.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from schemas import kernels
from schemas.errors import ConfigurationError

_OPERATIONS = {
    "null": kernels.NULL,
    "boolean": kernels.BOOLEAN,
    "int": kernels.INT,
    "long": kernels.LONG,
    "float": kernels.FLOAT,
    "double": kernels.DOUBLE,
    "bytes": kernels.BYTES,
    "string": kernels.STRING,
}
_NUMBERS = frozenset({"boolean", "int", "long", "float", "double"})
_WIDER = {("int", "long"), ("float", "double"), ("string", "bytes"), ("bytes", "string")}
"""(writer's type, reader's type) that have one form in cells: BACKWARD evolution allows them."""


class Entry(Protocol):
    """A schema that may stand in a batch; `registry.SchemaEntry` is one."""

    @property
    def schema_id(self) -> int:
        """The id in the Confluent prefix, 0 to 2**32 - 1."""

    @property
    def record(self) -> Hashable:
        """The record that it describes, mostly a class; a name is as good."""

    @property
    def definition(self) -> Mapping[str, Any]:
        """The Avro schema as JSON data."""


@dataclass(frozen=True, slots=True)
class Field:
    """Where a field stands in the cells.

    Attributes:
        name: Name of the field.
        type: Avro type without null and logical type: "long", "string", "enum", "array" ...
        slot: Row of the cells with its value: numbers and enum indexes as they are, doubles bit-cast, floats
            widened to doubles; strings, bytes and arrays have their start here, length or count one row on.
        valid_slot: Row with 1 (value) or 0 (null), -1 when it cannot be null.
        symbols: Symbols of an enum, by index.
        items: Avro type of an array's items.
    """

    name: str
    type: str
    slot: int
    valid_slot: int = -1
    symbols: tuple[str, ...] = ()
    items: str = ""

    @property
    def is_span(self) -> bool:
        """Whether it is a start and a length: strings, bytes, arrays."""
        return self.type in ("string", "bytes", "array")


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields of a columnar record, and how many slots they take."""

    fields: Mapping[str, Field]
    slots: int


@dataclass(frozen=True, slots=True)
class _Shape:
    """A type of Avro as the walker sees it."""

    type: str
    null_branch: int = -1
    symbols: tuple[str, ...] = ()
    items: str = ""


def _shape(node: Any, named: dict[str, Any]) -> _Shape | None:
    """The shape of a field's type; None: not columnar."""
    if isinstance(node, str):
        if node in _OPERATIONS:
            return _Shape(node)
        return _shape(named[node], {}) if node in named else None
    if isinstance(node, list):
        if len(node) != 2 or (node[0] == "null") == (node[1] == "null"):
            return None
        null_branch = int(node[1] == "null")
        inner = _shape(node[1 - null_branch], named)
        if inner is None or inner.null_branch >= 0:
            return None
        return _Shape(inner.type, null_branch, inner.symbols, inner.items)
    kind = node.get("type")
    if kind == "enum":
        named[node["name"]] = node
        if space := node.get("namespace"):
            named[f"{space}.{node['name']}"] = node
        return _Shape("enum", symbols=tuple(node["symbols"]))
    if kind == "array":
        items = _shape(node["items"], named)
        if items is None or items.type not in _NUMBERS or items.null_branch >= 0:
            return None
        return _Shape("array", items=items.type)
    return _shape(kind, named) if isinstance(kind, str | dict | list) else None


def _shapes(definition: Mapping[str, Any]) -> dict[str, _Shape] | None:
    """The shapes of a record's fields in the order of the wire; None: not columnar."""
    if definition.get("type") != "record":
        return None
    shapes: dict[str, _Shape] = {}
    named: dict[str, Any] = {}
    space = definition.get("namespace", "")
    for field in definition["fields"]:
        shape = _shape(field["type"], named)
        for name in list(named):
            if space and "." not in name:
                named[f"{space}.{name}"] = named[name]
        if shape is None:
            return None
        shapes[field["name"]] = shape
    return shapes


def layout_of(definition: Mapping[str, Any]) -> Layout | None:
    """Where the fields of a record stand; None when it is not columnar."""
    shapes = _shapes(definition)
    if shapes is None:
        return None
    fields: dict[str, Field] = {}
    slot = 0
    for name, shape in shapes.items():
        width = 2 if shape.type in ("string", "bytes", "array") else 1
        nullable = shape.null_branch >= 0
        fields[name] = Field(
            name, shape.type, slot, slot + width if nullable else -1, symbols=shape.symbols, items=shape.items
        )
        slot += width + nullable
    return Layout(fields, slot)


def compile_program(writer: Mapping[str, Any], reader: Mapping[str, Any]) -> npt.NDArray[np.int64]:
    """Instructions that read what `writer` wrote into the layout of `reader`; `WIDTH` numbers each.

    Args:
        writer: Schema by which the bytes were written.
        reader: Newest schema of the same record; it must be columnar.

    Raises:
        ConfigurationError: The writer's schema cannot be read as the reader's; Avro's BACKWARD rules forbid
            the difference, or it has no form in cells (a default that is not empty for a string or an array).
    """
    layout = layout_of(reader)
    shapes = _shapes(writer)
    if layout is None or shapes is None:
        raise ConfigurationError(
            f"{writer.get('name')}: expected flat schemas, one of the two has nested parts"
        )
    scratch = layout.slots  # three rows where values go that no one reads
    rows: list[list[int]] = []
    for name, shape in shapes.items():
        field = layout.fields.get(name)
        operation, argument = _operation(shape)
        if field is None:
            rows.append([operation, scratch, scratch + 2, shape.null_branch, argument])
            continue
        _refuse_unlike(shape, field, str(writer.get("name")))
        if field.type == "string":
            operation = kernels.STRING  # written as bytes perhaps: still a text has to be UTF-8
        rows.append([operation, field.slot, field.valid_slot, shape.null_branch, argument])
        if field.valid_slot >= 0 and shape.null_branch < 0:
            rows.append([kernels.CONSTANT, field.valid_slot, -1, -1, 1])
    for definition in reader["fields"]:
        if definition["name"] not in shapes:
            rows.extend(_default(definition, layout.fields[definition["name"]]))
    return np.array(rows, np.int64).reshape(len(rows), kernels.WIDTH)


def _operation(shape: _Shape) -> tuple[int, int]:
    if shape.type == "enum":
        return kernels.ENUM, len(shape.symbols)
    if shape.type == "array":
        return kernels.ARRAY, _OPERATIONS[shape.items]
    return _OPERATIONS[shape.type], 0


def _refuse_unlike(shape: _Shape, field: Field, record: str) -> None:
    same = shape.type == field.type or (shape.type, field.type) in _WIDER
    same &= shape.symbols == field.symbols[: len(shape.symbols)]
    same &= shape.items == field.items or (shape.items, field.items) in _WIDER
    same &= shape.null_branch < 0 or field.valid_slot >= 0
    if not same:
        raise ConfigurationError(
            f"{record}.{field.name}: written as {shape.type} {list(shape.symbols) or shape.items or ''} it "
            f"cannot be read as {field.type} {list(field.symbols) or field.items or ''}; "
            "keep the type, append symbols at the end, or give the field a new name"
        )


def _default(definition: Mapping[str, Any], field: Field) -> Sequence[list[int]]:
    """Instructions that fill a field which the writer did not have."""
    if "default" not in definition:
        raise ConfigurationError(f"{field.name} is new and has no default, so older records cannot be read")
    value = definition["default"]
    cell = 0
    if field.is_span:
        if value:
            raise ConfigurationError(
                f"{field.name} is new: the default of a {field.type} must be empty or null"
            )
    elif field.type == "enum":
        cell = field.symbols.index(value) if value is not None else 0
    elif field.type in ("float", "double") and value is not None:
        cell = int(np.float64(value).view(np.int64))
    elif value is not None:
        cell = int(value)
    rows = [[kernels.CONSTANT, field.slot, -1, -1, cell]]
    if field.is_span:
        rows.append([kernels.CONSTANT, field.slot + 1, -1, -1, 0])
    if field.valid_slot >= 0:
        rows.append([kernels.CONSTANT, field.valid_slot, -1, -1, int(value is not None)])
    return rows
