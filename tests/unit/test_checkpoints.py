"""Checkpoints of one partition: which are kept, over restarts too, and what their records are."""

import msgspec
import pytest

from processors.engine.checkpoint import BLOCK_BYTES, KEPT, Lineage, Manifest, Record, replay
from processors.engine.pages import Page

Log = list[Record]


def lineage(log: Log) -> Lineage:
    """A worker's view of a changelog when it starts."""
    return Lineage("topic", 0, "p", "t", replay(log))


def manifests(log: Log) -> list[Manifest]:
    """What stands in the changelog, by number."""
    found = [
        msgspec.msgpack.decode(value, type=Manifest)
        for key, value in replay(log).items()
        if b"/manifest/" in key
    ]
    return sorted(found, key=lambda each: each.number)


def write(own: Lineage, log: Log, offset: int) -> None:
    """A checkpoint of one page, which is another one at each offset."""
    log += own.plan(offset, [Page("a", lambda: b"state at %d" % offset)])


@pytest.mark.parametrize("restarts", [False, True])
def test_the_newest_checkpoints_are_kept_and_the_oldest_go_first(restarts: bool) -> None:
    log: Log = []
    own = lineage(log)
    for offset in range(1, 3 * KEPT):
        if restarts:
            own = lineage(log)
        write(own, log, offset)
        kept = [each.offset for each in manifests(log)]
        assert kept == list(range(max(1, offset + 1 - KEPT), offset + 1))
        found, refused = lineage(log).newest(0, 100)
        assert found is not None
        assert (found.offset, dict(found.pages), refused) == (offset, {"a": b"state at %d" % offset}, [])
    blocks = [key for key in replay(log) if b"/block/" in key]
    assert len(blocks) == KEPT, "a block of each that is kept, and no other"


def test_of_equal_offsets_the_checkpoint_written_last_wins() -> None:
    log: Log = []
    own = lineage(log)
    for text in (b"before", b"after"):
        log += own.plan(7, [Page("a", lambda text=text: text)])  # type: ignore[misc]
    found, _ = lineage(log).newest(0, 100)
    assert found is not None
    assert found.pages["a"] == b"after"


def test_a_checkpoint_counts_while_its_offset_is_within_the_log() -> None:
    log: Log = []
    write(lineage(log), log, 5)

    def offset(first: int, end: int) -> int | None:
        found, _ = lineage(log).newest(first, end)
        return found.offset if found else None

    assert (offset(5, 5), offset(0, 5), offset(5, 9)) == (5, 5, 5)
    assert (offset(6, 9), offset(0, 4)) == (None, None)


def test_what_packs_is_packed_and_what_does_not_is_written_as_it_is() -> None:
    log: Log = []
    plain = bytes(range(256)) * 3
    noise = b"".join(number.to_bytes(8, "big") for number in (2**63 - 25, 7**22, 3**39))
    log += lineage(log).plan(1, [Page("a", lambda: plain), Page("b", lambda: noise)])
    packed, whole = (value for key, value in log if b"/block/" in key and value is not None)
    assert len(packed) < len(plain)
    assert whole.endswith(noise)
    found, _ = lineage(log).newest(0, 1)
    assert found is not None
    assert (found.pages["a"], found.pages["b"], len(found.pages)) == (plain, noise, 2)


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_a_page_is_cut_where_a_block_is_full(over: int) -> None:
    log: Log = []
    content = BLOCK_BYTES - 5  # a block says how it is packed, and by whom
    log += lineage(log).plan(1, [Page("a", lambda: bytes(content + over))])
    assert sum(b"/block/" in key for key, _ in log) == (2 if over > 0 else 1)
    found, _ = lineage(log).newest(0, 1)
    assert found is not None
    assert found.pages["a"] == bytes(content + over)


def test_an_empty_page_has_no_block_and_is_empty_again() -> None:
    log: Log = []
    log += lineage(log).plan(1, [Page("a", bytes)])
    found, _ = lineage(log).newest(0, 1)
    assert found is not None
    assert dict(found.pages) == {"a": b""}


def test_how_far_workers_have_got_is_told_whatever_their_settings_but_of_this_topic_alone() -> None:
    log: Log = []
    assert lineage(log).reached() is None
    log += Lineage("topic", 0, "other settings", "t", {}).plan(8, [])
    log += Lineage("topic", 0, "p", "the topic before", {}).plan(90, [])
    write(lineage(log), log, 5)
    assert lineage(log).reached() == 8
