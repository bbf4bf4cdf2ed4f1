"""Encoders of records, written for each schema: the bytes of fastavro in a sixth of the time.

A feed of 60,000 trades a second leaves 16 µs for a trade, of which a general encoder takes 6. An encoder
made here knows its fields, takes varints from tables and remembers the texts that come again and again.

It covers what records of the contract consist of, and of that only the plain case: whatever is unusual (a
negative number, an integer where a float is nullable, a text of 8 kB, a wrong type) makes it raise, and the
caller asks fastavro, which stays the judge of what fits a schema and what it says of the rest.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

Encoder: TypeAlias = Callable[[Any], bytes]
"""Takes a record, gives its bytes; raises one of `UNUSUAL` where it leaves a record to fastavro."""

UNUSUAL: Final = (TypeError, ValueError, LookupError, AttributeError, OverflowError, struct.error)

REPEATED_UNITS: Final = frozenset({"name", "unified symbol", "interval name", "currency", "event type"})
"""Units of texts of which there are few: their bytes are kept."""

REMEMBERED: Final = 16_384
"""Most entries of each memory; a full one is emptied, so that it follows what is in use."""

STEP: Final = 14
"""Bits of a varint that are looked up at once: two bytes."""


def varint(number: int) -> bytes:
    """A number of at least 0 in groups of seven bits, the lowest first."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


_LOW: Final = [bytes((bits & 0x7F | 0x80, bits >> 7 | 0x80)) for bits in range(1 << STEP)]
"""Two bytes that more bytes follow."""

_WHOLE: Final = [varint(number) for number in range(1 << STEP)]


class _Tails(dict[int, bytes]):
    """The bytes of a varint after its first ones, by what is left of the number.

    Args:
        taken: Bits that the first bytes hold: what is left of 64 bits is smaller than 64 bits less these.
    """

    def __init__(self, taken: int) -> None:
        super().__init__()
        self._end = 1 << 64 - taken

    def __missing__(self, rest: int) -> bytes:
        if not 0 < rest < self._end:
            raise ValueError("the number is negative, small for its kind, or has more than 64 bits")
        if len(self) >= REMEMBERED:
            self.clear()
        found = self[rest] = varint(rest)
        return found


class _Texts(dict[str, bytes]):
    """Texts as length and UTF-8."""

    def __missing__(self, text: str) -> bytes:
        if len(self) >= REMEMBERED:
            self.clear()
        found = self[text] = _text(text)
        return found


class _Rows(dict[int, Callable[..., bytes]]):
    """Packers of so many doubles in a row."""

    def __missing__(self, count: int) -> Callable[..., bytes]:
        if len(self) >= REMEMBERED:
            self.clear()
        found = self[count] = struct.Struct(f"<{count}d").pack
        return found


def _text(text: str) -> bytes:
    raw = text.encode()
    return _WHOLE[len(raw) << 1] + raw


def _long(number: int) -> bytes:
    if type(number) is not int:
        raise TypeError("expected an int")
    bits = number << 1
    return _WHOLE[bits] if 0 <= bits < 1 << STEP else _LOW[bits & (1 << STEP) - 1] + _AFTER_ONE[bits >> STEP]


def _doubles(values: Any) -> bytes:
    """An array: a count, the items, a zero; without items only the zero."""
    count = len(values)
    return _WHOLE[count << 1] + _ROWS[count](*values) + b"\0" if count else b"\0"


def _map_of(encode_value: Callable[[Any], bytes]) -> Callable[[Mapping[str, Any]], bytes]:
    def encode(values: Mapping[str, Any]) -> bytes:
        if len(values) == 0:
            return b"\0"
        parts = [_WHOLE[len(values) << 1]]
        for name, value in values.items():
            parts += (_text(name), encode_value(value))
        parts.append(b"\0")
        return b"".join(parts)

    return encode


_AFTER_ONE: Final = _Tails(STEP)
_AFTER_TWO: Final = _Tails(2 * STEP)
_ROWS: Final = _Rows()
_TEXTS: Final = _Texts()

_NAMES: Final[Mapping[str, Any]] = {
    "join": b"".join,
    "low": _LOW,
    "whole": _WHOLE,
    "after_one": _AFTER_ONE,
    "after_two": _AFTER_TWO,
    "texts": _TEXTS,
    "flags": {False: b"\0", True: b"\1"},
    "doubles": _doubles,
    "map_string": _map_of(_text),
    "map_long": _map_of(_long),
    "map_double": _map_of(struct.Struct("<d").pack),
}
"""What the source of every encoder refers to."""

_PYTHON_TYPES: Final = {"string": "str", "int": "int", "long": "int", "double": "float", "boolean": "bool"}
_MASK: Final = (1 << STEP) - 1


def encoder_of(definition: Mapping[str, Any], prefix: bytes = b"") -> Encoder | None:
    """An encoder of records with the attributes that a schema names; None where it has a type not covered.

    Args:
        definition: The Avro schema of a record as JSON data, with units and logical types.
        prefix: What the bytes begin with.
    """
    writer = _Writer(prefix)
    return writer.encoder() if all(writer.add(field) for field in definition["fields"]) else None


class _Writer:
    """Writes the source of one encoder: lines that make values ready, then the parts of a single join."""

    def __init__(self, prefix: bytes) -> None:
        self._names: dict[str, Any] = {**_NAMES, "prefix": prefix}
        self._lines: list[str] = []
        self._parts = ["prefix"]
        self._row: list[str] = []
        """Doubles that follow one another: packed in one step."""
        self._fields = 0

    def add(self, field: Mapping[str, Any]) -> bool:
        """Write one field; False: its type is not covered."""
        value = f"v{self._fields}"
        self._fields += 1
        self._lines.append(f"{value} = record.{field['name']}")
        kind = field["type"]
        if kind == "double":
            self._row.append(value)
            return True
        self._end_row()
        if isinstance(kind, list):
            return kind[0] == "null" and len(kind) == 2 and self._add_nullable(value, kind[1])
        lines, parts = self._written(value, kind, field.get("unit") in REPEATED_UNITS)
        self._lines += lines
        self._parts += parts
        return bool(parts)

    def encoder(self) -> Encoder:
        """The function."""
        self._end_row()
        body = "".join(f"    {line}\n" for line in self._lines)
        source = f"def encode(record):\n{body}    return join(({', '.join(self._parts)},))\n"
        # The text is made of our own schemas' field names, as `dataclasses` makes an __init__: calls of a
        # function for each field would take twice the time of the whole.
        exec(source, self._names)  # noqa: S102
        encode: Encoder = self._names["encode"]
        return encode

    def _add_nullable(self, value: str, kind: Any) -> bool:
        """A union with null: the number of the branch, then what is in it."""
        lines, parts = self._written(value, kind, is_repeated=False)
        self._names["null"], self._names["some"] = b"\0", b"\2"
        python_type = _PYTHON_TYPES.get(_name_of(kind), "str")
        self._lines += [
            f"if {value} is None: p_{value} = null",
            "else:",
            f"    if type({value}) is not {python_type}: raise TypeError",
            *(f"    {line}" for line in lines),
            f"    p_{value} = {' + '.join(['some', *(f'({part})' for part in parts)])}",
        ]
        self._parts.append(f"p_{value}")
        return bool(parts)

    def _written(self, value: str, kind: Any, is_repeated: bool) -> tuple[list[str], list[str]]:
        """Lines to go before, and expressions of the bytes of a value; no expression: not covered."""
        check, shift = f"if type({value}) is not int: raise TypeError", f"z_{value} = {value} << 1"
        bits = f"z_{value}"
        match _name_of(kind):
            case "string" if is_repeated:
                return [], [f"texts[{value}]"]
            case "string":
                return [f"b_{value} = {value}.encode()"], [f"whole[len(b_{value}) << 1]", f"b_{value}"]
            case "double":
                return [], [f"{self._packer(1)}({value})"]
            case "boolean":
                return [], [f"flags[{value}]"]
            case "enum":
                self._names[f"enum_{value}"] = {
                    name: _WHOLE[n << 1] for n, name in enumerate(kind["symbols"])
                }
                return [], [f"enum_{value}[{value}]"]
            case "long" if isinstance(kind, dict) and "logicalType" in kind:
                # Times of this age have 51 bits: two look-ups, and a third that minutes of times share.
                low = [f"low[{bits} & {_MASK}]", f"low[{bits} >> {STEP} & {_MASK}]"]
                return [check, shift], [*low, f"after_two[{bits} >> {2 * STEP}]"]
            case "long" | "int":
                large = f"low[{bits} & {_MASK}] + after_one[{bits} >> {STEP}]"
                return [check, shift], [f"whole[{bits}] if 0 <= {bits} <= {_MASK} else {large}"]
            case "array" if kind["items"] == "double":
                return [], [f"doubles({value})"]
            case "map" if (name := _name_of(kind["values"])) in ("string", "long", "double"):
                return [], [f"map_{name}({value})"]
        return [], []

    def _end_row(self) -> None:
        if self._row:
            self._parts.append(f"{self._packer(len(self._row))}({', '.join(self._row)})")
            self._row.clear()

    def _packer(self, count: int) -> str:
        self._names[f"pack_{count}"] = struct.Struct(f"<{count}d").pack
        return f"pack_{count}"


def _name_of(kind: Any) -> str:
    """Name of a type that may be written in long form: `{"type": "long", "logicalType": ...}`."""
    return kind if isinstance(kind, str) else str(kind["type"]) if isinstance(kind, dict) else ""
