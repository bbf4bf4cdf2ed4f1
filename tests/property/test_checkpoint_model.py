"""Checkpoints under hypothesis: whatever was written, and by whom, what is restored is right or nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.checkpoint import BLOCK_BYTES, KEPT, Lineage, owner, replay

TOPIC, PARTITION = "market.trades.v1", 3
Log = list[tuple[bytes, bytes | None]]


def state_at(offset: int, busy: int) -> bytes:
    """A state that is a function of the offset alone: idle blocks first, busy ones after."""
    idle = b"".join(bytes([block]) * BLOCK_BYTES for block in range(2))
    return (
        idle
        + b"".join((offset * 7 + n).to_bytes(8, "big") * (BLOCK_BYTES // 8) for n in range(busy))
        + b"end"
    )


def lineage(log: Log, parameters: str = "p", topic_id: str = "t") -> Lineage:
    return Lineage(TOPIC, PARTITION, parameters, topic_id, replay(log))


@dataclass
class Writer:
    """A worker with its view of the changelog."""

    own: Lineage
    position: int = 0
    steps: list[int] = field(default_factory=list)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["write", "restart", "late", "cut"]), st.integers(1, 5)), max_size=40),
    st.integers(0, 3),
)
def test_what_is_restored_is_the_state_at_its_offset(moves: list[tuple[str, int]], busy: int) -> None:
    log: Log = []
    writer, late = Writer(lineage(log)), Writer(lineage(log))
    for move, amount in moves:
        match move:
            case "write" | "late":
                # The late one works on with what it knew, unaware of the other.
                who = writer if move == "write" else late
                who.position += amount
                log += who.own.plan(who.position, state_at(who.position, busy)).records
            case "restart":
                late = writer
                writer = Writer(lineage(log))
                found, _ = writer.own.newest(0, 10**9)
                writer.position = 0 if found is None else found.offset
            case "cut":
                # Killed in the middle of writing: blocks stand, the manifest may not.
                records = writer.own.plan(
                    writer.position + amount, state_at(writer.position + amount, busy)
                ).records
                log += records[: max(len(records) - amount, 0)]
                writer = Writer(lineage(log))
                found, _ = writer.own.newest(0, 10**9)
                writer.position = 0 if found is None else found.offset
        checkpoint, _ = lineage(log).newest(0, 10**9)
        if checkpoint is not None:
            assert checkpoint.state == state_at(checkpoint.offset, busy)


def test_the_highest_offset_wins_even_if_a_late_writer_wrote_last() -> None:
    log: Log = []
    first = lineage(log)
    log += first.plan(10, state_at(10, 1)).records
    late = lineage(log)
    second = lineage(log)
    log += second.plan(30, state_at(30, 1)).records
    log += late.plan(12, state_at(12, 1)).records
    log += second.plan(40, state_at(40, 1)).records
    log += late.plan(13, state_at(13, 1)).records
    checkpoint, _ = lineage(log).newest(0, 100)
    assert checkpoint is not None
    assert checkpoint.offset == 40


def test_unchanged_blocks_are_not_written_again_and_old_ones_are_deleted() -> None:
    log: Log = []
    own = lineage(log)
    plans = [own.plan(offset, state_at(offset, 1)) for offset in range(1, 40)]
    assert plans[0].blocks_written == 4  # two idle, one busy, the end
    assert {plan.blocks_written for plan in plans[1:]} == {1}
    for plan in plans:
        log += plan.records
    held = replay(log)
    assert sum(b"/block/" in key for key in held) == 3 + KEPT
    assert sum(b"/manifest/" in key for key in held) == KEPT
    assert max(len(value) for value in held.values()) <= BLOCK_BYTES


def test_a_missing_or_damaged_block_costs_the_way_back_to_the_checkpoint_before() -> None:
    log: Log = []
    own = lineage(log)
    for offset in (10, 20):
        log += own.plan(offset, state_at(offset, 1)).records
    newest_only = [key for key, value in log[-2:] if b"/block/" in key]
    for damage in (None, b"damaged"):
        damaged = lineage([*log, (newest_only[0], damage)])
        checkpoint, refused = damaged.newest(0, 100)
        assert checkpoint is not None
        assert checkpoint.offset == 10
        assert refused == ["checkpoint at offset 20: a block is missing or damaged"]
        # and the next checkpoint writes the block anew
        healed = [*log, (newest_only[0], damage), *damaged.plan(20, state_at(20, 1)).records]
        found, _ = lineage(healed).newest(0, 100)
        assert found is not None
        assert found.offset == 20


def test_checkpoints_of_other_settings_topics_and_logs_are_refused_in_words() -> None:
    log: Log = []
    log += lineage(log).plan(10, b"state").records
    for changed, bounds, words in (
        (lineage(log, parameters="q"), (0, 100), "other settings"),
        (lineage(log, topic_id="u"), (0, 100), "made again"),
        (lineage(log), (11, 100), "the log now spans 11 to 100"),
        (lineage(log), (0, 9), "the log now spans 0 to 9"),
    ):
        checkpoint, refused = changed.newest(*bounds)
        assert checkpoint is None
        assert words in refused[0]
    checkpoint, refused = lineage(log).newest(0, 100, lambda found: False)
    assert checkpoint is None
    assert "cannot be read" in refused[0]


def test_keys_say_whose_they_are() -> None:
    records = lineage([]).plan(1, b"state").records
    assert {owner(key) for key, _ in records} == {(TOPIC, PARTITION)}
    assert owner(b"garbage") is None
    assert owner(b"a/b/c/d") is None
