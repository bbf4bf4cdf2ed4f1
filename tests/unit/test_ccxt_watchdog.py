"""When a stream of ccxt counts as hanging, and what is asked for beside it."""

import json
from typing import Any

import pytest

from producers.ccxt_feed.exchange import CcxtExchange, ccxt_exchange
from producers.ccxt_feed.watchdog import EVERY_S, FINE, Watchdog
from producers.exchange import Call
from schemas.errors import UnavailableError
from tests.unit.test_ccxt_unified import listed, market

TRADES = "trades/XXBTZUSD"
QUOTES = "quotes/XXBTZUSD"


class Told:
    """A desk that knows the answer."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] | None = []
        self.calls: list[Call] = []

    async def fetch(self, call: Call) -> bytes:
        self.calls.append(call)
        if self.rows is None:
            raise UnavailableError("away")
        return json.dumps({"data": self.rows}).encode()


def row(time_ms: int) -> dict[str, Any]:
    return {"id": str(time_ms), "timestamp": time_ms, "price": 1, "amount": 1}


@pytest.fixture
def watchdog() -> Watchdog:
    cls: type[CcxtExchange] = ccxt_exchange("kraken", "spot")
    found = Watchdog(cls(listed(cls, market()), ("trades", "quotes")), 1_000.0)
    found.begin([TRADES, QUOTES], 0.0)
    return found


def busy(watchdog: Watchdog, name: str, until_s: int = 30) -> None:
    """A message each second, whose trade is as old as the second."""
    for at_s in range(1, until_s + 1):
        watchdog.heard(name, float(at_s), [row(at_s * 1_000)] if name == TRADES else ())


async def test_a_stream_hangs_if_the_venue_has_trades_that_it_did_not_bring(watchdog: Watchdog) -> None:
    desk = Told()
    busy(watchdog, TRADES)
    assert await watchdog.judge(TRADES, 31.0, desk) == FINE
    desk.rows = [row(29_000), row(30_000), row(39_000)]
    found = await watchdog.judge(TRADES, 58.0, desk)
    assert found.why is not None
    assert "hangs" in found.why


async def test_a_quiet_symbol_does_not_hang(watchdog: Watchdog) -> None:
    desk = Told()
    busy(watchdog, TRADES)
    desk.rows = [row(30_000)]
    found = await watchdog.judge(TRADES, 58.0, desk)
    assert found.why is None
    assert len(desk.calls) == 1
    # Its silence is usual from now on: it is asked about no more than others.
    assert await watchdog.judge(TRADES, 59.0, desk) == FINE
    assert len(desk.calls) == 1


async def test_trades_are_asked_for_beside_a_busy_stream(watchdog: Watchdog) -> None:
    desk = Told()
    busy(watchdog, TRADES, int(EVERY_S) + 5)
    newest = (int(EVERY_S) + 5) * 1_000
    desk.rows = [row(newest - 1_500), row(newest), row(newest + 400)]
    at_s = 2 * EVERY_S + 10
    found = await watchdog.judge(TRADES, at_s, desk)
    assert found.why is None
    assert found.trades is not None
    # What the stream may yet bring is left to it.
    assert [one["timestamp"] for one in json.loads(found.trades)] == [newest - 1_500, newest]


async def test_a_stream_that_never_began_hangs_once_there_are_trades(watchdog: Watchdog) -> None:
    desk = Told()
    desk.rows = [row(1_000)]
    assert await watchdog.judge(TRADES, EVERY_S + 1, desk) == FINE
    assert await watchdog.judge(TRADES, 2 * EVERY_S + 2, desk) != FINE
    desk.rows = [row(1_000), row(90_000)]
    found = await watchdog.judge(TRADES, 3 * EVERY_S + 3, desk)
    assert found.why is not None


async def test_what_cannot_be_asked_for_is_judged_by_its_pace(watchdog: Watchdog) -> None:
    desk = Told()
    busy(watchdog, QUOTES)
    assert await watchdog.judge(QUOTES, 35.0, desk) == FINE
    found = await watchdog.judge(QUOTES, 58.0, desk)
    assert found.why is not None
    assert desk.calls == []
    assert await watchdog.judge(QUOTES, 59.0, desk) == FINE


async def test_nothing_is_said_while_the_venue_cannot_be_asked(watchdog: Watchdog) -> None:
    desk = Told()
    busy(watchdog, TRADES)
    desk.rows = None
    with pytest.raises(UnavailableError):
        await watchdog.judge(TRADES, 58.0, desk)


async def test_what_is_fed_no_longer_is_not_judged(watchdog: Watchdog) -> None:
    busy(watchdog, QUOTES)
    watchdog.forget(QUOTES)
    assert await watchdog.judge(QUOTES, 1_000.0, Told()) == FINE
