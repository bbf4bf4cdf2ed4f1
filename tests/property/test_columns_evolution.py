"""Older writers' schemas read into the newest layout, against fastavro's resolution."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.columns import ColumnReader
from schemas.errors import ConfigurationError
from schemas.row_status import RowStatus
from tests.avro_model import Entry, laid_out, read_back, rows_of, same, types

DEFAULTS: dict[str, Any] = {
    "null": None,
    "boolean": True,
    "int": -7,
    "long": 2**40,
    "float": 0.25,
    "double": -1.5,
    "bytes": "",
    "string": "",
}
WIDER = {"int": "long", "float": "double", "string": "bytes", "bytes": "string"}


def default_of(type_: Any) -> Any:
    """The default of a new field: for a union one of its first branch."""
    match type_:
        case list():
            return default_of(type_[0])
        case {"type": "enum", "symbols": symbols}:
            return symbols[-1]
        case {"type": "array"}:
            return []
        case {"type": str(inner)} | str(inner):
            return DEFAULTS[inner]
    raise AssertionError(type_)


def widened(type_: Any) -> Any:
    """What a newer schema may have made of a type."""
    match type_:
        case list():
            return [widened(branch) for branch in reversed(type_)]
        case {"type": "enum"}:
            return {**type_, "symbols": [*type_["symbols"], "new"]}
        case {"type": "array", "items": items}:
            return {"type": "array", "items": WIDER.get(items, items)}
        case {"type": str(inner)} | str(inner):
            return WIDER.get(inner, inner)
    raise AssertionError(type_)


@st.composite
def generations(draw: st.DrawFn) -> tuple[Entry, Entry]:
    """A writer's schema and a newer one: fields gone, new, widened, made nullable, in another order."""
    old: list[Any] = []
    new: list[Any] = []
    for index in range(draw(st.integers(1, 7))):
        name = f"f{index}"
        type_ = draw(types(name, []))
        change = draw(st.sampled_from(("none", "gone", "new", "wider", "nullable")))
        field = {"name": name, "type": type_}
        if change != "new":
            old.append(field)
        if change == "new":
            new.append({**field, "default": default_of(type_)})
        elif change == "wider":
            new.append({"name": name, "type": widened(type_)})
        elif change == "nullable" and not isinstance(type_, list) and type_ != "null":
            new.append({"name": name, "type": draw(st.permutations(["null", type_]))})
        elif change != "gone":
            new.append(field)
    shuffled = draw(st.permutations(new))
    return (
        Entry(1, "R", {"type": "record", "name": "R", "fields": copy.deepcopy(old)}),
        Entry(2, "R", {"type": "record", "name": "R", "fields": copy.deepcopy(shuffled)}),
    )


@given(generations(), st.data())
def test_older_values_are_read_as_fastavro_resolves_them(
    entries: tuple[Entry, Entry], data: st.DataObject
) -> None:
    old, new = entries
    older = data.draw(st.lists(rows_of(old.definition), min_size=1, max_size=5))
    newer = data.draw(st.lists(rows_of(new.definition), max_size=3))
    values: list[bytes | None] = [old.encode(row) for row in older]
    expected = []
    statuses = []
    for value in values:
        try:
            expected.append(old.decode(value or b"", new))
            statuses.append(RowStatus.OK)
        except UnicodeDecodeError:
            # Bytes that have become a string, and are none.
            statuses.append(RowStatus.BAD_UTF8)
    values += [new.encode(row) for row in newer]
    expected += [new.decode(value or b"") for value in values[len(older) :]]
    columns = ColumnReader(entries).read(*laid_out(values))
    assert columns.status.tolist() == [*statuses, *([RowStatus.OK] * len(newer))]
    names = [field["name"] for field in new.definition["fields"]]
    found = read_back(columns, "R", names)
    # fastavro gives a default of bytes as the text that stands in the schema.
    binary = {field["name"] for field in new.definition["fields"] if "bytes" in str(field["type"])}
    expected = [
        {name: b"" if name in binary and row[name] == "" else row[name] for name in names} for row in expected
    ]
    assert same(found, expected), (found, expected)


ENUM = {"type": "enum", "name": "E", "symbols": ["a", "b"]}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("long", "int"),
        ("long", "string"),
        ("long", "double"),
        (["null", "long"], "long"),
        (ENUM, {**ENUM, "symbols": ["b", "a"]}),
        (ENUM, {**ENUM, "symbols": ["a"]}),
        ({"type": "array", "items": "long"}, {"type": "array", "items": "double"}),
        ({"type": "map", "values": "long"}, "long"),
    ],
)
def test_a_change_that_cells_cannot_bear_is_refused_at_once(before: Any, after: Any) -> None:
    old = Entry(1, "R", {"type": "record", "name": "R", "fields": [{"name": "x", "type": before}]})
    new = Entry(2, "R", {"type": "record", "name": "R", "fields": [{"name": "x", "type": after}]})
    with pytest.raises(ConfigurationError, match="R"):
        ColumnReader([old, new])


@pytest.mark.parametrize(
    "field", [{"name": "x", "type": "long"}, {"name": "x", "type": "string", "default": "not empty"}]
)
def test_a_new_field_without_a_default_for_cells_is_refused(field: dict[str, Any]) -> None:
    old = Entry(1, "R", {"type": "record", "name": "R", "fields": []})
    new = Entry(2, "R", {"type": "record", "name": "R", "fields": [field]})
    with pytest.raises(ConfigurationError, match="x is new"):
        ColumnReader([old, new])


def test_two_schemas_with_one_id_are_refused() -> None:
    one = Entry(1, "A", {"type": "record", "name": "A", "fields": []})
    with pytest.raises(ConfigurationError, match="an id of its own"):
        ColumnReader([one, Entry(1, "B", one.definition)])
    with pytest.raises(ConfigurationError, match="k is to be interned"):
        ColumnReader([one], interned=["k"])
