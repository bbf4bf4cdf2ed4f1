"""`kandle dlq` on a real Kafka: what was refused is listed, shown, dropped, sent back once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from infra.kafka.dead_letters import DeadLetters
from infra.kafka.partitioner import partition_of
from infra.kafka.publisher import Publisher
from infra.settings import KafkaSettings, Settings
from kandle.dead_letters.letter import DeadLetter
from kandle.dead_letters.log import DeadLetterLog, Selection
from kandle.dead_letters.settling import Settling
from schemas import rows
from schemas.errors import ConfigurationError, ConflictError
from schemas.identity import market_key
from schemas.records import AuditEntry, Trade
from schemas.topics import AUDIT, TRADES
from tests.sink_commands import kandle
from tests.sink_harness import (
    PARTITIONS,
    Log,
    fresh_topics,
    limit_record_bytes,
    mark,
    running,
    settings_for,
    sorted_rows,
    stored_trades,
    trade,
    until_passed,
    url_of,
)

ONLY = ("timescale",)


@pytest.fixture
def settings(kafka: str, postgres: Callable[[], str]) -> Settings:
    found = settings_for(kafka, postgres())
    fresh_topics(found.kafka)
    return found


@pytest.fixture
def log(kafka: str) -> Log:
    return Log(kafka)


async def lines(settings: Settings, *arguments: str) -> list[dict[str, Any]]:
    answer = await kandle(settings, "dlq", *arguments, "--json")
    assert answer.exit_code == 0, answer.output
    return [json.loads(line) for line in answer.stdout.splitlines()]


async def sink_all(settings: Settings, log: Log, instance: str) -> None:
    for partition in range(PARTITIONS):
        log.put(TRADES, partition, [mark(0, final=True, instance=instance)])
    async with running(settings, ONLY) as task:
        await until_passed(url_of(settings), "timescale", TRADES, instance=instance, task=task)


async def put_aside(kafka: KafkaSettings, trades: Iterable[Trade], source_offset: int = 3) -> None:
    """As a stage does that was wrong about good records."""
    publisher = Publisher(kafka)
    dead_letters = DeadLetters(publisher, "sink")
    for number, item in enumerate(trades):
        await dead_letters.send(
            TRADES.name,
            0,
            source_offset if source_offset < 0 else source_offset + number,
            market_key(item.venue, item.symbol).encode(),
            rows.encode(item),
            [("h", b"1"), ("h", b"2"), ("traceparent", None)],
            reason=f"the table was called {number} names",
        )
    await dead_letters.settle()
    await publisher.close()


def committed(servers: str, topic: str, partition: int) -> list[Any]:
    """Records of a partition that readers see: of transactions only what was committed."""
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": "reader", "enable.partition.eof": True, "log_level": 0}
    )
    consumer.assign([TopicPartition(topic, partition, 0)])
    found = []
    try:
        while (message := consumer.poll(10)) is not None and message.error() is None:
            found.append(message)
    finally:
        consumer.close()
    return found


async def test_poison_is_listed_shown_and_dropped(settings: Settings, log: Log) -> None:
    good = trade(1)
    whole = rows.encode(good)
    poison = [b"garbage", b"\x07" + whole[1:], b"\0\0\x0f\xff\xff" + whole[5:], whole[:-3], None]
    log.put(TRADES, 0, [good, *poison])
    await sink_all(settings, log, "run")

    listed = await lines(settings, "list")
    assert {line["topic"] for line in listed} == {"market.trades.v1.dlq"}
    assert sum(line["letters"] for line in listed) == 5
    assert {line["stage"] for line in listed} == {"sink"}
    assert all(0 <= line["oldest_age_s"] < 120 for line in listed)
    shown = await lines(settings, "show", "--topic", TRADES.name)
    assert [line["value_hex"] for line in shown] == [None if v is None else v.hex() for v in poison]
    assert [line["source"]["offset"] for line in shown] == [1, 2, 3, 4, 5]
    assert all(line["headers"] == [["h", "1"]] for line in shown)
    text = await kandle(settings, "dlq", "show", "--offset", "1", "--topic", TRADES.name)
    assert shown[1]["cause"] in text.output
    assert "market.trades.v1/0/2" in text.output

    cause = shown[0]["cause"]
    alike = [line["offset"] for line in shown if line["cause"] == cause]
    (dropped,) = await lines(settings, "drop", "--cause", cause.upper(), "--yes")
    assert dropped == {"topic": "market.trades.v1.dlq", "partition": 0, "dropped": len(alike)}
    left = await lines(settings, "show")
    assert [line["offset"] for line in left] == [n for n in range(5) if n not in alike]
    refused = await kandle(settings, "dlq", "drop", "--topic", TRADES.name, answers="n\n")
    assert "Shall these" in refused.stderr
    assert refused.stdout == ""
    confused = await kandle(settings, "dlq", "drop", "--topic", TRADES.name, "--json", answers="what\nN\n")
    assert (confused.exit_code, confused.stdout) == (0, "")
    assert confused.stderr.count("Shall these") == 2
    unanswered = await kandle(settings, "dlq", "drop", "--topic", TRADES.name)
    assert (unanswered.exit_code, unanswered.stdout) == (1, "")
    agreed = await kandle(settings, "dlq", "drop", "--json", "--since", "1h", answers="y\n")
    assert json.loads(agreed.stdout) == {**dropped, "dropped": len(left)}
    assert agreed.stdout.startswith("{")
    assert await lines(settings, "list") == []
    everything = await lines(settings, "list", "--all")
    assert {line["outcome"] for line in everything} == {"dropped"}
    entries = [rows.decode(message.value()) for message in log.read(AUDIT.name)]
    actions = [entry.action for entry in entries if isinstance(entry, AuditEntry)]
    assert actions[-2:] == ["dlq drop", "dlq drop"]


async def test_a_good_record_goes_back_once_with_key_order_and_headers(settings: Settings, log: Log) -> None:
    sent = [trade(number, f"S{number % 3}/USDT") for number in range(60)]
    await put_aside(settings.kafka, sent)
    await put_aside(settings.kafka, [trade(99)], source_offset=-1)  # a frame of a venue has no way back

    # A command that was killed after it had written all, and before it committed.
    chosen = DeadLetterLog(settings.kafka, Selection())
    killed = Settling(settings.kafka, chosen.partition_counts)
    killed._producer.begin_transaction()
    killed._write([letter for letter in chosen.letters() if letter.can_return], "retried")
    killed._producer.flush()

    answer = await kandle(settings, "dlq", "retry", "--yes")
    assert answer.exit_code == 0, answer.output
    assert "1 came from no topic" in answer.stderr
    assert answer.stdout == "market.trades.v1.dlq: 60 retried\n"
    with pytest.raises(ConflictError, match="another kandle dlq"):
        killed._call(killed._producer.commit_transaction)
    again = await kandle(settings, "dlq", "retry", "--yes")
    assert "no dead letters wait" in again.stderr
    await sink_all(settings, log, "run")

    assert stored_trades(url_of(settings)) == sorted_rows(sent)
    servers = settings.kafka.bootstrap_servers or ""
    for partition in range(PARTITIONS):
        found = [m for m in committed(servers, TRADES.name, partition) if m.headers()[0][0] == "h"]
        found = [message for message in found if len(message.headers()) > 1]
        keys = [market_key(item.venue, item.symbol).encode() for item in sent]
        own = [
            item for item, key in zip(sent, keys, strict=True) if partition_of(key, PARTITIONS) == partition
        ]
        assert [rows.decode(message.value()) for message in found] == own
        for message in found:
            assert message.headers()[:3] == [("h", b"1"), ("h", b"2"), ("traceparent", None)]
            assert message.headers()[3][0] == "kandle.retry"
            assert len(message.headers()) == 4
    (left,) = await lines(settings, "list")
    assert left["letters"] == 1
    states = [line["outcome"] for line in await lines(settings, "list", "--all")]
    assert sorted(states) == ["retried", "waiting"]


async def test_a_topic_that_takes_nothing_leaves_the_letters_waiting(settings: Settings) -> None:
    await put_aside(settings.kafka, [trade(number) for number in range(5)])
    limit_record_bytes(
        settings.kafka, TRADES.name, 100
    )  # a batch does not fit, the mark of an aborted transaction does
    answer = await kandle(settings, "dlq", "retry", "--yes")
    assert isinstance(answer.exception, ConfigurationError)
    assert "market.trades.v1 does not take a record" in str(answer.exception)
    assert [line["letters"] for line in await lines(settings, "list")] == [5]
    limit_record_bytes(settings.kafka, TRADES.name, 1_000_000)
    answer = await kandle(settings, "dlq", "retry", "--yes")
    assert answer.exit_code == 0, answer.output


async def test_the_audit_holds_scattered_offsets_in_several_entries(
    settings: Settings, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kandle.commands.dlq.RANGES", 2)
    await put_aside(settings.kafka, [trade(number) for number in range(9)])
    chosen = [part for offset in range(0, 9, 2) for part in ("--offset", str(offset))]
    await lines(settings, "drop", "--topic", TRADES.name, *chosen, "--yes")
    entries = [rows.decode(message.value()) for message in log.read(AUDIT.name)]
    said = [json.loads(entry.after or "") for entry in entries if isinstance(entry, AuditEntry)]
    assert [each["dropped"] for each in said] == [[[0, 1], [2, 3]], [[4, 5], [6, 7]], [[8, 9]]]


async def test_unknown_topics_and_offsets_without_a_topic_are_refused(settings: Settings) -> None:
    answer = await kandle(settings, "dlq", "list", "--topic", "market.trade.v1")
    assert isinstance(answer.exception, ConfigurationError)
    assert "market.trades.v1.dlq" in str(answer.exception)
    assert (await kandle(settings, "dlq", "show", "--offset", "1")).exit_code == 2


def letter(**more: Any) -> DeadLetter:
    blank: dict[str, Any] = dict.fromkeys(("stage", "kind", "source"), "")
    given = {"topic": "a.dlq", "partition": 0, "offset": 1, "time_ms": 5, "key": None, "value": None}
    return DeadLetter(
        **blank | given | {"headers": (), "cause": "", "source_partition": 0, "source_offset": 0} | more
    )


@pytest.mark.parametrize(
    ("selection", "taken"),
    [
        (Selection(), True),
        (Selection(cause="*SCHEMA id*"), True),
        (Selection(cause="*magic*"), False),
        (Selection(since_us=5_000), True),
        (Selection(since_us=5_001), False),
        (Selection(offsets=frozenset({2})), False),
    ],
)
def test_a_selection_takes_what_it_says(selection: Selection, taken: bool) -> None:
    assert selection.takes(letter(cause="unknown schema id 7")) == taken
    assert not selection.takes(letter(cause="unknown schema id 7", outcome="dropped"))
