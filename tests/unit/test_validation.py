"""The edge: what passes as a number, a time, a level or a candle, and why the rest is refused."""

import pytest

from producers import validation
from producers.exchange import BadRecord

NO_NUMBERS = [
    "NaN",
    "nan",
    "Infinity",
    "-inf",
    "1e5",
    "1e308",
    "1,234.5",
    "1_000",
    " 1",
    "1.5.1",
    "",
    ".",
    "١٢",
]


@pytest.mark.parametrize("text", [*NO_NUMBERS, "0", "0.000", "-1", "9" * 16])
def test_a_price_is_a_plain_number_above_0(text: str) -> None:
    with pytest.raises(BadRecord) as refused:
        validation.positive_price(text)
    assert refused.value.reason == "price"


@pytest.mark.parametrize("text", [*NO_NUMBERS, "-0.1", "9" * 19])
def test_a_size_is_a_plain_number_of_at_least_0(text: str) -> None:
    with pytest.raises(BadRecord) as refused:
        validation.size(text)
    assert refused.value.reason == "size"


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.00010000", 0.0001), ("-0.051", -0.051), ("-88.17", -88.17), ("-0.00", 0.0), ("0", 0.0)],
)
def test_rates_and_changes_have_either_sign(text: str, value: float) -> None:
    assert repr(validation.signed(text)) == repr(value)


@pytest.mark.parametrize("text", [*NO_NUMBERS, "--1", "+1", "-", "-nan", "1-", "9" * 16, "-" + "9" * 16])
def test_what_is_no_signed_number_is_refused(text: str) -> None:
    with pytest.raises(BadRecord) as refused:
        validation.signed(text)
    assert refused.value.reason == "number"


def test_levels_become_prices_and_sizes() -> None:
    pairs = [("35743.98000000", "0.00000000"), ("35743.87", "0.000015"), ("1", "2.")]
    assert validation.levels(pairs) == ([35743.98, 35743.87, 1.0], [0.0, 0.000015, 2.0])
    assert validation.levels([]) == ([], [])


@pytest.mark.parametrize("bad", [*NO_NUMBERS, "-1", "9" * 19])
def test_one_bad_text_refuses_all_levels(bad: str) -> None:
    good = [("1.5", "2.5")] * 3
    for pair, reason in (((bad, "1"), "price"), (("1", bad), "size")):
        with pytest.raises(BadRecord) as refused:
            validation.levels([*good, pair, *good])
        assert refused.value.reason == reason
        assert repr(bad[:40]) in str(refused.value)


def test_a_level_has_a_price() -> None:
    with pytest.raises(BadRecord, match="price above 0"):
        validation.levels([("0.00000000", "1")])


def test_prices_of_a_candle_that_fit_each_other_pass() -> None:
    validation.ohlc(2.0, 3.0, 1.0, 2.5, 0.0)
    validation.ohlc(2.0, 2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("open_", "high", "low", "close", "volume"),
    [
        (2.0, 1.9, 1.0, 1.5, 1.0),
        (1.5, 1.9, 1.0, 2.0, 1.0),
        (2.0, 3.0, 2.1, 2.5, 1.0),
        (2.5, 3.0, 2.1, 2.0, 1.0),
        (1.0, 1.0, 3.0, 1.0, 1.0),
        (2.0, 3.0, 1.0, 2.5, -0.1),
        (float("nan"), 3.0, 1.0, 2.5, 1.0),
        (2.0, 3.0, 1.0, float("nan"), 1.0),
        (2.0, 3.0, 1.0, 2.5, float("nan")),
    ],
)
def test_prices_of_a_candle_that_do_not_fit_are_refused(
    open_: float, high: float, low: float, close: float, volume: float
) -> None:
    with pytest.raises(BadRecord) as refused:
        validation.ohlc(open_, high, low, close, volume)
    assert refused.value.reason == "ohlc"


@pytest.mark.parametrize("time", [1_723_161_255_342, 1_723_161_255_342_000])
def test_milliseconds_and_microseconds_are_told_apart(time: int) -> None:
    assert validation.micros(time) == 1_723_161_255_342_000


@pytest.mark.parametrize(
    "time", [0, -5, 1_723_161_255, 1_000_000_000_000, 4_102_444_800_000, 1_723_161_255_342_123_456]
)
def test_times_that_are_none_of_a_market_are_refused(time: int) -> None:
    with pytest.raises(BadRecord) as refused:
        validation.micros(time)
    assert refused.value.reason == "time"
