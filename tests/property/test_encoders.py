"""The encoders made of schemas against fastavro: the same bytes, the same refusals."""

import struct
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import encoders, rows
from schemas.encoders import REMEMBERED, UNUSUAL, encoder_of, varint
from schemas.errors import ValidationError
from schemas.records import Record, Signal, TimeMark, Trade
from schemas.registry import BY_RECORD, CURRENT
from tests.avro_model import Entry, definitions, rows_of

NOW = 1_763_700_000_000_000
NUMBERS = (True, 0, 1, -1, 2**31, 2**63 - 1, 2**63, 2**70, 1.5, float("nan"))
SCALARS = (np.int32(-(2**31)), np.int64(2**62), np.int64(7), np.float64(1.5))
OTHERS: tuple[Any, ...] = (
    None,
    "x",
    "x" * 9_000,
    "\udc80",
    b"x",
    (),
    [],
    [1.0],
    {},
    {"a": 1},
    {"a": None},
    ("long", 5),
)
ODD = st.sampled_from((*NUMBERS, *SCALARS, *OTHERS))
"""What a field may hold by mistake."""


def usual(kind: Any) -> st.SearchStrategy[Any]:
    """What a field of a contract's record holds on any day."""
    if isinstance(kind, list):
        return st.none() | usual(kind[1])
    if isinstance(kind, dict):
        match kind["type"]:
            case "enum":
                return st.sampled_from(kind["symbols"])
            case "array":
                return st.lists(usual(kind["items"]), max_size=30)
            case "map":
                return st.dictionaries(st.text(max_size=9), usual(kind["values"]), max_size=4)
            case _:
                return st.integers(NOW, NOW + 10**15) if "logicalType" in kind else usual(kind["type"])
    return {
        "string": st.text(max_size=40),
        "long": st.integers(0, 2**62),
        "int": st.integers(0, 99),
        "double": st.floats(),
        "boolean": st.booleans(),
    }[str(kind)]


def made(record: type[Record], values: dict[str, Any]) -> Record:
    return record(**values)


def outcome(encode: Callable[[Any], bytes], record: Record) -> bytes | str:
    try:
        return encode(record)
    except ValidationError as error:
        return str(error)


RECORDS = [st.builds(made, st.just(entry.record), rows_of(entry.definition)) for entry in CURRENT]
USUAL = [
    st.builds(
        made,
        st.just(entry.record),
        st.fixed_dictionaries({f["name"]: usual(f["type"]) for f in entry.definition["fields"]}),
    )
    for entry in CURRENT
]


@given(st.one_of(RECORDS))
def test_bytes_equal_those_of_fastavro(record: Record) -> None:
    assert rows.encode(record) == rows.encode_by_reference(record)


@given(st.one_of(USUAL))
def test_the_usual_does_not_go_to_fastavro(record: Record) -> None:
    entry = BY_RECORD[type(record)]
    encode = encoder_of(entry.definition, struct.pack(">bI", 0, entry.schema_id))
    assert encode is not None
    assert encode(record) == rows.encode_by_reference(record)


@settings(max_examples=500)
@given(st.data(), st.one_of(USUAL), ODD)
def test_what_fastavro_refuses_is_refused_in_its_words(data: st.DataObject, record: Record, odd: Any) -> None:
    name = data.draw(st.sampled_from(record.__struct_fields__))
    wrong = msgspec.structs.replace(record, **{name: odd})
    assert outcome(rows.encode, wrong) == outcome(rows.encode_by_reference, wrong)


@given(st.data(), definitions())
def test_any_schema_is_encoded_right_or_not_at_all(data: st.DataObject, definition: dict[str, Any]) -> None:
    encode = encoder_of(definition)
    if encode is None:
        return
    entry = Entry(7, "R", definition)
    values = data.draw(rows_of(definition))
    record = msgspec.defstruct("R", [(name, Any) for name in values])(**values)
    try:
        found = encode(record)
    except UNUSUAL:
        return
    assert found == entry.encode(values)[5:]


@pytest.mark.parametrize(
    "kind", ["bytes", "float", "null", {"type": "array", "items": "int"}, ["long", "null"], ["null", "bytes"]]
)
def test_a_type_that_is_not_covered_gives_no_encoder(kind: Any) -> None:
    assert encoder_of({"type": "record", "name": "R", "fields": [{"name": "a", "type": kind}]}) is None


@given(st.integers(0, 2**64 - 1))
def test_a_varint_has_seven_bits_a_byte(number: int) -> None:
    found = varint(number)
    assert sum((byte & 0x7F) << 7 * place for place, byte in enumerate(found)) == number
    assert all(byte & 0x80 for byte in found[:-1])
    assert found[-1] < 0x80
    assert found[-1] or number == 0


def test_what_is_remembered_is_bounded() -> None:
    for number in range(3 * REMEMBERED):
        mark = TimeMark("binance", f"source {number}", NOW + number * 2**29, False, "i")
        assert rows.decode(rows.encode(mark)) == mark
        signal = Signal("", "b", "s", "1s", NOW, NOW, "r", "long", 1.0, {"a": 1.0}, "", True)
        trade = Trade("b", f"s{number}", "1", number * 2**20, 1.0, 1.0, "buy", NOW, NOW)
        assert rows.decode(rows.encode(trade)) == trade
    assert rows.decode(rows.encode(signal)) == signal
    for memory in (encoders._TEXTS, encoders._AFTER_ONE, encoders._AFTER_TWO, encoders._ROWS):
        assert len(memory) <= REMEMBERED
