"""Checkpoints under hypothesis: whatever was written, and by whom, what is restored is right or nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.engine.checkpoint import BLOCK_BYTES, KEPT, Checkpoint, Lineage, Record, owner, replay
from processors.engine.pages import Page
from processors.engine.snapshots import ForeignSnapshotError

TOPIC, PARTITION = "market.trades.v1", 3
LONG = 3 * BLOCK_BYTES // 2
"""Bytes of a page that is cut."""
Log = list[Record]


def content(page: int, version: int) -> bytes:
    """What a page holds; every fourth one is longer than a block, and random, so that nothing packs it."""
    chance = random.Random(page * 1_000_003 + version)
    return chance.randbytes(LONG if page % 4 == 3 else 500) + b"%d/%d" % (page, version)


@dataclass
class Machine:
    """A state that is a function of the offset alone, and knows which of its pages have changed.

    The page at `offset % pages` changes at every offset; page n is there from offset n on, and gone again
    while the offset's hundreds are odd.
    """

    pages_most: int
    offset: int = 0
    changed: set[int] = field(default_factory=set)
    encoded: int = 0

    def go_to(self, offset: int) -> None:
        for passed in range(self.offset + 1, offset + 1):
            self.changed.add(passed % self.pages_most)
        self.offset = offset

    def version(self, page: int) -> int:
        return self.offset - (self.offset - page) % self.pages_most

    def there(self) -> list[int]:
        return [page for page in range(self.pages_most) if page <= self.offset and page != self.offset // 10]

    def pages(self) -> Iterator[Page]:
        for page in self.there():
            yield Page(f"p.{page}", partial(self.encode, page), page in self.changed)

    def encode(self, page: int) -> bytes:
        self.encoded += 1
        self.changed.discard(page)
        return content(page, self.version(page))

    def expected(self) -> dict[str, bytes]:
        return {f"p.{page}": content(page, self.version(page)) for page in self.there()}


def lineage(log: Log, parameters: str = "p", topic_id: str = "t") -> Lineage:
    return Lineage(TOPIC, PARTITION, parameters, topic_id, replay(log))


class Writer:
    """A worker with its view of the changelog: it restores the newest checkpoint and goes on."""

    def __init__(self, log: Log, pages_most: int) -> None:
        self.own = lineage(log)
        self.machine = Machine(pages_most)
        found, _ = self.own.newest(0, 10**9, self._read)
        if found is not None:
            self.machine.offset = found.offset

    def _read(self, checkpoint: Checkpoint) -> None:
        reference = Machine(self.machine.pages_most, checkpoint.offset)
        assert dict(checkpoint.pages) == reference.expected()

    def write(self, amount: int) -> Log:
        self.machine.go_to(self.machine.offset + amount)
        return list(self.own.plan(self.machine.offset, self.machine.pages()))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["write", "write", "restart", "late", "cut"]), st.integers(1, 5)),
        max_size=40,
    ),
    st.integers(1, 6),
)
def test_what_is_restored_is_the_state_at_its_offset(moves: list[tuple[str, int]], pages_most: int) -> None:
    log: Log = []
    writer, late = Writer(log, pages_most), Writer(log, pages_most)
    late_writes = 0
    for move, amount in moves:
        match move:
            case "write":
                log += writer.write(amount)
            case "late" if late_writes < KEPT - 1:
                # It works on with what it knew, unaware of the other, until it learns of it.
                late_writes += 1
                log += late.write(amount)
            case "restart":
                writer, late, late_writes = Writer(log, pages_most), writer, 0
            case "cut":
                # Killed in the middle of writing: blocks stand, the manifest may not.
                records = writer.write(amount)
                log += records[: max(len(records) - amount, 0)]
                writer, late_writes = Writer(log, pages_most), KEPT
        newest = max((each.offset for each in manifests(log)), default=None)
        found, refused = lineage(log).newest(0, 10**9, writer._read)
        assert (found.offset if found else None) == newest
        assert refused == []


def manifests(log: Log) -> list[Checkpoint]:
    """The checkpoints whose manifests stand in a log, each as if it were the only one."""
    entries = replay(log)
    found = []
    for key in [key for key in entries if b"/manifest/" in key]:
        others = {each for each in entries if b"/manifest/" in each and each != key}
        rest = {each: value for each, value in entries.items() if each not in others}
        checkpoint, _ = Lineage(TOPIC, PARTITION, "p", "t", rest).newest(0, 10**9)
        if checkpoint is not None:
            found.append(checkpoint)
    return found


def state_at(offset: int) -> list[Page]:
    """Three pages that never change, though nobody says so, and one that is another at every offset."""
    idle = [Page(f"idle.{number}", partial(content, number, 0)) for number in range(3)]
    return [*idle, Page("busy", lambda: content(4, offset))]


def write(own: Lineage, offset: int) -> Log:
    return list(own.plan(offset, state_at(offset)))


def blocks(log: Log) -> list[bytes]:
    return [key for key, value in log if b"/block/" in key and value is not None]


def test_the_highest_offset_wins_even_if_a_late_writer_wrote_last() -> None:
    log: Log = []
    first = lineage(log)
    log += write(first, 10)
    late = lineage(log)
    second = lineage(log)
    log += write(second, 30)
    log += write(late, 12)
    log += write(second, 40)
    log += write(late, 13)
    checkpoint, _ = lineage(log).newest(0, 100)
    assert checkpoint is not None
    assert checkpoint.offset == 40


def test_pages_that_have_not_changed_are_neither_encoded_nor_written() -> None:
    machine, own = Machine(200), lineage([])
    machine.go_to(200)
    first = list(own.plan(machine.offset, machine.pages()))
    assert machine.encoded > 150
    machine.encoded = 0
    machine.go_to(203)
    second = list(own.plan(machine.offset, machine.pages()))
    assert machine.encoded <= 4  # three have changed, one came back
    assert len(blocks(second)) <= 2 * machine.encoded
    restarted = Writer([*first, *second], 200)
    records = restarted.write(1)
    assert restarted.machine.encoded == 1
    assert sum(len(value or b"") for _, value in records) < LONG + 20_000


def test_blocks_with_known_content_are_not_written_again_and_old_ones_are_deleted() -> None:
    log: Log = []
    own = lineage(log)
    plans = [write(own, offset) for offset in range(1, 40)]
    assert len(blocks(plans[0])) == 4
    assert {len(blocks(plan)) for plan in plans[1:]} == {1}
    for plan in plans:
        log += plan
    held = replay(log)
    assert sum(b"/block/" in key for key in held) == 3 + KEPT
    assert sum(b"/manifest/" in key for key in held) == KEPT


@pytest.mark.parametrize("filling", [b"\x00", None], ids=["packs well", "does not pack"])
def test_no_record_exceeds_a_block(filling: bytes | None) -> None:
    size = 5 * BLOCK_BYTES + 7
    body = filling * size if filling else random.Random(1).randbytes(size)
    log = list(lineage([]).plan(1, [Page("large", lambda: body), Page("none", lambda: b"")]))
    assert max(len(value or b"") for _, value in log) <= BLOCK_BYTES
    found, _ = lineage(log).newest(0, 10)
    assert found is not None
    assert dict(found.pages) == {"large": body, "none": b""}


def test_a_manifest_of_a_gigabyte_stays_small() -> None:
    names = [Page(f"candles.pool.{number}", str(number).encode) for number in range(5_000)]
    log = list(lineage([]).plan(1, names))
    assert max(len(value or b"") for key, value in log if b"/manifest/" in key) < 250_000


def test_a_missing_or_damaged_block_costs_the_way_back_to_the_checkpoint_before() -> None:
    log: Log = []
    own = lineage(log)
    for offset in (10, 20):
        log += write(own, offset)
    newest_only = blocks(log)[-1]

    def read(checkpoint: Checkpoint) -> None:
        dict(checkpoint.pages)

    for damage, reason in ((None, "a block is missing"), (b"damaged", "cannot be read: a block is damaged")):
        damaged = lineage([*log, (newest_only, damage)])
        checkpoint, refused = damaged.newest(0, 100, read)
        assert checkpoint is not None
        assert checkpoint.offset == 10
        assert len(refused) == 1
        assert reason in refused[0]
        # and the next checkpoint writes the block anew
        healed = [*log, (newest_only, damage), *write(damaged, 20)]
        found, _ = lineage(healed).newest(0, 100, read)
        assert found is not None
        assert found.offset == 20


def test_a_late_writer_deletes_no_block_of_another() -> None:
    log: Log = []
    late = lineage(log)
    log += list(late.plan(1, [Page("p", lambda: b"old")]))
    for offset in range(2, KEPT + 1):
        log += list(late.plan(offset, [Page("p", lambda: b"new")]))
    after = lineage(log)
    assert after.newest(0, 100)[0] is not None
    log += list(after.plan(50, [Page("p", lambda: b"old")]))
    log += list(late.plan(KEPT + 1, [Page("p", lambda: b"new")]))  # and so deletes its own "old"
    found, refused = lineage(log).newest(0, 100)
    assert found is not None
    assert (found.offset, dict(found.pages), refused) == (50, {"p": b"old"}, [])


def test_checkpoints_of_other_settings_topics_and_logs_are_refused_in_words() -> None:
    log = write(lineage([]), 10)
    for changed, bounds, words in (
        (lineage(log, parameters="q"), (0, 100), "other settings"),
        (lineage(log, topic_id="u"), (0, 100), "made again"),
        (lineage(log), (11, 100), "the log now spans 11 to 100"),
        (lineage(log), (0, 9), "the log now spans 0 to 9"),
    ):
        checkpoint, refused = changed.newest(*bounds)
        assert checkpoint is None
        assert words in refused[0]

    def refuse(checkpoint: Checkpoint) -> None:
        raise ForeignSnapshotError("of another version")

    checkpoint, refused = lineage(log).newest(0, 100, refuse)
    assert checkpoint is None
    assert "cannot be read: of another version" in refused[0]


def test_keys_say_whose_they_are() -> None:
    records = write(lineage([]), 1)
    assert {owner(key) for key, _ in records} == {(TOPIC, PARTITION)}
    assert owner(b"garbage") is None
    assert owner(b"a/b/c/d") is None
