"""A channel whose library blocks: each attempt has a thread, which is watched and can be cut off."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from abc import abstractmethod
from typing import Final

from infra.outbound import OutboundPolicy
from infra.outbound_watch import OutboundWatch
from infra.secrets import MASK
from schemas.errors import CallTimeoutError, KandleError, UnavailableError
from sinks.notifications.channel import Channel, ChannelBusyError, ChannelRefusedError
from sinks.notifications.message import Message
from sinks.notifications.verdict import verdict_of_all

STUCK: Final = 8
"""Threads of one channel that may be left behind: the look-up of a name cannot be cut off."""


class WatchedChannel(Channel):
    """What blocking channels share.

    Args:
        kind: As `Channel.kind`.
        url: As of `Channel`.
        policy: Where it may connect to.
    """

    def __init__(self, kind: str, url: str, policy: OutboundPolicy) -> None:
        super().__init__(kind, url)
        self._policy = policy
        self._stuck: list[threading.Thread] = []

    @abstractmethod
    def deliver(self, message: Message, dedup_key: str, timeout_s: float, watch: OutboundWatch) -> None:
        """Deliver a message, in a thread; as `Channel.send`. The watch tells what servers have answered."""

    async def send(self, message: Message, dedup_key: str, timeout_s: float) -> None:
        """As `Channel.send`; when the time is over, its connections are ended."""
        self._stuck = [thread for thread in self._stuck if thread.is_alive()]
        if len(self._stuck) >= STUCK:
            raise UnavailableError(f"channel {self.name} still hangs in {len(self._stuck)} earlier attempts")
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[None] = loop.create_future()
        watch = OutboundWatch(self._policy)

        def settle(error: Exception | None) -> None:
            if outcome.done():
                return
            if error is None:
                outcome.set_result(None)
            else:
                outcome.set_exception(error)

        def work() -> None:
            error = self._attempt(message, dedup_key, timeout_s, watch)
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(settle, error)

        # A daemon: it must not hold up the end of the process.
        thread = threading.Thread(target=work, name=f"channel-{self.name}", daemon=True)
        thread.start()
        try:
            async with asyncio.timeout(timeout_s):
                await outcome
        except TimeoutError:
            seen = list(watch.answers)
            if seen and isinstance(error := verdict_of_all(seen, f"channel {self.name}"), ChannelBusyError):
                # The library waits by itself; we know better what else there is to do.
                raise error from None
            raise CallTimeoutError(f"channel {self.name} did not answer within {timeout_s:g} s") from None
        finally:
            if thread.is_alive():
                watch.cut()
                self._stuck.append(thread)

    def _attempt(
        self, message: Message, dedup_key: str, timeout_s: float, watch: OutboundWatch
    ) -> Exception | None:
        try:
            with watch:
                self.deliver(message, dedup_key, timeout_s, watch)
        except Exception as error:  # whatever a library raises is this channel's failure alone
            if watch.refusals:
                return ChannelRefusedError(f"channel {self.name}: {MASK.masked(watch.refusals[-1])}")
            if isinstance(error, KandleError):
                return error
            why = MASK.masked(str(error)) or type(error).__name__
            return UnavailableError(f"channel {self.name} failed: {why}")
        return None
