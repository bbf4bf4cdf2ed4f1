"""The private parts of aiokafka that whole batches are sent by; each test names the one that has changed.

When an upgrade breaks one: read infra/kafka/batch_sender.py and `PackedBatch`, mend them, then mend the test.
"""

import inspect
import re

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator, MessageBatch
from aiokafka.producer.sender import SendProduceReqHandler

from infra.kafka.outgoing_records import PackedBatch


def test_a_batch_is_asked_for_nothing_that_a_packed_one_has_not() -> None:
    used = re.findall(r"_builder\.(\w+)\(", inspect.getsource(MessageBatch))
    used += re.findall(r"_builder\.(\w+)\(", inspect.getsource(MessageAccumulator.flush_for_commit))
    assert set(used) >= {"record_count", "_set_producer_state", "_build"}, "MessageBatch asks otherwise"
    # What adds single records is never called: `send_batch` takes batches that are closed.
    missing = [name for name in set(used) - {"append"} if not hasattr(PackedBatch, name)]
    assert not missing, f"MessageBatch asks its builder for {missing}"
    for name in set(used) - {"append"}:
        expected = list(inspect.signature(getattr(BatchBuilder, name)).parameters)
        assert list(inspect.signature(getattr(PackedBatch, name)).parameters) == expected, name


def test_a_sequence_is_given_once_and_a_repeated_attempt_keeps_it() -> None:
    source = inspect.getsource(MessageAccumulator._pop_batch)
    assert "not_retry = batch.retry_count == 0" in source
    assert "self._txn_manager is not None and not_retry" in source
    assert "increment_sequence_number(batch.tp, batch.record_count)" in source


def test_a_repeated_attempt_goes_before_what_waits() -> None:
    assert "appendleft(batch)" in inspect.getsource(MessageAccumulator.reenqueue)


def test_an_idempotent_producer_gives_up_only_where_there_is_no_leader() -> None:
    source = inspect.getsource(SendProduceReqHandler._can_retry)
    assert "self._sender._txn_manager is None and batch.expired()" in source
    assert "self._ttl" in inspect.getsource(MessageBatch.expired)
    assert "MessageBatch(tp, builder, self._batch_ttl" in inspect.getsource(MessageAccumulator._append_batch)
    assert "self._message_accumulator = " in inspect.getsource(AIOKafkaProducer.__init__)


def test_one_batch_of_a_partition_waits_and_the_next_one_waits_for_it() -> None:
    source = inspect.getsource(MessageAccumulator.add_batch)
    assert "wait_drain" in source
    assert "raise KafkaTimeoutError()" in source
    assert "asyncio.shield(batch.future)" in source
