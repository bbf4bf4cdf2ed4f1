"""What a connection by ccxt does without a venue: bounded, refusing, lost."""

import asyncio

import pytest
from websockets.exceptions import ConnectionClosed

from producers.ccxt_feed import connection as module
from producers.ccxt_feed import polling
from producers.ccxt_feed.connection import CcxtConnection
from producers.ccxt_feed.exchange import CcxtExchange, ccxt_exchange
from producers.ccxt_feed.portions import Portions
from producers.ccxt_feed.watchdog import Watchdog
from producers.exchange import Channel, Control
from tests.unit.test_ccxt_unified import NOW, listed, market
from tests.unit.test_ccxt_watchdog import Told, row

PACE_MS = 100.0


def exchange_of(venue: str, *channels: Channel) -> CcxtExchange:
    cls = ccxt_exchange(venue, "spot")
    return cls(listed(cls, market()), channels)


def polling_of(exchange: CcxtExchange, desk: Told) -> CcxtConnection:
    return CcxtConnection(exchange, None, desk, Watchdog(exchange, PACE_MS), PACE_MS, asyncio.Event())


def request_of(exchange: CcxtExchange, subscribe: bool = True) -> str:
    (request,) = exchange.requests(exchange.streams(), 1, 0.0, subscribe)
    return request.text


async def frames_of(connection: CcxtConnection) -> list[bytes]:
    found: list[bytes] = []
    while (portion := await connection.next_portion(0.05)) is not None:
        found += portion.frames
    return found


async def test_what_is_polled_is_accepted_with_its_first_answer() -> None:
    exchange, desk = exchange_of("bitso", "trades"), Told()
    desk.rows = [row(1_700_000_000_000)]
    connection = polling_of(exchange, desk)
    await connection.send(request_of(exchange))
    data, word = await frames_of(connection)
    assert len(exchange.parse(data, NOW)) == 1
    assert exchange.parse(word, NOW) == [Control("accepted", 1)]
    await connection.send(request_of(exchange, subscribe=False))
    calls = len(desk.calls)
    await asyncio.sleep(0.1)
    assert len(desk.calls) == calls
    await connection.close()
    assert connection.backlog == 0


async def test_what_nobody_has_a_way_to_is_refused() -> None:
    exchange = exchange_of("bitso", "trades")
    stream = exchange.streams()[0]._replace(name="liquidations/XXBTZUSD", channel="liquidations")
    (request,) = exchange.requests([stream], 7, 0.0)
    connection = polling_of(exchange, Told())
    await connection.send(request.text)
    (word,) = await frames_of(connection)
    (control,) = exchange.parse(word, NOW)
    assert isinstance(control, Control)
    assert (control.kind, control.request) == ("refused", 7)
    assert "liquidations" in control.message
    await connection.close()


async def test_a_poll_that_keeps_failing_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "EVERY_S", {"trades": 0.01})
    exchange, desk = exchange_of("bitso", "trades"), Told()
    desk.rows = None
    connection = polling_of(exchange, desk)
    await connection.send(request_of(exchange))
    assert connection.is_lost
    assert len(desk.calls) == polling.ATTEMPTS
    with pytest.raises(ConnectionClosed):
        await connection.next_portion(0.01)
    assert "cannot be polled" in (connection.close_reason or "")
    await connection.close()


async def test_pages_that_do_not_meet_end_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "EVERY_S", {"trades": 0.01})
    exchange, desk = exchange_of("bitso", "trades"), Told()
    desk.rows = [row(1_700_000_000_000)]
    connection = polling_of(exchange, desk)
    await connection.send(request_of(exchange))
    desk.rows = [row(1_700_000_009_000)]
    async with asyncio.timeout(5):
        while not connection.is_lost:
            await asyncio.sleep(0.01)
    held = [
        portion.frames for portion in iter(lambda: connection.take() if connection.backlog else None, None)
    ]
    assert not any(b"9000" in frame for frames in held for frame in frames)
    await connection.close()


def test_what_nobody_takes_is_shed_the_oldest_first() -> None:
    portions = Portions(CcxtExchange.is_trade_frame, frames=10)
    for number in range(40):
        kind = "trades" if number % 2 else "quotes"
        portions.put(b'{"stream":"%b/X","data":%d}' % (kind.encode(), number), number, float(number // 2))
    assert portions.frames == 10
    assert portions.shed == {"trades": 15, "other": 15}
    assert portions.next_at_s == 15.0
    first = portions.take()
    assert (first.receive_time, len(first.frames)) == (30, 2)
    portions.clear()
    assert portions.frames == 0


async def test_the_end_of_a_feed_is_believed_of_a_simulator_alone() -> None:
    exchange = exchange_of("bitso", "trades")
    venue = polling_of(exchange, Told())
    venue.lose("a code of its own", module.END_OF_FEED)
    assert venue.close_code == module.ABNORMAL
    watchdog = Watchdog(exchange, PACE_MS)
    simulator = CcxtConnection(exchange, None, Told(), watchdog, PACE_MS, asyncio.Event(), simulated=True)
    simulator.lose("over", module.END_OF_FEED)
    assert simulator.close_code == module.END_OF_FEED
    await venue.close()
    await simulator.close()
