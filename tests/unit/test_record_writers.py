"""The fast writers of the agents write what the reference codec writes."""

from hypothesis import given
from hypothesis import strategies as st

from processors.agents.writers import candle_bytes, indicator_bytes
from schemas import rows
from schemas.records import Candle, IndicatorValue

TEXTS = st.text(max_size=20)
LONGS = st.integers(-(2**63), 2**63 - 1)
INTS = st.integers(-(2**31), 2**31 - 1)
DOUBLES = st.floats(allow_nan=False)


@given(
    st.builds(
        Candle,
        *[TEXTS] * 3,
        *[LONGS] * 2,
        *[DOUBLES] * 7,
        LONGS,
        st.none() | LONGS,
        st.none() | LONGS,
        INTS,
        st.booleans(),
        st.none() | DOUBLES,
        st.booleans(),
    )
)
def test_a_candle_is_written_as_the_reference_writes_it(candle: Candle) -> None:
    assert candle_bytes(candle) == rows.encode(candle)


@given(st.builds(IndicatorValue, *[TEXTS] * 3, LONGS, TEXTS, DOUBLES, INTS, st.booleans()))
def test_an_indicator_value_is_written_as_the_reference_writes_it(value: IndicatorValue) -> None:
    assert indicator_bytes(value) == rows.encode(value)
