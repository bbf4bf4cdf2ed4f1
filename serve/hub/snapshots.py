"""What a client gets first: the newest of what is stored, and of what has passed since."""

import asyncio
import time
from typing import Any, Final

import psycopg

from infra.logging import get_logger
from schemas.errors import KandleError
from serve.hub.channels import CHANNELS, Channel, Data, Subscription, is_outdated
from serve.hub.hub import Hub
from serve.hub.outbox import Message, message
from serve.sources import LIVE_CANDLES, SOURCES
from serve.store import Range, Rows, Store

FRESH_S: Final = 1.0
"""Clients that subscribe to the same within this time share a question to the database."""
CACHED: Final = 2_000
PATIENCE_S: Final = 3.0
"""A database that has not answered by then is left out of a snapshot."""
log = get_logger(__name__)


class Snapshots:
    """Makes snapshots of subscriptions.

    Args:
        hub: Knows what has passed.
        store: Knows what was stored.
    """

    def __init__(self, hub: Hub, store: Store) -> None:
        self._hub = hub
        self._store = store
        self._stored: dict[Subscription, tuple[float, asyncio.Future[list[Data]]]] = {}

    async def of(self, subscription: Subscription) -> Message:
        """The snapshot of a subscription; without what is stored while the database is away."""
        channel = CHANNELS[subscription.channel]
        recent = self._hub.recent(subscription)
        stored: list[Data] = []
        if len(recent) < channel.snapshot or channel.newest_only:
            stored = await self._shared(subscription)
            recent = self._hub.recent(subscription)
        found = merged(channel, [*stored, *recent])
        if channel.name == "candles":
            for data in reversed(found):
                if data["closed"]:
                    self._hub.note_closed(subscription, data)
                    break
        return message("snapshot", subscription, data=found)

    async def _shared(self, subscription: Subscription) -> list[Data]:
        now = time.monotonic()
        known = self._stored.get(subscription)
        if known is None or known[0] < now:
            if len(self._stored) >= CACHED:
                self._stored.clear()
            asked = asyncio.ensure_future(self._ask(subscription))
            known = self._stored[subscription] = (now + FRESH_S, asked)
        return await asyncio.shield(known[1])

    async def _ask(self, subscription: Subscription) -> list[Data]:
        channel = CHANNELS[subscription.channel]
        wanted: dict[str, object] = {
            name: value
            for name, value in subscription._asdict().items()
            if name != "channel" and value is not None
        }
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._newest(channel, wanted)
        except (KandleError, psycopg.Error, TimeoutError) as error:
            log.warning("a snapshot lacks what is stored", channel=channel.name, error=repr(error))
            return []

    async def _newest(self, channel: Channel, wanted: dict[str, object]) -> list[Data]:
        rows, _ = await self._store.page(SOURCES[channel.name], wanted, Range(None, None, channel.snapshot))
        if channel.name != "candles":
            return rows
        still_open, _ = await self._store.page(LIVE_CANDLES, wanted, Range(None, None, 1))
        return _as_candles(rows) + _as_candles(still_open, closed=False)


def _as_candles(rows: Rows, *, closed: bool = True) -> list[Data]:
    shown: list[Data] = []
    for row in rows:
        data: dict[str, Any] = {
            name: value for name, value in row.items() if name not in {"vwap", "backfilled", "as_of"}
        }
        open_ones = {} if closed else {"complete": None, "revision": 0}
        shown.append({**data, **open_ones, "closed": closed, "as_of": row.get("as_of")})
    return shown


def merged(channel: Channel, found: list[Data]) -> list[Data]:
    """Each thing once, in its newest state, the newest ones, oldest first."""
    newest: dict[object, Data] = {}
    for data in found:
        identity = channel.identity(data)
        known = newest.get(identity)
        if known is None or not _is_older(channel, data, known):
            newest[identity] = data
    ordered = sorted(newest.values(), key=lambda data: data["time"])
    if channel.newest_only and ordered:
        return [data for data in ordered if data["time"] == ordered[-1]["time"]]
    return ordered[-channel.snapshot :]


def _is_older(channel: Channel, data: Data, than: Data) -> bool:
    if channel.name == "candles":
        return is_outdated(data, than)
    if "revision" in data:
        return bool(data["revision"] < than["revision"])
    return bool(data["time"] < than["time"])
