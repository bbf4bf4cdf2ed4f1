"""What commands change stands in the audit, and a command whose entry is refused says so."""

import getpass
import json
import socket

import pytest
from click.testing import CliRunner, Result

from kandle.audit import AuditError
from kandle.commands.alerts import alerts
from kandle.commands.symbols import symbols
from schemas.records import AuditEntry
from schemas.rows import decode
from schemas.topics import ALERTS, AUDIT
from tests.sink_harness import PARTITIONS, Log, fresh_topics, limit_record_bytes, settings_for


def command(servers: str, group: object, *arguments: str) -> Result:
    environment = {"KAFKA_BOOTSTRAP_SERVERS": servers, "KANDLE_KAFKA__PARTITIONS": str(PARTITIONS)}
    return CliRunner().invoke(group, arguments, env=environment)  # type: ignore[arg-type]


def entries(servers: str) -> list[AuditEntry]:
    found = []
    for message in Log(servers).read(AUDIT.name):
        entry = decode(message.value())
        assert isinstance(entry, AuditEntry)
        assert message.key() == entry.subject.encode()
        found.append(entry)
    return found


def test_who_changed_what_and_what_stood_there_before(kafka: str) -> None:
    fresh_topics(settings_for(kafka, "").kafka)
    for arguments in (
        ("add", "BTC/USDT", "--above", "70000", "--id", "high"),
        ("add", "BTC/USDT", "--above", "80000", "--id", "high"),
        ("remove", "high"),
        ("list",),
    ):
        assert command(kafka, alerts, *arguments).exit_code == 0
    assert command(kafka, symbols, "add", "--unchecked", "ETH/USDT", "SOL/USDT").exit_code == 0
    assert command(kafka, symbols, "remove", "ETH/USDT").exit_code == 0

    first, second, third, *asked = entries(kafka)
    assert [entry.action for entry in (first, second, third)] == ["alerts add", "alerts add", "alerts remove"]
    assert {entry.subject for entry in (first, second, third)} == {"high"}
    assert {entry.actor for entry in (first, *asked)} == {f"{getpass.getuser()}@{socket.gethostname()}"}
    assert first.before is None
    assert json.loads(first.after or "")["level"] == 70000
    assert second.before == first.after
    assert third.before == second.after
    assert json.loads(third.after or "")["wanted"] is False

    assert [(entry.action, entry.subject) for entry in asked] == [
        ("symbols add", "binance spot ETH/USDT"),
        ("symbols add", "binance spot SOL/USDT"),
        ("symbols remove", "binance spot ETH/USDT"),
    ]
    assert asked[0].before is None
    assert json.loads(asked[2].before or "")["wanted"] is True
    assert json.loads(asked[2].after or "") == {"wanted": False}
    assert len({entry.id for entry in (first, second, third, *asked)}) == 6


def test_a_refused_entry_is_told_and_the_change_stands(kafka: str) -> None:
    settings = settings_for(kafka, "")
    fresh_topics(settings.kafka)
    limit_record_bytes(settings.kafka, AUDIT.name, 100)
    try:
        refused = command(kafka, alerts, "add", "BTC/USDT", "--above", "70000", "--id", "high")
        assert len(Log(kafka).read(ALERTS.name)) == 1, "the change stands"
    finally:
        fresh_topics(settings.kafka)
    assert isinstance(refused.exception, AuditError)
    assert refused.exception.exit_code == 1
    with pytest.raises(AuditError, match=r"is done, but the audit .*does not say so") as told:
        raise refused.exception
    assert '"subject":"high"' in str(told.value), "the entry itself is not lost"
    assert "high: " not in refused.output, "it has not said that all is well"
