"""What we rely on inside of Faust, mode and aiokafka: each test names the part that an upgrade broke."""

from __future__ import annotations

import inspect
from importlib.metadata import entry_points, requires, version
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher, FetchResult
from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust.stores.memory import Store
from faust.tables.base import Collection
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport import by_url
from faust.transport.consumer import Consumer as BaseConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import ConsumerMessage
from mode.services import Service
from mode.threads import ServiceThread

from processors.engine.transport import Transport


def arguments(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def source(function: Any) -> str:
    return inspect.getsource(function)


@pytest.mark.parametrize("package", ["faust-streaming", "mode-streaming", "aiokafka"])
def test_the_versions_are_pinned_exactly_and_installed(package: str) -> None:
    pinned = [line for line in requires("kandle") or [] if line.startswith(package)]
    assert pinned == [f"{package}=={version(package)}"]


def test_the_entry_point_is_found_by_the_brokers_scheme() -> None:
    assert {point.value for point in entry_points(group="faust.transports", name="kandle")} == {
        "processors.engine.transport:Transport"
    }
    assert by_url("kandle://localhost:9092") is Transport


@pytest.mark.parametrize(
    ("owner", "name", "expected"),
    [
        (driver.AIOKafkaConsumerThread, "_create_worker_consumer", ["self", "transport"]),
        (driver.AIOKafkaConsumerThread, "_commit", ["self", "offsets"]),
        (driver.AIOKafkaConsumerThread, "_seek_wait", ["self", "consumer", "partitions"]),
        (driver.AIOKafkaConsumerThread, "_ensure_consumer", ["self"]),
        (driver.AIOKafkaConsumerThread, "on_thread_stop", ["self"]),
        (driver.Consumer, "_new_consumer_thread", ["self"]),
        (driver.Consumer, "_to_message", ["self", "tp", "record"]),
        (driver.Consumer, "_getmany", ["self", "active_partitions", "timeout"]),
        (BaseConsumer, "getmany", ["self", "timeout"]),
        (BaseConsumer, "_get_active_partitions", ["self"]),
        (BaseConsumer, "_filter_tps_with_pending_acks", ["self", "topics"]),
        (BaseConsumer, "_new_offset", ["self", "tp"]),
        (BaseConsumer, "_add_gap", ["self", "tp", "offset_from", "offset_to"]),
        (driver.Producer, "_settings_auth", ["self"]),
        (faust.App, "_consumer_wait_empty", ["self", "consumer", "logger"]),
        (TableManager, "_update_channels", ["self"]),
        (Collection, "_new_store", ["self"]),
        (Store, "apply_changelog_batch", ["self", "batch", "to_key", "to_value"]),
        (Store, "on_rebalance", ["self", "assigned", "revoked", "newly_assigned", "generation_id"]),
        (Store, "on_recovery_completed", ["self", "active_tps", "standby_tps"]),
        (AIOKafkaConsumer, "beginning_offsets", ["self", "partitions"]),
        (AIOKafkaConsumer, "end_offsets", ["self", "partitions"]),
        (Fetcher, "_proc_fetch_request", ["self", "assignment", "node_id", "request"]),
        (FetchResult, "getall", ["self", "max_records"]),
    ],
)
def test_a_method_that_we_override_or_call_takes_what_it_took(
    owner: Any, name: str, expected: list[str]
) -> None:
    assert arguments(getattr(owner, name)) == expected


def test_the_stream_drops_messages_of_another_generation_so_ours_must_carry_it() -> None:
    assert "generation_id" in arguments(ConsumerMessage)
    assert "message.generation_id != self.app.consumer_generation_id" in source(faust.Stream._py_aiter)


def test_revocation_and_stop_wait_for_the_agents_through_one_method() -> None:
    for method in (faust.App._on_partitions_revoked, faust.App._stop_consumer):
        assert "_consumer_wait_empty" in source(method)


def test_positions_are_asked_after_the_tables_have_recovered() -> None:
    completed = source(Recovery.on_recovery_completed)
    recovered = completed.index("table.on_recovery_completed(")
    assert recovered < completed.index("consumer.perform_seek()") < completed.index("resume_flow()")
    assert "self.seek_to_committed()" in source(BaseConsumer.perform_seek)


def test_a_table_is_recovered_from_the_offset_that_its_store_names() -> None:
    added = source(Recovery._add)
    assert "table.persisted_offset(tp)" in added
    assert "offsets[tp] = persisted_offset" in added
    assert "active_highwaters" in Recovery.__annotations__


def test_table_callbacks_run_within_recovery() -> None:
    assert "call_recover_callbacks" in source(Collection.on_recovery_completed)


def test_commits_ask_for_offsets_of_the_partitions_that_we_name() -> None:
    assert "_filter_tps_with_pending_acks" in source(BaseConsumer.force_commit)
    assert "self._new_offset(tp)" in source(BaseConsumer._filter_committable_offsets)
    for name in ("_acked", "_acked_index", "_buffered_partitions", "can_resume_flow", "flow_active"):
        assert f"self.{name}" in source(BaseConsumer), name


def test_the_coordinator_shows_its_generation_and_leaves_if_it_is_no_static_member() -> None:
    made = source(GroupCoordinator.__init__) + source(GroupCoordinator.__mro__[1].__init__)
    assert "self.generation" in made
    leaving = source(GroupCoordinator._maybe_leave_group)
    assert "self._group_instance_id is None" in leaving


def test_the_app_shows_its_assignment_and_that_it_has_crashed() -> None:
    assert "self._assignment = " in source(faust.App)
    assert "self._crashed" in source(Service)
    assert "self.crash_reason" in source(Service) or "crash_reason" in source(Service._crash)


def test_the_consumer_hands_its_work_to_a_thread_that_holds_aiokafkas_consumer() -> None:
    assert "self._thread" in source(driver.ThreadDelegateConsumer)
    thread = source(driver.AIOKafkaConsumerThread)
    assert "self._consumer = self._create_consumer(" in thread
    assert "self._assignor = " in thread


def test_the_consumers_thread_has_a_loop_of_its_own() -> None:
    assert "self.thread_loop" in source(ServiceThread)


def test_the_consumer_starts_with_a_fetcher_that_can_be_exchanged() -> None:
    assert "self._fetcher = Fetcher(" in source(AIOKafkaConsumer.start)


@pytest.mark.parametrize(
    "setting",
    [
        "consumer_group_instance_id",
        "stream_wait_empty",
        "stream_buffer_maxsize",
        "broker_max_poll_records",
        "topic_disable_leader",
        "TableManager",
        "Table",
    ],
)
def test_a_setting_of_faust_still_exists(setting: str) -> None:
    assert setting in faust.App.Settings.SETTINGS
