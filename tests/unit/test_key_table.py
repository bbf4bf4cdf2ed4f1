"""Keys as dense ids: against a dict, over growth, at the edges of the data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.key_table import NULL_KEY, KeyTable
from tests.avro_model import laid_out

KEYS = st.lists(
    st.none()
    | st.binary(max_size=20)
    | st.sampled_from((b"", b"a", b"a\x00", b"\x00", b"\xff"))
    | st.sampled_from((b"12345678", b"12345678\x00", b"123456789", b"1234567812345678")),
    max_size=40,
)


@given(st.lists(KEYS, max_size=5))
def test_the_same_key_has_the_same_id_in_every_batch(batches: list[list[bytes | None]]) -> None:
    table, model = KeyTable(), dict[bytes, int]()
    for keys in batches:
        expected = [NULL_KEY if key is None else model.setdefault(key, len(model)) for key in keys]
        assert table.intern(*laid_out(keys)).tolist() == expected
    assert len(table) == len(model)
    assert [table.key_bytes(id_) for id_ in range(len(table))] == list(model)
    assert table.keys == [key.decode("utf-8", "surrogateescape") for key in model]


def test_ids_stay_while_slots_and_bytes_grow() -> None:
    table = KeyTable()
    few = [f"binance:S{number}/USDT".encode() for number in range(300)]
    assert table.intern(*laid_out(few)).tolist() == list(range(300))
    long = [few[7], bytes(100_000), *(b"%d" % number * 40 for number in range(5_000)), few[299]]
    ids = table.intern(*laid_out(long)).tolist()
    assert ids == [7, *range(300, 5_301), 299]
    assert table.intern(*laid_out(list(reversed(few)))).tolist() == list(reversed(range(300)))
    assert [table.key_bytes(id_) for id_ in ids] == long


def test_a_key_longer_than_all_bytes_so_far_fits() -> None:
    table = KeyTable()
    keys: list[bytes | None] = [bytes([number]) * (1 << 14 + number) for number in range(4)]
    assert table.intern(*laid_out(keys)).tolist() == [0, 1, 2, 3]
    assert [table.key_bytes(id_) for id_ in range(4)] == keys


@pytest.mark.parametrize(
    ("start", "length"), [(0, 4), (-1, 2), (3, 1), (2**62, 2**62), (0, 2**63 - 1), (-(2**63), 1)]
)
def test_a_key_outside_of_the_data_is_refused_and_the_table_stays_whole(start: int, length: int) -> None:
    table = KeyTable()
    data = np.frombuffer(b"abc", np.uint8)
    with pytest.raises(IndexError, match=r"key 1 at .* outside of 3 bytes"):
        table.intern(data, np.array([0, start]), np.array([1, length]))
    assert table.keys == ["a"]
    assert table.intern(data, np.array([1, 0]), np.array([2, 1])).tolist() == [1, 0]


def test_starts_and_lengths_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="2 starts and 1 lengths"):
        KeyTable().intern(np.zeros(4, np.uint8), np.zeros(2, np.int64), np.zeros(1, np.int64))


def test_there_is_no_key_of_an_id_that_was_not_given() -> None:
    table = KeyTable()
    for wrong in (0, -1, 5):
        with pytest.raises(IndexError, match="key ids go from 0"):
            table.key_bytes(wrong)
