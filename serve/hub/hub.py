"""The core of all subscriptions: records come in once, and go to every client that has asked for them."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Final

import msgspec

from infra import metrics
from infra.logging import get_logger
from infra.settings import ServeSettings
from schemas import rows
from schemas.errors import ConflictError, DataError, ValidationError
from schemas.records import Record, TimeMark
from serve.hub.channels import CHANNELS, Data, Subscription, is_outdated, series_of, shown
from serve.hub.outbox import ClientKind, Message, Outbox, message

SWEEP_S: Final = 1.0
KEYS: Final = 50_000
"""Keys of which the last records are kept, at most."""
_MARK: Final = rows.encode(TimeMark("", "", 0, False, ""))[: rows.HEADER.size]
_encoder: Final = msgspec.json.Encoder()

log = get_logger(__name__)


class Hub:
    """Fans records out to the outboxes of clients; remembers the last ones of each key for snapshots.

    Values are decoded only if somebody has subscribed to them, and once, whoever many have. All calls come
    from one event loop.

    Args:
        settings: Bounds.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._channels = {topic.name: channel for channel in CHANNELS.values() for topic in channel.topics}
        self._readers: dict[Subscription, dict[Outbox, None]] = {}
        self._wanted: dict[str, dict[bytes, int]] = {name: {} for name in CHANNELS}
        self._recent: dict[tuple[str, bytes], deque[bytes]] = {}
        self._closed: dict[Subscription, Data] = {}
        self._clients: dict[Outbox, asyncio.Task[None]] = {}

    @property
    def topics(self) -> frozenset[str]:
        """Names of the topics that are to be read."""
        return frozenset(self._channels)

    @property
    def portion(self) -> int:
        """Records that may come at once: then whoever reads must run, or a burst is dropped for fast ones."""
        return max(self._settings.queue // 2, 1)

    def enter(self, task: "asyncio.Task[None]", kind: ClientKind = "websocket") -> Outbox:
        """A new client; `task` is cancelled when it takes nothing for too long.

        Args:
            task: Serves the client.
            kind: How it is connected, for the metrics.

        Raises:
            ConflictError: There are too many.
        """
        if len(self._clients) >= self._settings.clients:
            raise ConflictError(
                f"{self._settings.clients} clients are connected, as many as serve.clients allows"
            )
        outbox = Outbox(self._settings.queue, kind)
        self._clients[outbox] = task
        metrics.serving.CLIENTS.labels(kind).inc()
        return outbox

    def leave(self, outbox: Outbox) -> None:
        """A client has gone."""
        if self._clients.pop(outbox, None) is not None:
            metrics.serving.CLIENTS.labels(outbox.kind).dec()
        for subscription in [each for each, readers in self._readers.items() if outbox in readers]:
            self.unsubscribe(outbox, subscription)

    def subscribe(self, outbox: Outbox, subscription: Subscription) -> bool:
        """Send changes from now on, held back until the snapshot is there; false if it is subscribed to.

        Raises:
            ValidationError: The client has too many.
        """
        if outbox in self._readers.get(subscription, {}):
            return False
        if outbox.subscriptions >= self._settings.subscriptions:
            raise ValidationError(f"{self._settings.subscriptions} subscriptions of a connection are allowed")
        readers = self._readers.setdefault(subscription, {})
        if not readers:
            self._want(subscription, 1)
        outbox.subscriptions += 1
        readers[outbox] = None
        outbox.hold(subscription)
        return True

    def unsubscribe(self, outbox: Outbox, subscription: Subscription) -> bool:
        """Send no more; false if it was not subscribed to."""
        readers = self._readers.get(subscription, {})
        if outbox not in readers:
            return False
        del readers[outbox]
        outbox.subscriptions -= 1
        outbox.forget(subscription)
        if not readers:
            del self._readers[subscription]
            self._closed.pop(subscription, None)
            self._want(subscription, -1)
        return True

    def take(self, topic: str, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Records of a topic, in their order: key and value."""
        channel = self._channels[topic]
        wanted = self._wanted[channel.name]
        everything = b"" in wanted
        depth = min(channel.snapshot, 64)
        for key, value in records:
            if value[: rows.HEADER.size] == _MARK:
                continue
            place = (topic, key if channel.needs else b"")
            recent = self._recent.get(place)
            if recent is None:
                if len(self._recent) >= KEYS:
                    continue
                recent = self._recent[place] = deque(maxlen=depth)
            recent.append(value)
            if everything or key in wanted:
                self._send(channel.name, value)

    def recent(self, subscription: Subscription) -> list[Data]:
        """The last records of a subscription that have passed, oldest first, for a snapshot."""
        found: list[Data] = []
        for topic in CHANNELS[subscription.channel].topics:
            for key in _keys(subscription):
                for value in self._recent.get((topic.name, key), ()):
                    record = _decoded(value)
                    data = None if record is None else shown(record)
                    if record is not None and data is not None and _fits(subscription, record):
                        found.append(data)
        return found

    def note_closed(self, subscription: Subscription, data: Data) -> None:
        """The newest closed candle of a snapshot: open ones of its time are late."""
        known = self._closed.get(subscription)
        if subscription in self._readers and (known is None or known["time"] <= data["time"]):
            self._closed[subscription] = data

    async def sweep(self) -> None:
        """Disconnect clients that take nothing; runs until it is cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            oldest = time.monotonic() - self._settings.slow_client_s
            for outbox, task in list(self._clients.items()):
                if outbox.sending_since is not None and outbox.sending_since < oldest:
                    log.info("a client takes nothing and is disconnected", waiting=len(outbox))
                    metrics.serving.CLIENTS_DROPPED.labels(outbox.kind).inc()
                    outbox.given_up = True
                    task.cancel()

    def end(self) -> None:
        """The server stops: what waits for clients is the last that they get."""
        for outbox in self._clients:
            outbox.end()

    def figures(self) -> Mapping[str, int]:
        """Clients, subscriptions and messages that wait, now."""
        return {
            "clients": len(self._clients),
            "subscriptions": sum(map(len, self._readers.values())),
            "waiting": sum(map(len, self._clients)),
        }

    def _want(self, subscription: Subscription, by: int) -> None:
        wanted = self._wanted[subscription.channel]
        for key in _keys(subscription):
            wanted[key] = wanted.get(key, 0) + by
            if not wanted[key]:
                del wanted[key]

    def _send(self, channel: str, value: bytes) -> None:
        record = _decoded(value)
        data = None if record is None else shown(record)
        if record is None or data is None:
            return
        text: str | None = None
        for subscription in _meant(channel, record):
            readers = self._readers.get(subscription)
            if not readers:
                continue
            if channel == "candles" and not self._is_news(subscription, data):
                continue
            if text is None:
                text = _encoder.encode(data).decode()
            said = _change(subscription, text)
            for outbox in readers:
                outbox.change(subscription, data, said)

    def _is_news(self, subscription: Subscription, data: Data) -> bool:
        known = self._closed.get(subscription)
        if known is not None and data["time"] == known["time"] and is_outdated(data, known):
            return False
        if known is not None and data["time"] < known["time"] and not data["closed"]:
            return False
        if data["closed"] and (known is None or data["time"] >= known["time"]):
            self._closed[subscription] = data
        return True


_heads: dict[Subscription, str] = {}


def _change(subscription: Subscription, data: str) -> Message:
    head = _heads.get(subscription)
    if head is None:
        if len(_heads) > KEYS:
            _heads.clear()
        head = _heads[subscription] = message("change", subscription).text[:-1]
    return Message("change", f'{head},"data":{data}}}')


def _keys(subscription: Subscription) -> tuple[bytes, ...]:
    """The keys of records that may be of a subscription; an empty one: all."""
    if not CHANNELS[subscription.channel].needs:
        return (b"",)
    market = f"{subscription.venue}:{subscription.symbol}"
    if subscription.interval is None:
        return (market.encode(),)
    return (market.encode(), f"{market}:{subscription.interval}".encode())


def _meant(channel: str, record: Record) -> Iterable[Subscription]:
    """The subscriptions that a record may be of."""
    series = series_of(record)
    found = CHANNELS[channel]
    if found.needs:
        return (Subscription(channel, *series[: len(found.needs)]),)
    if not found.narrowed_by:
        return (Subscription(channel),)
    return (Subscription(channel, *choice) for choice in product(*((None, value) for value in series)))


def _fits(subscription: Subscription, record: Record) -> bool:
    return all(
        asked is None or asked == given
        for asked, given in zip(subscription[1:], series_of(record), strict=True)
    )


def _decoded(value: bytes) -> Record | None:
    try:
        return rows.decode(value)
    except DataError:
        # Whoever stores it puts it aside and says so.
        return None
