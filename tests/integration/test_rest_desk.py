"""The REST desk against a real server: order, pace, and everything that a venue may answer instead."""

import asyncio
import contextlib
import email.utils
import gzip
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

import pytest
from prometheus_client import REGISTRY

from infra.http import HttpLimits
from infra.resilience.call_guard import CallPolicy
from infra.resilience.circuit_breaker import BreakerPolicy
from infra.resilience.events import ResilienceEvent
from producers.exchange import Call, CallKind, Limits
from producers.rest_desk import DeskFigures, RestDesk
from producers.rest_queue import Answer
from schemas.errors import UnavailableError
from tests.rest_server import Reply, RestServer

ANSWERED_WITHIN_S = 20.0
QUICK = DeskFigures(
    calls=CallPolicy(delay_s=0.02, jitter_s=0.01, timeout_s=1.0),
    breaker=BreakerPolicy(open_s=0.6),
    http=HttpLimits(body_bytes=1_000_000),
)


LIMITS = Limits(10, 100, 1_000, rest_weight_per_minute=600_000)


@dataclass(frozen=True)
class Market:
    venue: str = "one"
    market: str = "spot"
    limits: Limits = LIMITS
    ping_path: str = "/ping"


class Desk:
    """A desk that runs, what it has answered and what it has told."""

    def __init__(self, server: RestServer, market: Market, figures: DeskFigures) -> None:
        self.answers: list[Answer] = []
        self.events: list[ResilienceEvent] = []
        self.desk = RestDesk(
            market, server.url, self.answers.append, on_event=self.events.append, figures=figures
        )
        self.stop = asyncio.Event()

    async def answered(self, count: int) -> list[Answer]:
        async with asyncio.timeout(ANSWERED_WITHIN_S):
            while len(self.answers) < count:
                await asyncio.sleep(0.005)
        return self.answers

    def told(self, kind: str) -> list[ResilienceEvent]:
        return [event for event in self.events if event.kind == kind]


@contextlib.asynccontextmanager
async def running(
    server: RestServer, market: Market | None = None, figures: DeskFigures = QUICK
) -> AsyncIterator[Desk]:
    desk = Desk(server, market or Market(), figures)
    task = asyncio.create_task(desk.desk.run(desk.stop))
    try:
        yield desk
    finally:
        desk.stop.set()
        await task
        await desk.desk.close()


@pytest.fixture
async def server() -> AsyncIterator[RestServer]:
    async with RestServer(lambda _: Reply(b"[1]")).running() as one:
        yield one


def calls(count: int, kind: CallKind = "book", weight: int = 1) -> list[Call]:
    return [Call(kind, f"/{kind}/{number}", weight, "BTC/USDT") for number in range(count)]


async def test_an_answer_brings_its_call_and_body(server: RestServer) -> None:
    async with running(server) as desk:
        call = Call("trades", "/trades?fromId=5", 25, "BTC/USDT", 5, 9)
        desk.desk.submit(call)
        assert await desk.answered(1) == [Answer(call, b"[1]", None)]
        assert await desk.desk.fetch(Call("instruments", "/exchangeInfo")) == b"[1]"
        assert len(desk.desk) == 0


async def test_gaps_come_before_books_and_books_before_polls(server: RestServer) -> None:
    server.answer = lambda _: Reply(b"[1]", pause_s=0.02)
    kinds: Sequence[CallKind] = ("ticker", "derivatives", "book", "candles", "trades", "book", "trades")
    async with running(server, figures=replace(QUICK, at_once=1)) as desk:
        desk.desk.submit(Call("ticker", "/first"))
        await asyncio.sleep(0.01)
        for number, kind in enumerate(kinds):
            desk.desk.submit(Call(kind, f"/{number}/{kind}"))
        await desk.answered(8)
    order = [path.rpartition("/")[2] for path in server.paths[1:]]
    assert order == ["trades", "trades", "book", "book", "ticker", "derivatives", "candles"]
    assert server.paths[1:3] == ["/4/trades", "/6/trades"]


async def test_what_many_ask_at_once_is_called_once(server: RestServer) -> None:
    server.answer = lambda _: Reply(b"[1]", pause_s=0.1)
    others: list[Answer] = []
    async with running(server) as desk:
        call = Call("book", "/depth?symbol=BTCUSDT")
        for _ in range(50):
            desk.desk.submit(call)
        await asyncio.sleep(0.03)
        desk.desk.submit(call)
        desk.desk.submit(call, others.append)
        await desk.answered(1)
        assert (len(server.paths), len(desk.answers), len(others)) == (1, 1, 1)
        desk.desk.submit(call)
        await desk.answered(2)
        assert len(server.paths) == 2


async def test_hundreds_of_snapshots_are_paced(server: RestServer) -> None:
    # 270,000 may be spent at once and 4,500 come back in a second: the last calls wait a second and more.
    async with running(server) as desk:
        begun = time.monotonic()
        for call in calls(300, weight=920):
            desk.desk.submit(call)
        answers = await desk.answered(300)
        took_s = time.monotonic() - begun
    assert all(answer.body for answer in answers)
    assert sorted(server.paths) == sorted(call.path for call in calls(300))
    assert server.most_under_way <= 10
    assert took_s >= (300 * 920 - 270_000) / 4_500 - 0.1
    early = [at_s for _, at_s in server.requests if at_s - begun < 0.5]
    assert len(early) * 920 <= 270_000 + 0.5 * 4_500


async def test_the_venue_is_believed_about_what_it_has_counted(server: RestServer) -> None:
    now_s = time.time()
    if now_s % 60 > 55:
        await asyncio.sleep(60 - now_s % 60)
    server.answer = lambda _: Reply(b"[1]", headers={"X-MBX-USED-WEIGHT-1M": "590000"})
    async with running(server) as desk:
        for call in calls(20):
            desk.desk.submit(call)
        await asyncio.sleep(0.5)
        assert len(server.paths) <= 10, "others of this address have spent the minute"
        [status] = desk.told("rate_limit.status")
        assert status.severity == "warning"
        assert (status.data["provider"], status.data["remaining"]) == ("one-spot", 10_000)
        reset_at = status.data["reset_at"]
        assert isinstance(reset_at, int)
        assert reset_at / 1e6 == pytest.approx(now_s // 60 * 60 + 60, abs=61)


def limited(status: int, headers: Callable[[], dict[str, str]], for_s: float) -> Callable[[str], Reply]:
    """Refuses the first call and all that come too early after it."""
    until_s = 0.0
    early = 0

    def answer(path: str) -> Reply:
        nonlocal until_s, early
        now = time.monotonic()
        if not until_s:
            until_s = now + for_s
        elif now >= until_s:
            return Reply(f'["{early} came early"]'.encode())
        else:
            early += 1
        return Reply(b'{"msg": "Too many requests"}', status, headers())

    return answer


def by_date() -> dict[str, str]:
    # The server's clock is an hour ahead of ours: only the distance counts.
    now = time.time() + 3_600
    return {
        "Date": email.utils.formatdate(now, usegmt=True),
        "Retry-After": email.utils.formatdate(now + 2, usegmt=True),
    }


@pytest.mark.parametrize(
    ("status", "headers", "severity"),
    [
        (429, lambda: {"Retry-After": "2"}, "warning"),
        (429, by_date, "warning"),
        (418, lambda: {"Retry-After": "2"}, "error"),
    ],
    ids=["429 seconds", "429 date", "418"],
)
async def test_the_whole_desk_waits_as_told_and_no_other(
    server: RestServer, status: int, headers: Callable[[], dict[str, str]], severity: str
) -> None:
    server.answer = limited(status, headers, 1.95)
    async with (
        RestServer(lambda _: Reply(b"[2]")).running() as elsewhere,
        running(server, figures=replace(QUICK, at_once=1)) as desk,
        running(elsewhere, Market("two")) as other,
    ):
        for call in [*calls(5), *calls(3, "trades")]:
            desk.desk.submit(call)
        for call in calls(50):
            other.desk.submit(call)
        begun = time.monotonic()
        await other.answered(50)
        assert time.monotonic() - begun < 1.9
        assert len(desk.answers) == 0
        answers = await desk.answered(8)
        assert {answer.body for answer in answers} == {b'["0 came early"]'}
        [hit] = desk.told("rate_limit.hit")
        assert (hit.severity, hit.data["provider"], hit.data["banned"]) == (
            severity,
            "one-spot",
            status == 418,
        )
        assert not other.told("rate_limit.hit")


async def test_a_call_that_a_long_ban_outlasts_is_given_up(server: RestServer) -> None:
    server.answer = lambda _: Reply(b"{}", 418, {"Retry-After": "3600"})
    async with running(server, figures=replace(QUICK, patience_s=0.5)) as desk:
        for call in calls(30):
            desk.desk.submit(call)
        answers = await desk.answered(30)
        assert {answer.error for answer in answers} == {"the venue makes us wait; given up after 0.5 s"}
        assert len(server.paths) <= 10
        with pytest.raises(UnavailableError, match="given up"):
            await desk.desk.fetch(Call("instruments", "/exchangeInfo"))
        assert len(server.paths) <= 10


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_failing_venue_opens_its_breaker_and_no_other(server: RestServer, status: int) -> None:
    server.answer = lambda _: Reply(b"{}", status)
    figures = replace(QUICK, at_once=1, breaker=BreakerPolicy(open_s=60))
    async with (
        RestServer(lambda _: Reply(b"[2]")).running() as elsewhere,
        running(server, figures=figures) as desk,
        running(elsewhere, Market("two")) as other,
    ):
        for call in calls(4):
            desk.desk.submit(call)
        [first] = (await desk.answered(1))[:1]
        assert first.body is None
        assert str(status) in (first.error or "")
        assert server.paths[:3] == ["/book/0"] * 3
        async with asyncio.timeout(5.0):
            while not desk.told("circuit_breaker.open"):
                await asyncio.sleep(0.005)
        made = len(server.paths)
        assert made == 5
        for call in calls(50):
            other.desk.submit(call)
        await other.answered(50)
        await asyncio.sleep(0.2)
        assert len(server.paths) == made, "nothing is tried while it is open"
        gauge = REGISTRY.get_sample_value("kandle_breaker_state", {"provider": "one-spot"})
        assert gauge == 2
        assert not other.told("circuit_breaker.open")


async def test_a_venue_that_has_recovered_is_tried_again(server: RestServer) -> None:
    server.answer = lambda _: Reply(b"{}", 503) if len(server.paths) <= 5 else Reply(b"[1]")
    async with running(server, figures=replace(QUICK, at_once=1)) as desk:
        for call in calls(4):
            desk.desk.submit(call)
        answers = await desk.answered(4)
        assert desk.told("circuit_breaker.open")
        assert [answer.body for answer in answers] == [None, b"[1]", b"[1]", b"[1]"]
        assert desk.desk.guard.breaker.state == "closed"


async def test_a_venue_that_is_seen_again_is_called_at_once(server: RestServer) -> None:
    server.answer = lambda _: Reply(b"{}", 503)
    async with running(server, figures=replace(QUICK, breaker=BreakerPolicy(open_s=60))) as desk:
        for call in calls(10):
            desk.desk.submit(call)
        async with asyncio.timeout(5.0):
            while not desk.told("circuit_breaker.open"):
                await asyncio.sleep(0.005)
        server.answer = lambda _: Reply(b"[1]")
        desk.desk.retry_now()
        answers = await desk.answered(10)
    assert b"[1]" in {answer.body for answer in answers}


async def test_a_venue_that_stays_away_is_given_up_in_the_end(server: RestServer) -> None:
    server.answer = lambda _: Reply(b"{}", 503)
    async with running(server, figures=replace(QUICK, patience_s=1.0)) as desk:
        for call in calls(30):
            desk.desk.submit(call)
        answers = await desk.answered(30)
        assert {answer.body for answer in answers} == {None}
        assert len(server.paths) < 30


async def test_whatever_the_venue_does_every_call_is_answered_once(server: RestServer) -> None:
    draw = random.Random(7)
    replies = (
        *[Reply(b"[1]")] * 12,
        Reply(b"{}", 429, {"Retry-After": "0.05"}),
        Reply(b"{}", 500),
        Reply(b"{}", 404),
        Reply(b"<html>", headers={"Content-Type": "text/html"}),
        Reply(b"[1, 2]", cut=True),
        Reply(b"[1]", pause_s=0.01),
    )
    server.answer = lambda _: draw.choice(replies)
    figures = replace(QUICK, breaker=BreakerPolicy(open_s=0.1), queue=400)
    async with running(server, figures=figures) as desk:
        asked = [*calls(300), *calls(200, "trades"), *calls(100, "ticker")]
        draw.shuffle(asked)
        for call in asked:
            desk.desk.submit(call)
        answers = await desk.answered(600)
        await asyncio.sleep(0.2)
        assert len(desk.desk) == 0
    assert sorted(answer.call.path for answer in answers) == sorted(call.path for call in asked)
    assert all((answer.body is None) == (answer.error is not None) for answer in answers)
    assert sum(answer.body is not None for answer in answers) > 300


NO_ANSWERS = {
    "html": (Reply(b"<html>busy</html>", headers={"Content-Type": "text/html"}), 3, "instead of JSON"),
    "slow body": (Reply(b"[" + b" " * 200, portion_bytes=1, pause_s=0.05), 3, "within 0.2 s"),
    "gzip bomb": (
        Reply(gzip.compress(b"[" + b" " * 60_000_000), headers={"Content-Encoding": "gzip"}),
        1,
        "larger than",
    ),
    "redirect": (Reply(b"", 302, {"Location": "http://192.0.2.1/"}), 1, "not followed"),
    "refused": (Reply(b'{"msg": "Invalid symbol."}', 400), 1, "Invalid symbol"),
}


@pytest.mark.parametrize("name", NO_ANSWERS)
async def test_what_is_no_answer_is_given_up_and_the_others_go_on(server: RestServer, name: str) -> None:
    reply, attempts, words = NO_ANSWERS[name]
    server.answer = lambda path: reply if path == "/book/0" else Reply(b"[1]")
    figures = replace(QUICK, calls=replace(QUICK.calls, timeout_s=0.2))
    async with running(server, figures=figures) as desk:
        for call in calls(20):
            desk.desk.submit(call)
        answers = {answer.call.path: answer for answer in await desk.answered(20)}
    bad = answers.pop("/book/0")
    assert bad.body is None
    assert words in (bad.error or "")
    assert {answer.body for answer in answers.values()} == {b"[1]"}
    assert server.paths.count("/book/0") == attempts


async def test_the_queue_is_bounded_and_the_urgent_displace_the_others(server: RestServer) -> None:
    server.answer = lambda _: Reply(b"[1]", pause_s=0.05)
    async with running(server, figures=replace(QUICK, at_once=1, queue=3)) as desk:
        desk.desk.submit(Call("ticker", "/under-way"))
        await asyncio.sleep(0.02)
        for call in [*calls(5, "ticker"), *calls(2, "trades")]:
            desk.desk.submit(call)
        answers = await desk.answered(8)
    displaced = [answer.call.path for answer in answers if answer.error == "too many calls wait"]
    assert displaced == ["/ticker/3", "/ticker/4", "/ticker/2", "/ticker/1"]
    assert server.paths == ["/under-way", "/trades/0", "/trades/1", "/ticker/0"]


async def test_an_idle_desk_asks_whether_the_venue_is_there(server: RestServer) -> None:
    async with running(server, figures=replace(QUICK, health_every_s=0.1)) as desk:
        async with asyncio.timeout(5.0):
            while "/ping" not in server.paths:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        reachable = REGISTRY.get_sample_value("kandle_rest_reachable", {"provider": "one-spot"})
        assert (reachable, desk.answers) == (1, [])


async def test_a_stop_ends_calls_that_are_under_way(server: RestServer) -> None:
    server.answer = lambda _: Reply(b"[1]", pause_s=30)
    async with running(server) as desk:
        for call in calls(20):
            desk.desk.submit(call)
        await asyncio.sleep(0.05)
        begun = time.monotonic()
        desk.stop.set()
    assert time.monotonic() - begun < 5.0
    assert desk.answers == []


async def test_a_taker_that_raises_ends_the_desk(server: RestServer) -> None:
    def refuse(answer: Answer) -> None:
        raise LookupError(answer.call.path)

    desk = RestDesk(Market(), server.url, refuse, figures=QUICK)
    desk.submit(Call("book", "/depth"))
    with pytest.raises(LookupError, match="/depth"):
        await asyncio.wait_for(desk.run(asyncio.Event()), 5.0)
    await desk.close()
