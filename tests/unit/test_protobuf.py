"""Protobuf's wire format: what is declared is read, what is not is skipped, what is damaged is refused."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec
import pytest

from producers import protobuf
from producers.exchange import BadRecord
from producers.protobuf import Message


class Item(Message):
    numbers: ClassVar[Mapping[str, int]] = {"name": 1, "amount": 2}
    name: str = ""
    amount: int = 0


class Basket(Message):
    numbers: ClassVar[Mapping[str, int]] = {"owner_name": 1, "first": 16, "items": 3, "weight": 4}
    owner_name: str = ""
    first: Item | None = None
    items: list[Item] = msgspec.field(default_factory=list)
    weight: int = 0


# Field 1 is text, 3 a list of messages, 4 a number, 16 (its key takes two bytes) a message.
BASKET = Basket("Ana", Item("pear", 2), [Item("fig", 1), Item("nut", 300)], -1)
BYTES = bytes.fromhex(
    "0a03416e61" "1a07" "0a03666967" "1001" "1a08" "0a036e7574" "10ac02" "20ffffffffffffffffff01"
    "820108" "0a0470656172" "1002"
)  # fmt: skip


def refusal(data: bytes, message: type[Message] = Basket) -> str:
    with pytest.raises(BadRecord) as caught:
        protobuf.decode(message, data)
    assert caught.value.reason == "protobuf"
    return str(caught.value)


def test_a_message_is_read_field_by_field() -> None:
    assert protobuf.decode(Basket, BYTES) == BASKET


def test_a_message_is_written_as_it_is_read() -> None:
    assert protobuf.encode(BASKET) == BYTES


def test_fields_may_come_in_any_order() -> None:
    assert protobuf.decode(Basket, BYTES[5:] + BYTES[:5]) == BASKET


def test_an_empty_message_has_its_defaults() -> None:
    assert protobuf.decode(Basket, b"") == Basket()
    assert protobuf.encode(Basket()) == b""


def test_an_empty_message_inside_another_is_there() -> None:
    assert protobuf.decode(Basket, bytes.fromhex("820100")).first == Item()
    assert protobuf.encode(Basket(first=Item())) == bytes.fromhex("820100")


def test_lists_of_two_messages_are_not_shared() -> None:
    protobuf.decode(Basket, BYTES).items.append(Item())
    assert len(protobuf.decode(Basket, BYTES).items) == 2


@pytest.mark.parametrize(
    "unknown",
    [
        "3001",  # a number
        "31" + "00" * 8,  # 64 bits
        "3203616263",  # bytes
        "35" + "00" * 4,  # 32 bits
        "33" "0801" "1203616263" "34",  # a group
        "33" "3b" "3c" "34",  # a group in a group
        "f8ffffff0f01",  # the largest number of a field
        "0801",  # a declared field of another wire type
    ],
)  # fmt: skip
def test_what_is_not_declared_is_skipped(unknown: str) -> None:
    assert protobuf.decode(Basket, bytes.fromhex(unknown) + BYTES) == BASKET
    assert protobuf.decode(Basket, BYTES + bytes.fromhex(unknown)) == BASKET


@pytest.mark.parametrize("end", range(1, len(BYTES)))
def test_a_cut_message_is_refused_or_ends_behind_a_field(end: int) -> None:
    ends = {5, 14, 24, 35}
    if end in ends:
        protobuf.decode(Basket, BYTES[:end])
    else:
        assert "cut off" in refusal(BYTES[:end])


@pytest.mark.parametrize(
    ("damaged", "words"),
    [
        ("0a05416e61", "cut off"),
        ("0affffffff0f416e61", "cut off"),
        ("20" + "ff" * 9 + "02", "64 bits"),
        ("20" + "ff" * 10 + "01", "64 bits"),
        ("0a02c328", "not UTF-8"),
        ("0001", "number is 0"),
        ("3601", "wire type is 6"),
        ("34", "wire type is 4"),
        ("f8ffffff1f01", "begins no field"),
        ("33" "44", "wire type is 4"),
        ("33" "0801", "cut off"),
        ("33" * 40, "nested"),
        ("1a020a05", "cut off"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_message_is_refused(damaged: str, words: str) -> None:
    assert words in refusal(bytes.fromhex(damaged))


def test_a_list_may_not_be_longer_than_any_that_is_real() -> None:
    assert len(protobuf.decode(Basket, b"\x1a\x00" * protobuf.ITEMS_MAX).items) == protobuf.ITEMS_MAX
    assert "items" in refusal(b"\x1a\x00" * (protobuf.ITEMS_MAX + 1))


def test_a_message_that_is_too_large_is_not_looked_at() -> None:
    assert "bytes" in refusal(b"\x00" * (protobuf.SIZE_MAX + 1))


@pytest.mark.parametrize("number", [0, 1, 127, 128, 2**63 - 1, -1, -(2**63)])
def test_integers_have_64_bits_and_a_sign(number: int) -> None:
    assert protobuf.decode(Basket, protobuf.encode(Basket(weight=number))).weight == number


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_a_larger_integer_cannot_be_written(number: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        protobuf.encode(Basket(weight=number))


def test_names_in_json_are_those_of_protobuf() -> None:
    assert msgspec.json.encode(Basket("Ana")).startswith(b'{"ownerName":"Ana"')


def test_a_declaration_without_a_number_is_a_mistake() -> None:
    class Unnumbered(Message):
        name: str = ""

    with pytest.raises(TypeError, match=r"Unnumbered\.name"):
        protobuf.decode(Unnumbered, b"")


def test_a_declaration_of_another_type_is_a_mistake() -> None:
    class Odd(Message):
        numbers: ClassVar[Mapping[str, int]] = {"value": 1}
        value: float = 0.0

    with pytest.raises(TypeError, match=r"Odd\.value"):
        protobuf.encode(Odd())
