"""The wire format of protobuf, for messages that a venue declares: https://protobuf.dev/programming-guides/encoding.

A message is a subclass of `Message` whose fields are text, 64-bit integers, messages or lists of messages,
with `numbers` telling the number of each. What is not declared is skipped, as the format wants: venues add
fields without notice. What cannot be a message is refused.
"""

import functools
import typing
from collections.abc import Mapping
from types import NoneType
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

import msgspec

from producers.exchange import BadRecord

SIZE_MAX: Final = 16 * 1024 * 1024
"""Bytes of a message; a frame that is larger never gets here."""

ITEMS_MAX: Final = 65_536
"""Items of one list: an empty item is two bytes on the wire and a hundred in memory."""

NESTING_MAX: Final = 32
"""Groups inside one another, of fields that are not declared; declared messages nest as declared."""

VARINT, FIXED64, LENGTH, GROUP, GROUP_END, FIXED32 = range(6)
"""Wire types: the lower three bits of a key."""

TEXT, INTEGER, MESSAGE, LIST = range(4)

_KEY_MAX: Final = 2**32 - 1
_VARINT_BYTES_MAX: Final = 10
_WIRE_TYPES: Final = {TEXT: LENGTH, INTEGER: VARINT, MESSAGE: LENGTH, LIST: LENGTH}


class Message(msgspec.Struct, rename="camel", gc=False):
    """A declared message; every field has a default, which is what an absent one means.

    Its names in JSON are those of protobuf's own mapping (`event_type` is `eventType`), so that msgspec reads
    and writes that form of it.
    """

    numbers: ClassVar[Mapping[str, int]] = {}
    """Number of each field, by its Python name."""


class _Field(NamedTuple):
    place: int
    kind: int
    nested: "_Plan | None"


class _Plan(NamedTuple):
    """How a message is read and written.

    Attributes:
        message: The class.
        fields: By key: the number and the wire type as they stand on the wire.
        defaults: Of all fields, in the order of the constructor's arguments.
        lists: Places of those that are lists.
        writing: Key as it is written, name and kind of each field, by ascending number.
    """

    message: type[Message]
    fields: dict[int, _Field]
    defaults: tuple[Any, ...]
    lists: tuple[int, ...]
    writing: tuple[tuple[bytes, str, int], ...]


_M = TypeVar("_M", bound=Message)


def decode(message: type[_M], data: bytes) -> _M:
    """Read a message.

    Of a field that comes twice the last one counts; fields of other numbers, or of another wire type than
    declared, are skipped.

    Raises:
        BadRecord: The bytes are not a message, or too large for one; `reason` is `protobuf`.
    """
    if len(data) > SIZE_MAX:
        raise BadRecord("protobuf", f"expected at most {SIZE_MAX} bytes, got {len(data)}")
    read = _read(_plan(message), data, 0, len(data))
    assert isinstance(read, message)
    return read


def encode(message: Message) -> bytes:
    """Write a message; fields that have their default value are left out.

    Raises:
        ValueError: An integer is outside of 64 bits.
    """
    out = bytearray()
    for key, name, kind in _plan(type(message)).writing:
        value = getattr(message, name)
        if kind == INTEGER:
            if value:
                out += key + _varint_of(value)
        elif kind == TEXT:
            if value:
                _write_bytes(out, key, value.encode())
        elif kind == MESSAGE:
            if value is not None:
                _write_bytes(out, key, encode(value))
        else:
            for item in value:
                _write_bytes(out, key, encode(item))
    return bytes(out)


def _read(plan: _Plan, data: bytes, at: int, end: int) -> Message:
    message, fields, defaults, lists, _ = plan
    values = list(defaults)
    for place in lists:
        values[place] = []
    while at < end:
        key = data[at]
        at += 1
        if key > 0x7F:
            key, at = _varint(data, at - 1, end)
        field = fields.get(key)
        if field is None:
            at = _skip(data, at, end, key, 0)
            continue
        place, kind, nested = field
        if at >= end:
            raise _cut(at)
        number = data[at]
        at += 1
        if number > 0x7F:
            number, at = _varint(data, at - 1, end)
        if kind == INTEGER:
            values[place] = number if number < 2**63 else number - 2**64
            continue
        stop = at + number
        if stop > end:
            raise _cut(at)
        if kind == TEXT:
            try:
                values[place] = data[at:stop].decode()
            except UnicodeDecodeError as error:
                raise BadRecord("protobuf", f"the text at byte {at} is not UTF-8: {error.reason}") from None
        elif kind == MESSAGE:
            assert nested is not None
            values[place] = _read(nested, data, at, stop)
        else:
            assert nested is not None
            if len(values[place]) >= ITEMS_MAX:
                raise BadRecord("protobuf", f"expected at most {ITEMS_MAX} items in a list")
            values[place].append(_read(nested, data, at, stop))
        at = stop
    return message(*values)


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The unsigned number at a place, and the place behind it."""
    value = shift = 0
    for byte in data[at : min(end, at + _VARINT_BYTES_MAX)]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte <= 0x7F:
            if value >= 2**64:
                break
            return value, at + shift // 7
    else:
        if end < at + _VARINT_BYTES_MAX:
            raise _cut(at)
    raise BadRecord("protobuf", f"the number at byte {at} has more than 64 bits")


def _skip(data: bytes, at: int, end: int, key: int, nesting: int) -> int:
    """The place behind the value of a field that is not declared."""
    number, wire_type = key >> 3, key & 7
    if not number or key > _KEY_MAX:
        raise BadRecord("protobuf", f"byte {at - 1} begins no field: its number is {number}")
    if wire_type == VARINT:
        return _varint(data, at, end)[1]
    if wire_type == LENGTH:
        length, at = _varint(data, at, end)
        stop = at + length
    elif wire_type == FIXED64:
        stop = at + 8
    elif wire_type == FIXED32:
        stop = at + 4
    elif wire_type == GROUP:
        return _skip_group(data, at, end, number, nesting + 1)
    else:
        raise BadRecord("protobuf", f"byte {at - 1} begins no field: its wire type is {wire_type}")
    if stop > end:
        raise _cut(at)
    return stop


def _skip_group(data: bytes, at: int, end: int, number: int, nesting: int) -> int:
    if nesting > NESTING_MAX:
        raise BadRecord("protobuf", f"groups are nested deeper than {NESTING_MAX}")
    while at < end:
        key, at = _varint(data, at, end)
        if key == number << 3 | GROUP_END:
            return at
        at = _skip(data, at, end, key, nesting)
    raise _cut(at)


def _cut(at: int) -> BadRecord:
    return BadRecord("protobuf", f"the message is cut off at byte {at}")


def _varint_of(value: int) -> bytes:
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"expected an integer of 64 bits, got {value}")
    rest = value & (2**64 - 1)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _write_bytes(out: bytearray, key: bytes, value: bytes) -> None:
    out += key
    out += _varint_of(len(value))
    out += value


@functools.cache
def _plan(message: type[Message]) -> _Plan:
    """Derive from a message's annotations how it is read and written.

    Raises:
        TypeError: A field has no number, or a type that no message of ours needs.
    """
    hints = typing.get_type_hints(message)
    names = message.__struct_fields__
    fields: dict[int, _Field] = {}
    lists: list[int] = []
    writing: list[tuple[int, bytes, str, int]] = []
    for place, name in enumerate(names):
        kind, nested = _kind_of(hints[name])
        if name not in message.numbers or kind is None:
            raise TypeError(f"{message.__name__}.{name} has no number, or the type {hints[name]}")
        number = message.numbers[name]
        key = number << 3 | _WIRE_TYPES[kind]
        fields[key] = _Field(place, kind, None if nested is None else _plan(nested))
        writing.append((number, _varint_of(key), name, kind))
        if kind == LIST:
            lists.append(place)
    empty = message()
    defaults = tuple(getattr(empty, name) for name in names)
    return _Plan(message, fields, defaults, tuple(lists), tuple(entry[1:] for entry in sorted(writing)))


def _kind_of(hint: Any) -> tuple[int | None, type[Message] | None]:
    if hint is str or hint is int:
        return (TEXT if hint is str else INTEGER), None
    arguments = [argument for argument in typing.get_args(hint) if argument is not NoneType]
    if len(arguments) == 1 and isinstance(arguments[0], type) and issubclass(arguments[0], Message):
        return (LIST if typing.get_origin(hint) is list else MESSAGE), arguments[0]
    return None, None
