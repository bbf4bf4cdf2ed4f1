"""Transactions that were given up, among others that were not: whose batches are passed over."""

from infra.kafka.aborted_batches import with_aborted
from infra.kafka.record_batches import RecordBatch, read_records, split_batches
from tests.record_batch_bytes import CONTROL, Row, batch_of

TRANSACTIONAL = 0x10
PLAIN = -1


def log(*written: tuple[int, int]) -> list[RecordBatch]:
    """Batches of one record each: producer id and attributes."""
    found = []
    for offset, (producer, attributes) in enumerate(written):
        (batch,) = split_batches(batch_of([Row(offset)], attributes=attributes, producer_id=producer))
        assert batch.producer_id == producer
        found.append(batch)
    return found


def write(producer: int) -> tuple[int, int]:
    return producer, TRANSACTIONAL


def end(producer: int) -> tuple[int, int]:
    return producer, TRANSACTIONAL | CONTROL


def read(batches: list[RecordBatch], *aborted: tuple[int, int]) -> list[int]:
    found: list[int] = read_records(with_aborted(batches, aborted)).offsets.tolist()
    return found


def test_an_aborted_transaction_ends_at_its_producers_own_marker() -> None:
    batches = log(write(7), write(8), end(8), write(7), end(7), write(7), end(7), (PLAIN, 0))
    assert read(batches, (7, 0)) == [1, 5, 7]
    assert read(batches, (8, 1)) == [0, 3, 5, 7]
    assert read(batches, (8, 1), (7, 0)) == [5, 7]
    assert read(batches) == [0, 1, 3, 5, 7]


def test_a_producer_that_gives_up_twice_is_passed_over_twice_and_no_more() -> None:
    batches = log(write(7), end(7), write(7), end(7), write(7), end(7))
    assert read(batches, (7, 0), (7, 4)) == [2]


def test_a_transaction_that_began_before_the_answer_and_ends_after_it_is_passed_over() -> None:
    batches = log((PLAIN, 0), write(7), write(9), write(7))
    assert read(batches, (7, -40)) == [0, 2]


def test_what_a_producer_writes_outside_of_transactions_stays() -> None:
    assert read(log(write(7), (7, 0)), (7, 0)) == [1]
