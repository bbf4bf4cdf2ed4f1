"""Every field of every record has a column or a reason, and every topic a table or a reason."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from schemas.records import Trade
from schemas.topics import TOPICS
from sinks.timescale.layout import AnyTable, field_faults
from sinks.timescale.row_tables import ROW_TABLES, SYSTEM_EVENTS
from sinks.timescale.tables import NOT_STORED, TABLES, TRADES

ALL: list[AnyTable] = [*TABLES, *ROW_TABLES]


def test_every_topic_is_stored_or_it_is_said_why_not() -> None:
    stored = {table.topic.base_name for table in ALL}
    assert len(stored) == len(ALL)
    assert stored.isdisjoint(NOT_STORED)
    assert stored | NOT_STORED.keys() == {topic.base_name for topic in TOPICS}
    assert all(len(reason) > 10 for reason in NOT_STORED.values())


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_every_field_has_a_column_or_a_reason(table: AnyTable) -> None:
    assert field_faults(table) == []
    assert all(len(reason) > 10 for reason in table.left_out.values())
    assert table.topic.dead_letters, "what cannot be stored must have a place to go to"
    assert table.record in table.topic.records


def test_a_field_that_was_added_is_named_with_what_to_do() -> None:
    wider = msgspec.defstruct("Trade", [("liquidity", str)], bases=(Trade,), frozen=True, kw_only=True)
    (fault,) = field_faults(dataclasses.replace(TRADES, record=wider))  # type: ignore[arg-type]
    assert "kandle.market_trades has no place for field liquidity of Trade" in fault
    assert "sinks/migrations" in fault


def test_a_field_that_is_gone_is_named() -> None:
    (fault,) = field_faults(dataclasses.replace(SYSTEM_EVENTS, left_out={"mood": "nobody knows it"}))
    assert "kandle.event_log wants field mood, which SystemEvent does not have" in fault


def test_no_column_is_named_twice() -> None:
    for table in ALL:
        names = [column.name for column in table.cells]
        assert len(set(names)) == len(names), table.name
