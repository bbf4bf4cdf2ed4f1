"""The ledger at work, by a clock of ours: quiet hours, age, rates, what is retried, what a crash leaves."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import msgspec
import psycopg
import pytest

from infra.clock import SystemClock
from infra.kafka.dead_letters import HEADER_PREFIX, RETRY_HEADER, Headers, dead_letter_topic
from infra.settings import NotificationSettings
from schemas import rows
from schemas.topics import SIGNALS
from sinks.database import application_name
from sinks.migrator import migrate
from sinks.notifications.channel_locks import CONNECTION_NAME
from sinks.notifications.parcels import read_headers, write_headers
from tests.notification_desk import Desk, Time
from tests.notification_receivers import Receiver, Web, web
from tests.notification_records import event, signal
from tests.sink_harness import Log, fresh_topics, query, running, settings_for, until

Databases = Callable[[], str]
NIGHT = {"begin": "22:00", "end": "07:00"}
MINUTE_US = 60_000_000


@pytest.fixture(scope="module")
def migrated(kafka: str, postgres: Databases) -> str:
    url = postgres()
    migrate(url)
    fresh_topics(settings_for(kafka, url).kafka)
    return url


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as made:
        yield made


def told(receiver: Receiver) -> list[tuple[int, str]]:
    """How many causes each message told of, and the first of them."""
    return [(message["data"]["count"], message["data"]["occasions"][0]["id"]) for message in receiver.taken]


async def test_quiet_hours_hold_what_is_no_error_for_a_digest_at_their_end(
    kafka: str, migrated: str, server: Web
) -> None:
    receiver, time = server.receiver("desk"), Time("2026-03-10 23:00:00")
    desk = Desk(kafka, migrated, time, {"url": receiver.url, "quiet": NIGHT})
    async with desk.serving() as task:
        trouble = msgspec.structs.replace(event("provider.error", "error"), event_time=time.us)
        await desk.queue([*desk.signals("a", "b"), trouble])
        await until(lambda: told(receiver) == [(1, trouble.id)], 10, task)
        await until(lambda: desk.outcomes() == {"a": "held", "b": "held", trouble.id: "sent"}, 10, task)
    # Another process goes on in the middle of the night; what comes in the morning is not late.
    async with desk.serving() as task:
        time.set("2026-03-11 06:59:59")
        await desk.queue(desk.signals("c"))
        await until(lambda: desk.outcomes().get("c") == "held", 10, task)
        assert len(receiver.taken) == 1
        time.set("2026-03-11 07:00:00")
        await until(lambda: len(receiver.taken) == 2, 10, task)
        await desk.queue(desk.signals("d"))
        await until(lambda: told(receiver)[1:] == [(3, "a"), (1, "d")], 10, task)
        await until(lambda: set(desk.outcomes().values()) == {"sent", "digested"}, 10, task)


async def test_quiet_hours_of_one_rule_may_drop_its_messages(kafka: str, migrated: str, server: Web) -> None:
    receiver, time = server.receiver("desk"), Time("2026-03-10 03:00:00")
    rules = {"dropped": {"quiet": NIGHT | {"mode": "drop", "errors_pass": False}}, "all": {}}
    desk = Desk(kafka, migrated, time, {"url": receiver.url}, rules)
    trouble = msgspec.structs.replace(event("provider.error", "error"), event_time=time.us)
    async with desk.serving() as task:
        await desk.queue([*desk.signals("a"), trouble], rule="dropped")
        await desk.queue(desk.signals("b"))
        await until(lambda: told(receiver) == [(1, "b")], 10, task)
        expected = {"a": "suppressed", trouble.id: "suppressed", "b": "sent"}
        await until(lambda: desk.outcomes() == expected, 10, task)


async def test_what_is_older_than_its_time_is_collected_for_a_digest(
    kafka: str, migrated: str, server: Web
) -> None:
    receiver, time = server.receiver("desk"), Time("2026-03-10 12:00:00")
    desk = Desk(kafka, migrated, time, {"url": receiver.url, "fold_window_s": 300})
    async with desk.serving() as task:
        await desk.queue(desk.signals("a", "b", age_us=6 * MINUTE_US))
        await desk.queue(desk.signals("c", age_us=4 * MINUTE_US))
        await until(lambda: told(receiver) == [(1, "c")], 10, task)
        await desk.queue(desk.signals("d", age_us=5 * MINUTE_US + 1))
        assert told(receiver) == [(1, "c")]
        desk.let_wait(300)
        await until(lambda: told(receiver)[1:] == [(3, "a")], 10, task)
        expected = {"a": "digested", "b": "digested", "c": "sent", "d": "digested"}
        await until(lambda: desk.outcomes() == expected, 10, task)


async def test_what_waits_for_a_channel_that_has_gone_is_told_of_at_the_start(
    kafka: str, migrated: str, server: Web
) -> None:
    time = Time("2026-03-10 12:00:00")
    gone = Desk(kafka, migrated, time, {"url": server.receiver("gone").url})
    await gone.queue(gone.signals("a", "b"))
    desk = Desk(kafka, migrated, time, {"url": server.receiver("desk").url})
    said = await desk.restored()
    assert (gone._name, 2) in said
    assert await gone.restored() == [each for each in said if each[0] != gone._name]


async def test_what_waits_for_its_turn_at_a_limited_channel_goes_together(
    kafka: str, migrated: str, server: Web
) -> None:
    receiver, time = server.receiver("desk"), Time("2026-03-10 12:00:00")
    # Its turn must not come before the first two are settled, however busy the machine is.
    limited = {"url": receiver.url, "per_minute": 15, "burst": 2}
    desk = Desk(kafka, migrated, time, limited, {"x": {}, "y": {}})
    await desk.queue(desk.signals("a", "b", "c", "d"), rule="x")
    await desk.queue(desk.signals("e", "f", age_us=-10), rule="y")
    async with desk.serving() as task:
        await until(lambda: receiver.causes == 6, 20, task)
        assert sorted(told(receiver)[:2]) == [(1, "a"), (1, "b")]
        assert told(receiver)[2:] == [(4, "c")]
        assert receiver.at_s[2] - receiver.at_s[1] > 2


async def test_a_channel_that_asks_us_to_wait_again_and_again_gets_the_message_in_the_end(
    kafka: str, migrated: str, server: Web
) -> None:
    receiver, time = server.receiver("desk"), Time("2026-03-10 12:00:00")
    answers = itertools.chain([(429, {"Retry-After": "0.1"})] * 4, itertools.repeat((200, {})))
    receiver.answer = lambda: next(answers)
    desk = Desk(kafka, migrated, time, {"url": receiver.url, "attempts": 3})
    await desk.queue(desk.signals("a"))
    async with desk.serving() as task:
        await until(lambda: "pending" not in desk.outcomes().values(), 20, task)
    assert desk.outcomes() == {"a": "sent"}
    assert (len(receiver.keys), receiver.repeats) == (5, 4)


async def test_dead_letters_that_are_retried_are_told_and_what_was_told_is_not(
    kafka: str, migrated: str, server: Web
) -> None:
    receiver, time = server.receiver("desk", status=404), Time("2026-03-10 12:00:00")
    desk = Desk(kafka, migrated, time, {"url": receiver.url})
    records = desk.signals("a")
    await desk.queue(records)
    async with desk.serving() as task:
        await until(lambda: desk.outcomes() == {"a": "dead_letter"}, 10, task)
        receiver.answer = lambda: (200, {})
        await desk.queue(records)
        await until(lambda: desk.outcomes() == {"a": "sent"}, 10, task)
        await desk.queue([*records, *desk.signals("b")])
        await until(lambda: desk.outcomes() == {"a": "sent", "b": "sent"}, 10, task)
    assert told(receiver) == [(1, "a"), (1, "b")]
    # Of one message all attempts have one key.
    assert len(receiver.keys) == 3
    assert receiver.repeats == 1


async def test_a_dead_letter_that_is_retried_is_told_though_its_topic_was_made_again(
    kafka: str, migrated: str, server: Web
) -> None:
    receiver, time = server.receiver("desk", status=404), Time("2026-03-10 12:00:00")
    desk = Desk(kafka, migrated, time, {"url": receiver.url})
    records, retried = desk.signals("a"), [(RETRY_HEADER, b"signals.v1.dlq/0/0")]
    await desk.queue(records)
    async with desk.serving() as task:
        await until(lambda: desk.outcomes() == {"a": "dead_letter"}, 10, task)
        desk.begin_anew()
        await desk.queue(records)
        assert desk.outcomes() == {"a": "dead_letter"}, "a repeat alone is no wish to be told"
        await desk.queue(records, headers=retried)
        await until(lambda: len(receiver.keys) == 2, 10, task)
        await until(lambda: desk.outcomes() == {"a": "dead_letter"}, 10, task)
        desk._offset -= 1
        await desk.queue(records, headers=retried)
        assert desk.outcomes() == {"a": "dead_letter"}, "the same record, read again"
        receiver.answer = lambda: (200, {})
        await desk.queue(records, partition=1, headers=retried)
        await until(lambda: desk.outcomes() == {"a": "sent"}, 10, task)
        await desk.queue(records, partition=2, headers=retried)
        assert desk.outcomes() == {"a": "sent"}
    assert told(receiver) == [(1, "a")]


async def test_what_is_given_up_goes_to_the_dead_letters_with_its_headers(
    kafka: str, postgres: Databases, server: Web
) -> None:
    url = postgres()
    migrate(url)
    settings = settings_for(kafka, url)
    fresh_topics(settings.kafka)
    receiver, log = server.receiver("desk", status=404), Log(kafka)
    said = {"rules": [{"name": "all", "urls": [receiver.url]}], "allow_private": True}
    settings = settings.model_copy(update={"notifications": NotificationSettings.model_validate(said)})
    cause = msgspec.structs.replace(signal("a"), event_time=SystemClock().now_us())
    log.put(SIGNALS, 0, [cause])
    async with running(settings, ["notifications"]) as task:
        await until(
            lambda: query(url, "SELECT outcome FROM kandle.notifications") == [("dead_letter",)], 20, task
        )
    (letter,) = log.read(dead_letter_topic(SIGNALS.name))
    headers: Headers = [entry for entry in letter.headers() if not entry[0].startswith(HEADER_PREFIX)]
    assert (letter.key(), letter.value(), headers) == (b"k", rows.encode(cause), [("h", b"1")])


@pytest.mark.parametrize("kept", [(), [("h", b"1"), ("h", b"\xff\x00"), ("traceparent", None)]])
def test_headers_hold_in_the_ledger(kept: Headers) -> None:
    assert list(read_headers(write_headers(kept))) == list(kept)


async def test_two_processes_send_no_message_twice(kafka: str, migrated: str, server: Web) -> None:
    receiver, time = server.receiver("desk", delay_s=0.01), Time("2026-03-10 12:00:00")
    desk = Desk(kafka, migrated, time, {"url": receiver.url, "per_minute": 0, "fold_over": 0})
    async with desk.serving() as one:
        await desk.queue(desk.signals(*(f"a{number}" for number in range(30))))
        async with desk.serving() as other:
            await until(lambda: receiver.causes >= 10, 10, other)
            one.cancel()
            await desk.queue(desk.signals(*(f"b{number}" for number in range(10))))
            await until(lambda: list(desk.outcomes().values()) == ["sent"] * 40, 10, other)
    # What the first had under way when it ended may come again, with its key.
    assert len(set(receiver.keys)) == 40
    assert receiver.repeats <= 5


async def test_a_connection_cut_while_a_channel_answers_costs_no_second_message(
    kafka: str, migrated: str, server: Web
) -> None:
    receiver, time = server.receiver("desk", delay_s=0.4), Time("2026-03-10 12:00:00")
    desk = Desk(kafka, migrated, time, {"url": receiver.url})
    await desk.queue(desk.signals("a"))
    async with desk.serving() as task:
        await until(lambda: len(receiver.keys) == 1, 10, task)
        with psycopg.connect(migrated, autocommit=True) as db:
            cut = db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name = %s",
                (application_name(CONNECTION_NAME),),
            ).fetchall()
        assert cut == [(True,)]
        await until(lambda: desk.outcomes() == {"a": "sent"}, 10, task)
    assert len(receiver.keys) == 1


async def test_a_message_that_a_crash_left_is_sent_again_as_it_was(
    kafka: str, migrated: str, server: Web
) -> None:
    receiver, time = server.receiver("desk", delay_s=30), Time("2026-03-10 12:00:00")
    desk = Desk(kafka, migrated, time, {"url": receiver.url, "fold_over": 1})
    await desk.queue(desk.signals("a", "b", "c", age_us=2 * MINUTE_US))
    async with desk.serving() as task:
        await until(lambda: told(receiver) == [(3, "a")], 10, task)
    receiver.delay_s = 0
    await desk.queue(desk.signals("d", "e", age_us=2 * MINUTE_US))
    async with desk.serving() as task:
        await until(lambda: told(receiver)[1:] == [(3, "a"), (2, "d")], 10, task)
    assert receiver.keys[0] == receiver.keys[1] != receiver.keys[2]
