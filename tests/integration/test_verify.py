"""`kandle verify` is clean where the sink has worked, and finds what somebody has changed by hand."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from infra.settings import Settings
from kandle.__main__ import main
from kandle.commands.verify import verify as command
from kandle.verification.stored import Range
from schemas.errors import ConfigurationError, ConflictError
from schemas.records import Trade
from schemas.topics import CANDLES, TRADES
from tests.processor_harness import BASE_US, PARTITIONS, expected, market, read_topic
from tests.sink_harness import Log, fresh_topics, query, running, settings_for, until
from tests.stored_market import DAMAGES, faults, put, store, verify

SECOND = 1_000_000
TABLE = "topic and table"
FEED = market(seconds=75, rate=40)


@pytest.fixture(scope="module")
def stored(kafka: str, sink_database: Callable[[], str]) -> tuple[Settings, str]:
    """A minute and a quarter of a market, stored."""
    url = sink_database()
    settings = settings_for(kafka, url)
    fresh_topics(settings.kafka)
    put(Log(kafka), FEED)
    asyncio.run(store(settings, url))
    return settings, url


def environment(settings: Settings) -> dict[str, str]:
    assert settings.database.url is not None
    return {
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers or "",
        "KANDLE_KAFKA__PARTITIONS": str(PARTITIONS),
        "DATABASE_URL": settings.database.url.get_secret_value(),
    }


def invoke(settings: Settings, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, env=environment(settings))


def test_all_that_the_sink_has_stored_is_equal(stored: tuple[Settings, str]) -> None:
    settings, url = stored
    found = verify(settings)
    assert all(check.comparison.clean for check in found.values()), [c.as_dict() for c in found.values()]
    for damage in DAMAGES:
        ((count,),) = query(url, f"SELECT count(*) FROM kandle.{damage.table}")
        assert found[damage.view, TABLE].comparison.found == count > 7
    recomputed = found["candles", "trades and topic"].comparison
    assert recomputed.expected == found["candles", TABLE].comparison.found


def test_a_range_and_symbols_are_looked_at_alone(stored: tuple[Settings, str]) -> None:
    settings, url = stored
    since, until = BASE_US + 20 * SECOND, BASE_US + 40 * SECOND
    found = verify(settings, ["trades", "candles"], Range(since, until, frozenset({"S1/USDT"})))
    ((count,),) = query(
        url,
        "SELECT count(*) FROM trades WHERE symbol = 'S1/USDT' AND time >= to_timestamp(1700000020) "
        "AND time < to_timestamp(1700000040)",
    )
    compared = found["trades", TABLE].comparison
    assert (compared.expected, compared.found, compared.clean) == (count, count, True)
    assert 0 < found["candles", "trades and topic"].comparison.found < 25
    assert "nothing was there to be compared" in invoke(settings, "--symbols", "NO/SUCH").stdout


def test_records_that_the_topic_holds_twice_are_counted_and_are_one_row(stored: tuple[Settings, str]) -> None:
    settings, url = stored
    before = verify(settings, ["trades"])["trades", TABLE].comparison
    again = [item for item in FEED[0] if isinstance(item, Trade)][:7]
    passed = (
        "SELECT o.next_offset FROM kandle.offsets o JOIN kandle.topics t ON t.id = o.topic_id "
        f"WHERE o.sink = 'timescale' AND t.name = '{TRADES.name}' AND o.partition = 0"
    )
    ((end,),) = query(url, passed)

    async def store_again() -> None:
        Log(settings.kafka.bootstrap_servers or "").put(TRADES, 0, again)
        async with running(settings, ["timescale"]) as task:
            await until(lambda: query(url, passed) == [(end + 7,)], 30, task)

    asyncio.run(store_again())
    after = verify(settings, ["trades"])["trades", TABLE].comparison
    assert (after.repeats - before.repeats, after.clean, after.found) == (7, True, before.found)


def test_rows_removed_doubled_or_changed_by_hand_are_found(
    stored: tuple[Settings, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, url = stored
    for damage in DAMAGES:
        damage.do(url)
    found = verify(settings)
    for damage in DAMAGES:
        comparison = found[damage.view, TABLE].comparison
        assert faults(comparison) == {"lost": 1, "duplicate": 1, "differing": 1}, damage.view
        (changed,) = [example for example in comparison.examples if example.kind == "differing"]
        assert set(changed.fields) == {damage.column}
    assert found["candles", "trades and topic"].comparison.clean, "the topic itself is right"

    answer = invoke(settings, "--tables", "trades,candles", "--json")
    assert answer.exit_code == 1
    said = json.loads(answer.stdout)
    assert (said["clean"], len(said["checks"])) == (False, 3)
    assert said["checks"][0]["lost"] == 1
    text = invoke(settings, "--tables", "trades").stdout
    assert "1 lost, 1 duplicate, 1 differing" in text
    assert "instrument_id=binance:S" in text, "examples name the market"
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["kandle", "verify", "--tables", "trades"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1


def test_what_the_sink_has_not_come_to_is_not_lost(stored: tuple[Settings, str]) -> None:
    settings, _ = stored
    before = verify(settings, ["trades"])["trades", TABLE]
    more = market(seconds=2, rate=40, first=75)
    log = Log(settings.kafka.bootstrap_servers or "")
    for partition, items in more.items():
        log.put(TRADES, partition, items)
    after = verify(settings, ["trades", "candles"])
    assert after["trades", TABLE].not_stored_yet == sum(map(len, more.values()))
    assert after["trades", TABLE].comparison == before.comparison
    recomputed = after["candles", "trades and topic"]
    assert recomputed.comparison.clean, "candles that no worker has come to are not lost either"
    assert recomputed.not_stored_yet > 0

    known = expected(FEED)[CANDLES.name]
    whole = expected({partition: [*FEED[partition], *more[partition]] for partition in FEED})[CANDLES.name]
    coming = [candle for name, candle in whole.items() if name not in known]
    assert coming
    log.put(CANDLES, 0, [candle for candle in coming if candle.symbol == "S0/USDT"])  # type: ignore[attr-defined]
    found = verify(settings, ["candles"])["candles", "trades and topic"]
    assert found.comparison.clean, "those that a worker has written before their mark are not unseen"


def test_a_wrong_candle_in_the_topic_is_found_by_recomputation(stored: tuple[Settings, str]) -> None:
    settings, _ = stored
    candles = read_topic(settings.kafka.bootstrap_servers or "", CANDLES).records.values()
    wrong: Any = replace(next(iter(candles)), revision=1, close=1.0)
    Log(settings.kafka.bootstrap_servers or "").put(CANDLES, 0, [wrong])
    found = verify(settings, ["candles"])["candles", "trades and topic"].comparison
    assert faults(found) == {"differing": 1}
    assert set(found.examples[0].fields) == {"close"}


def test_a_mistake_is_told(stored: tuple[Settings, str], postgres: Callable[[], str]) -> None:
    settings, url = stored
    assert invoke(settings, "--from", "2026-01-02", "--to", "2026-01-01").exit_code == 2
    assert invoke(settings, "--from", "soon").exit_code == 2
    unknown = invoke(settings, "--tables", "trade").exception
    assert isinstance(unknown, ConfigurationError)
    assert "there are trades, quotes" in str(unknown)
    empty = invoke(settings_for(settings.kafka.bootstrap_servers or "", postgres())).exception
    assert isinstance(empty, ConfigurationError)
    assert "no sink" in str(empty)
    with psycopg.connect(url) as db:
        db.execute("UPDATE kandle.topics SET kafka_id = 'another' WHERE name = 'market.trades.v1'")
    with pytest.raises(ConflictError, match="deleted and made again"):
        verify(settings, ["trades"])
