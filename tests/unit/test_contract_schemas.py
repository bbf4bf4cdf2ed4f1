"""The schemas in avro/, the records, the ids and the topic table agree with each other."""

import importlib.resources
import types
import typing
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from schemas import event_types, rows, topics
from schemas.errors import DecodeError, ValidationError
from schemas.identity import ce_id, market_key, split_key
from schemas.records import Candle, Record, Signal, TimeMark, Trade
from schemas.registry import BY_ID, CURRENT, ENTRIES, SchemaEntry

AVRO_TYPES: dict[Any, str] = {str: "string", int: "long", float: "double", bool: "boolean"}


def python_type_of(avro: Any) -> str:
    """The Avro type in words that a Python annotation can be put into as well."""
    if isinstance(avro, list):
        inner = [part for part in avro if part != "null"]
        assert avro[0] == "null", "nullable fields default to null"
        return f"{python_type_of(inner[0])}?"
    if isinstance(avro, dict):
        match avro["type"]:
            case "enum":
                return "enum " + ",".join(sorted(avro["symbols"]))
            case "array":
                return f"array {avro['items']}"
            case "map":
                return f"map {python_type_of(avro['values'])}"
            case other:
                return str(other)
    return "long" if avro == "int" else str(avro)


def annotation_in_words(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        inner = [argument for argument in arguments if argument is not type(None)]
        return f"{annotation_in_words(inner[0])}?"
    if origin is typing.Literal:
        return "enum " + ",".join(sorted(arguments))
    if origin is list:
        return f"array {AVRO_TYPES[arguments[0]]}"
    if origin is dict:
        return f"map {AVRO_TYPES[arguments[1]]}"
    return AVRO_TYPES[annotation]


@pytest.mark.parametrize("entry", CURRENT, ids=lambda entry: entry.file)
def test_record_and_schema_have_the_same_fields_in_the_same_order(entry: SchemaEntry) -> None:
    hints = typing.get_type_hints(entry.record)
    ours = [(name, annotation_in_words(hints[name])) for name in entry.record.__struct_fields__]
    theirs = [(field["name"], python_type_of(field["type"])) for field in entry.definition["fields"]]
    assert ours == theirs


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.file)
def test_every_field_says_what_it_is_and_in_which_unit(entry: SchemaEntry) -> None:
    assert entry.definition["doc"]
    for field in entry.definition["fields"]:
        assert field["doc"].endswith("."), field["name"]
        assert field["unit"], field["name"]
        if "_time" in field["name"] or field["name"] == "time":
            assert "timestamp-micros" in str(field["type"]), field["name"]


def test_every_schema_file_is_registered_once() -> None:
    files = {file.name for file in importlib.resources.files("schemas").joinpath("avro").iterdir()}
    assert files == {entry.file for entry in ENTRIES}
    assert len(BY_ID) == len(ENTRIES)


def test_records_are_immutable_and_have_slots() -> None:
    mark = TimeMark("binance", "s", 1, False, "i")
    with pytest.raises(AttributeError):
        mark.time = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        mark.other = 2  # type: ignore[attr-defined]


def values_of(record: type[Record]) -> st.SearchStrategy[Record]:
    times = st.integers(min_value=-(2**62), max_value=2**62)
    number = st.floats(allow_nan=False)
    text = st.text(max_size=20)

    def strategy(annotation: Any) -> st.SearchStrategy[Any]:
        words = annotation_in_words(annotation)
        if words.endswith("?"):
            inner = next(part for part in typing.get_args(annotation) if part is not type(None))
            return st.none() | strategy(inner)
        if words.startswith("enum "):
            return st.sampled_from(typing.get_args(annotation))
        return {
            "string": text,
            "long": times,
            "double": number,
            "boolean": st.booleans(),
            "array double": st.lists(number, max_size=5),
            "map double": st.dictionaries(text, number, max_size=4),
            "map long": st.dictionaries(text, times, max_size=4),
            "map string": st.dictionaries(text, text, max_size=4),
        }[words]

    hints = typing.get_type_hints(record)
    fields = {name: strategy(hints[name]) for name in record.__struct_fields__}
    if "revision" in fields:
        fields["revision"] = st.integers(0, 2**31 - 1)
    return st.builds(record, **fields)


@given(st.one_of([values_of(entry.record) for entry in CURRENT]))
def test_a_record_survives_the_way_to_bytes_and_back(record: Record) -> None:
    value = rows.encode(record)
    assert rows.decode(value) == record
    assert ce_id(record) == ce_id(rows.decode(value))


TRADE = Trade(
    "binance", "BTC/USDT", "7", 7, 60_000.5, 0.25, "buy", 1_700_000_000_000_000, 1_700_000_000_100_000
)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "null"),
        (b"", "header"),
        (b"\x01" + rows.encode(TRADE)[1:], "magic"),
        (b"\x00\x00\x00\x00\x63abc", "schema id 99"),
        (rows.encode(TRADE)[:-4], "no Trade"),
        (rows.encode(TRADE) + b"!", "left over"),
        (b"\x00\x00\x00\x00\x01garbage", "no Trade"),
    ],
)
def test_bytes_that_are_no_record_say_why(value: bytes | None, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        rows.decode(value)


@pytest.mark.parametrize(
    "wrong", [{"price": "dear"}, {"side": "bought"}, {"event_time": 2**70}, {"symbol": None}]
)
def test_a_record_that_does_not_fit_its_schema_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="Trade"):
        rows.encode(msgspec.structs.replace(TRADE, **wrong))


def test_a_key_is_split_at_the_first_colon_only() -> None:
    assert split_key(market_key("binance", "BTC/USDT:USDT")) == ("binance", "BTC/USDT:USDT")
    for wrong in ("", "binance", ":BTC/USDT", "binance:"):
        with pytest.raises(ValidationError):
            split_key(wrong)


def test_ids_depend_on_market_data_alone() -> None:
    late = msgspec.structs.replace(TRADE, receive_time=TRADE.receive_time + 1, backfilled=True)
    assert ce_id(late) == ce_id(TRADE)
    candle = Candle("b", "S", "1s", 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, None, None, 0, True)
    revised = msgspec.structs.replace(candle, revision=1)
    assert ce_id(candle) != ce_id(revised)
    signal = Signal("given", "b", "S", "1s", 0, 1, "r", "long", 1.0, {}, "c", True)
    assert ce_id(signal) == "given"


def test_the_topic_table_has_no_name_twice_and_every_record_a_schema() -> None:
    names = [topic.name for topic in topics.TOPICS]
    names += [topic.dead_letter_name for topic in topics.TOPICS]
    assert len(names) == len(set(names))
    described = {entry.record for entry in ENTRIES}
    for topic in topics.TOPICS:
        assert set(topic.records) <= described
        assert (topic.retention_ms is None) == (topic.cleanup == "compact")


def test_event_types_are_refused_when_unknown_or_only_reserved() -> None:
    assert event_types.checked("provider.connected") == "provider.connected"
    with pytest.raises(ValidationError, match="reserved"):
        event_types.checked("order.created")
    with pytest.raises(ValidationError, match="unknown"):
        event_types.checked("order.lost")
