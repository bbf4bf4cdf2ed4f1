"""What the comparator says, and how quick it is where rows are many."""

import json
import time
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from infra.comparison import EXAMPLES, Comparison, compare
from infra.keyed_rows import Column, Rows
from tests.sink_harness import trade

TRADES = [trade(number) for number in range(20)]


def test_a_topic_may_repeat_what_is_equal_and_is_received_at_another_time() -> None:
    again = msgspec.structs.replace(TRADES[3], receive_time=0)
    found = [*TRADES[:10], again, *TRADES[10:]]
    result = compare(
        Rows.of_records(TRADES), Rows.of_records(found), ["ce_id"], key=["symbol"], may_repeat=True
    )
    assert result.clean
    assert result.repeats == 1
    assert compare(Rows.of_records(TRADES), Rows.of_records(found), ["ce_id"]).duplicate == 1


def test_a_repeat_of_other_values_is_no_repeat() -> None:
    found = [*TRADES, msgspec.structs.replace(TRADES[3], price=1.0)]
    result = compare(Rows.of_records(TRADES), Rows.of_records(found), ["ce_id"], may_repeat=True)
    assert (result.contradicting, result.differing, result.repeats, result.clean) == (1, 0, 0, False)
    assert "price" in result.examples[0].fields


def test_what_is_found_is_told_to_people_and_programs() -> None:
    found = [*TRADES[1:7], TRADES[9], TRADES[8], msgspec.structs.replace(TRADES[7], size=5.0), trade(99)]
    result = compare(Rows.of_records(TRADES[:10]), Rows.of_records(found), ["sequence"], key=["symbol"])
    assert (result.lost, result.reordered, result.differing, result.unseen) == (1, 2, 1, 1)
    title, *lines = result.as_lines("trades")
    assert title == "trades: 10 expected, 10 found: 1 lost, 1 differing, 2 reordered, 1 unseen"
    assert lines[0] == "  lost          sequence=0"
    said = json.loads(json.dumps(result.as_dict()))
    assert said["clean"] is False
    assert {"kind": "unseen", "row": {"sequence": 99}} in said["examples"]
    (different,) = [example for example in said["examples"] if example["kind"] == "differing"]
    assert different["fields"] == {"size": {"expected": TRADES[7].size, "found": 5.0}}


def test_examples_are_few_and_counts_exact_also_when_added_up() -> None:
    nothing = Rows({})
    total = Comparison()
    for _ in range(3):
        total.add(compare(Rows.of_records(TRADES), nothing, ["ce_id"]))
    assert total.lost == 3 * len(TRADES)
    assert len(total.examples) == EXAMPLES
    assert compare(nothing, nothing, ["ce_id"]).clean


def test_texts_and_numbers_are_not_compared_with_each_other() -> None:
    with pytest.raises(ValueError, match="texts on one side"):
        compare(Rows.of({"id": ["1"]}), Rows.of({"id": [1]}), ["id"])


def test_a_million_rows_take_seconds() -> None:
    count = 1_000_000
    numbers = np.arange(count, dtype=np.int64)
    symbols = [f"S{number}/USDT" for number in range(50)]
    expected = Rows(
        {
            "symbol": Column(numbers % 50, None, symbols),
            "sequence": Column(numbers),
            "price": Column(numbers / 7),
        }
    )
    price = expected.columns["price"].values.copy()
    price[500_000] += 1e-9 * price[500_000]
    changed = Rows({**expected.columns, "price": replace(expected.columns["price"], values=price)})
    found = changed.take(np.delete(numbers, 123))
    began = time.perf_counter()
    result = compare(expected, found, ["symbol", "sequence"], key=["symbol"])
    took_s = time.perf_counter() - began
    assert (result.lost, result.differing, result.unseen, result.reordered) == (1, 1, 0, 0)
    assert took_s < 15, "0.6 s on an idle machine"
