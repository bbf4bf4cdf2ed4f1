"""Numbers and times in whichever form a venue writes them: the edge's helpers for them."""

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers import validation
from producers.exchange import BadRecord


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("1.50", "1.50"),
        (7, "7"),
        (-90, "-90"),
        (0.836, "0.836"),
        (1e-7, "0.0000001"),
        (5e20, "500000000000000000000"),
    ],
)
def test_numbers_become_plain_text(number: str | int | float, text: str) -> None:
    assert validation.text_of(number) == text


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1616327545, 1616327545_000000),
        ("1619093540", 1619093540_000000),
        (1778026709.933, 1778026709_933000),
        ("1739814676.707", 1739814676_707000),
        (1616327545436, 1616327545_436000),
        ("1619093543708.2642", 1619093543_708264),
        ("1788336082402.208000", 1788336082_402208),
        (1616327545436123, 1616327545_436123),
        (1616327545436123999, 1616327545_436123),
        ("1619093543708.", 1619093543_708000),
    ],
)
def test_the_unit_of_a_time_shows_in_its_size(number: str | int | float, expected: int) -> None:
    assert validation.instant(number) == expected


@pytest.mark.parametrize(
    "number",
    [
        0,
        "0",
        -1,
        "",
        ".",
        ".5",
        "1.2.3",
        "nan",
        "1e12",
        86_400,
        10**30,
        "9" * 5000,
        "١٦١٩٠٩٣٥٤٠",
        float("inf"),
    ],
)
def test_what_is_no_time_of_a_market_is_refused(number: str | int | float) -> None:
    with pytest.raises(BadRecord) as refusal:
        validation.instant(number)
    assert refusal.value.reason == "time"


@given(st.integers(validation.EARLIEST_US, validation.LATEST_US - 1))
def test_no_microsecond_is_lost_in_milliseconds_with_a_fraction(time: int) -> None:
    assert validation.instant(f"{time // 1000}.{time % 1000:03}") == time


@given(st.integers(0, 2**40), st.sampled_from([1.0, 0.1, 0.01, 0.001, 0.0001, 1e-8, 10.0, 1000.0, 2.5]))
def test_whole_contracts_become_base_units_rounded_once(contracts: int, multiplier: float) -> None:
    exact = contracts * Fraction(repr(multiplier))
    assert validation.base_size(float(contracts), multiplier) == float(exact)


@pytest.mark.parametrize(("raw", "reason"), [(b"{", "json"), (b'{"a":"\xff"}', "json"), (b"[]", "shape")])
def test_what_cannot_be_decoded_is_refused_with_its_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(BadRecord) as refusal:
        validation.decoded(msgspec.json.Decoder(dict[str, str]).decode, raw)
    assert refusal.value.reason == reason
