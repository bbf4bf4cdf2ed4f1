"""Our reader and writer of protobuf against Google's, over messages of the same layout."""

import importlib
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from producers import protobuf
from producers.exchange import BadRecord
from producers.exchanges.mexc.messages import Deal, Deals, Depths, Kline, Level, Push
from producers.protobuf import Message

# The package has no annotations of its own.
descriptor_pb2: Any = importlib.import_module("google.protobuf.descriptor_pb2")
descriptor_pool: Any = importlib.import_module("google.protobuf.descriptor_pool")
message_factory: Any = importlib.import_module("google.protobuf.message_factory")
json_format: Any = importlib.import_module("google.protobuf.json_format")
DecodeError: Any = importlib.import_module("google.protobuf.message").DecodeError

SINGULAR, REPEATED = 1, 3
INT64, STRING, MESSAGE = 3, 9, 11


def declared(pool: Any, message: type[Message], made: dict[type[Message], str]) -> None:
    """Give Google's package the declaration of a message and of those in it."""
    if message in made:
        return
    made[message] = message.__name__
    file = descriptor_pb2.FileDescriptorProto(name=f"{message.__name__}.proto", syntax="proto3")
    described = file.message_type.add(name=message.__name__)
    for field in msgspec.structs.fields(message):
        arguments = [kind for kind in getattr(field.type, "__args__", ()) if kind is not type(None)]
        entry = described.field.add(
            name=field.name,
            json_name=field.encode_name,
            number=message.numbers[field.name],
            label=REPEATED if getattr(field.type, "__origin__", None) is list else SINGULAR,
            type={str: STRING, int: INT64}.get(field.type, MESSAGE),
        )
        if arguments:
            declared(pool, arguments[0], made)
            file.dependency.append(f"{arguments[0].__name__}.proto")
            entry.type_name = f".{arguments[0].__name__}"
    pool.Add(file)


POOL: Any = descriptor_pool.DescriptorPool()
declared(POOL, Push, {})
Theirs: Any = message_factory.GetMessageClass(POOL.FindMessageTypeByName("Push"))

texts = st.text(max_size=20)
integers = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 300)
levels = st.lists(st.builds(Level, texts, texts), max_size=5)
pushes = st.builds(
    Push,
    channel=texts,
    symbol=texts,
    create_time=integers,
    send_time=integers,
    public_spot_kline=st.none() | st.builds(Kline, texts, integers, texts, window_end=integers),
    public_aggre_depths=st.none() | st.builds(Depths, levels, levels, texts, texts, texts, integers),
    public_aggre_deals=st.none()
    | st.builds(Deals, st.lists(st.builds(Deal, texts, texts, integers, integers, texts), max_size=5)),
)


def as_json(theirs: Any) -> Any:
    """Their message in protobuf's JSON form, which is ours, too."""
    return json_format.MessageToDict(theirs)


def ours_of(theirs: Any) -> Push:
    return msgspec.convert(as_json(theirs), Push, strict=False)


@given(pushes)
def test_what_we_write_they_read(push: Push) -> None:
    theirs = Theirs.FromString(protobuf.encode(push))
    assert ours_of(theirs) == push


@given(pushes)
def test_what_they_write_we_read(push: Push) -> None:
    theirs = Theirs.FromString(protobuf.encode(push))
    assert protobuf.decode(Push, theirs.SerializeToString()) == push


@given(pushes)
def test_both_write_the_same_bytes(push: Push) -> None:
    theirs = Theirs.FromString(protobuf.encode(push))
    assert theirs.SerializeToString(deterministic=True) == protobuf.encode(push)


@given(pushes, st.data())
def test_of_damaged_bytes_we_read_nothing_that_they_do_not(push: Push, data: st.DataObject) -> None:
    written = protobuf.encode(push)
    start = data.draw(st.integers(0, len(written)))
    end = data.draw(st.integers(start, len(written)))
    damaged = written[:start] + data.draw(st.binary(max_size=8)) + written[end:]
    try:
        ours = protobuf.decode(Push, damaged)
    except BadRecord:
        return
    theirs = Theirs.FromString(damaged)
    # A message that comes twice is merged by them, and replaced by us: no writer sends one twice.
    if theirs.ByteSize() == len(damaged):
        assert ours == ours_of(theirs)


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        protobuf.decode(Push, data)
    except BadRecord as error:
        assert error.reason == "protobuf"  # noqa: PT017 - either outcome is right
    else:
        Theirs.FromString(data)
