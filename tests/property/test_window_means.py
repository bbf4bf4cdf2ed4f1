"""Means of windows by columns equal those by whole numbers without end."""

from math import nan

from hypothesis import given
from hypothesis import strategies as st

from processors.fixed_point import BITS, UNITS, window_means

PRICES = st.one_of(
    st.lists(st.floats(1.0, 30.0), max_size=60),
    st.lists(st.integers(1, 20_000).map(lambda cents: cents / 200), max_size=60),
    st.lists(st.sampled_from([0.1, 0.2, 0.3, 1.0, 1.0 + 2**-52, 4.0 - 2**-51]), max_size=60),
)


@given(PRICES, st.integers(1, 20), st.integers(-80, 300))
def test_every_mean_is_that_of_whole_numbers(values: list[float], count: int, power: int) -> None:
    values = [value * 2.0**power for value in values]
    expected = [
        nan
        if number < count
        else sum(int(value * UNITS) for value in values[number - count : number]) / (count << BITS)
        for number in range(1, len(values) + 1)
    ]
    found = window_means(values, count)
    if found is None:
        assert max(values) > 100 * min(values)
    else:
        assert list(map(repr, found)) == list(map(repr, expected))


def test_what_columns_cannot_hold_is_left_to_the_indicator() -> None:
    for values in ([1.0, 0.0], [1.0, -1.0], [1.0, nan], [1.0, float("inf")], [1.0, 1e6], [1e-40, 1e-40]):
        assert window_means(values, 2) is None
    assert repr(window_means([1.0], 2)) == "[nan]"
    assert window_means([], 2) == []
