"""A replay of the archive writes what the topics held: what the sink has archived, on a real broker."""

from pathlib import Path

from backtest.replay.source import Period
from backtest.replay.sources.archive import ArchiveSource
from schemas.namespace import LIVE
from schemas.records import BookUpdate
from schemas.topics import BOOKS, BY_BASE_NAME
from sinks.archive.store import open_store
from tests.archive_harness import ONLY, archive_settings, archived
from tests.replay_harness import BASE_US, VENUE, messages, namespace, replayed, some_past
from tests.sink_harness import fresh_topics, running, until


async def test_archived_topics_are_written_again_record_by_record(kafka: str, tmp_path: Path) -> None:
    settings = archive_settings(kafka, tmp_path / "archive", max_rows=200)
    fresh_topics(settings.kafka)
    past, store = some_past(), open_store(settings)
    for second in range(30):
        book = BookUpdate(
            VENUE, "ETH/USDT", "snapshot", None, second, None, [1.5], [2.0], [], [], None, None, BASE_US
        )
        past.add(BOOKS, 1, book)
    await past.publish(settings.kafka, LIVE)
    wanted = past.messages
    async with running(settings, ONLY) as task:
        for tp, stood in wanted.items():
            topic, end = BY_BASE_NAME[tp.topic], (tp.number, len(stood))
            await until(lambda topic=topic, end=end: end in archived(store, topic).items(), task=task)  # type: ignore[misc]
    into = namespace()
    assert (await replayed(settings.kafka, ArchiveSource.open(store), into)).is_complete
    for tp, stood in wanted.items():
        assert await messages(settings.kafka, into, tp) == [one for one in stood if one[1] != b"no record"]
    # A part of it again, in two goes of which the first is not cut short: the archive is read by files.
    part, period = namespace(), Period(BASE_US + 7_000_000, BASE_US + 9_000_000)
    await replayed(settings.kafka, ArchiveSource.open(store), part, period=period)
    for tp, stood in wanted.items():
        found = await messages(settings.kafka, part, tp)
        assert [one for one in stood if one in found] == found
