"""One task a channel: take what waits for it, send, retry, settle."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from infra import metrics, tracing
from infra.backoff import FullJitter
from infra.clock import Clock
from infra.kafka.dead_letters import DeadLetters
from infra.kafka.event_headers import event_headers
from infra.kafka.publisher import Headers, Publisher
from infra.logging import get_logger
from infra.settings import ChannelLimits, QuietHours
from schemas import rows, topics
from schemas.errors import BreakerOpenError, ConflictError, DataError, KandleError, UnavailableError
from schemas.records import Notification, Signal, SystemEvent
from sinks.database import Connection, is_passing
from sinks.notifications import outbox
from sinks.notifications.causality import delivering
from sinks.notifications.channel import Channel, ChannelBusyError, ChannelRefusedError
from sinks.notifications.channel_locks import ChannelLocks, ServedElsewhereError
from sinks.notifications.gate import Gate
from sinks.notifications.message import SHOWN, SHOWN_OF_DIGEST, Message, Templates
from sinks.notifications.occasion import Occasion, occasion_of
from sinks.notifications.parcels import OUTCOMES, Cause, Outcome, Parcel, Parcels
from sinks.notifications.plan import Claim, plan
from sinks.notifications.quiet_hours import quiet_until
from sinks.notifications.told import notification_of, suspension_of

LOOK_EVERY_S: Final = 1.0
"""How often a channel looks for what nobody tells it of: left by another process, or due by now."""
RETRY_CAP_S: Final = 5.0
DEAD_LETTERS_AT_ONCE: Final = 500

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Means:
    """What all channels of a process share.

    Attributes:
        locks: The ledger, and who serves a channel.
        templates: What messages say.
        publisher: For the records that say what was sent.
        dead_letters: For what a channel does not take.
        clock: For quiet hours and the age of what is told.
    """

    locks: ChannelLocks
    templates: Templates
    publisher: Publisher
    dead_letters: DeadLetters
    clock: Clock


class Delivery:
    """Delivers to one channel. Several processes may serve a channel: one does, the others stand by.

    Args:
        name: Of the channel.
        channel: Where to.
        sink: Name of the sink whose totals count what was told.
        limits: Of the channel.
        quiet: Quiet hours by the name of the rule that has them.
        means: What it works with.
    """

    def __init__(
        self,
        name: str,
        channel: Channel,
        sink: str,
        limits: ChannelLimits,
        quiet: Mapping[str, QuietHours],
        means: Means,
    ) -> None:
        self._name = name
        self._channel = channel
        self._limits = limits
        self._quiet: list[tuple[str | None, QuietHours]] = [*quiet.items()]
        if limits.quiet is not None:
            self._quiet.append((None, limits.quiet))
        self._means = means
        self._parcels = Parcels(sink, name)
        self._gate = Gate(name, limits, self._note_suspension)
        self._wake = asyncio.Event()
        self._taken: dict[str, tuple[Parcel, Notification, Headers]] = {}
        self._tracer = tracing.current()
        self._sink = sink
        self._waited = False
        self._suspended = False
        self._patience = FullJitter(0.2, RETRY_CAP_S)
        self._log = log.bind(channel=name)
        self.ended = False
        """Whether a feed has ended, so that no window of folding is waited for."""

    def wake(self) -> None:
        """Something was queued."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver for ever; waits for a database or a Kafka that is away.

        Raises:
            KandleError: A dead letter or a record of a notification was refused.
        """
        while True:
            try:
                await self._work()
            except ServedElsewhereError:
                # Whoever has the channel now sends what we had under way, with the same key.
                self._taken.clear()
                await asyncio.sleep(LOOK_EVERY_S)
            except Exception as error:
                if not is_passing(error):
                    raise
                self._log.info("notifications wait", error=str(error).strip())
                await asyncio.sleep(self._patience.next_delay_s())

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            for key in list(self._taken):
                await self._settle_taken(key)
            if (delay_s := self._gate.delay_s) > 0:
                self._waited = True
                await asyncio.sleep(delay_s)
                continue
            parcels = await self._take_up()
            self._patience.reset()
            if parcels:
                ends = await asyncio.gather(
                    *(self._attempt(parcel) for parcel in parcels), return_exceptions=True
                )
                for end in ends:
                    if end is not None:
                        raise end
                continue
            try:
                await asyncio.wait_for(self._wake.wait(), LOOK_EVERY_S)
            except TimeoutError:
                continue

    async def _take_up(self) -> list[Parcel]:
        """The messages to send now: those under way first, else those that are made of what waits."""
        async with self._means.locks.holding(self._name) as db:
            room = self._gate.room
            if parcels := await self._parcels.under_way(db, room):
                return parcels
            async with db.transaction():
                # One view of the ledger: what is queued meanwhile has not passed the quiet hours yet.
                await db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                claims = await self._plan(db, room)
            return await self._parcels.under_way(db, room) if claims else []

    async def _plan(self, db: Connection, room: int) -> list[Claim]:
        """Hold what quiet hours concern, and write down the messages to make of the rest."""
        now_us = self._means.clock.now_us()
        for rule, quiet in self._quiet:
            until_us = quiet_until(quiet, now_us)
            if until_us is not None:
                count = await outbox.keep_quiet(db, self._name, quiet, now_us, until_us, rule)
                outcome = "held" if quiet.mode == "hold" else "suppressed"
                metrics.notifications.NOTIFICATION_CAUSES.labels(self._name, outcome).inc(count)
        backlog = await outbox.backlog(db, self._name, now_us, self._limits, ended=self.ended)
        claims = plan(
            backlog.groups,
            backlog.late,
            now_us,
            self._limits,
            together=self._waited,
            ended=self.ended,
            room=room,
        )
        self._waited = False
        for claim in claims:
            await outbox.claim(db, self._name, claim, now_us, self._limits)
        return claims

    async def _attempt(self, parcel: Parcel) -> None:
        """Send a message once."""
        if parcel.attempts >= self._limits.attempts:
            await self._give_up(parcel, UnavailableError(f"channel {self._name} has failed too often"))
            return
        try:
            cause, message = await self._message(parcel)
        except DataError as error:
            await self._give_up(parcel, error)
            return
        on_trial, key = self._gate.is_on_trial, f"{self._name}/{parcel.key}"
        try:
            with delivering(self._tracer, cause, self._sink, self._name) as headers:
                await self._gate.send(lambda left_s: self._channel.send(message, key, left_s))
        except BreakerOpenError:
            return
        except (UnavailableError, ChannelRefusedError) as error:
            metrics.notifications.NOTIFICATION_ERRORS.labels(self._name).inc()
            await self._tell_suspension(parcel, error)
            if isinstance(error, ChannelRefusedError):
                await self._give_up(parcel, error)
            elif not isinstance(error, ChannelBusyError):  # one that asks us to wait works
                await self._failed(parcel, error, on_trial=on_trial)
            return
        metrics.notifications.NOTIFICATIONS_SENT.labels(self._name).inc()
        record = notification_of(self._occasion(cause), self._name, parcel.key, message)
        told = [*event_headers(record, f"notifications/{self._name}"), *headers]
        self._taken[parcel.key] = parcel, record, told
        await self._settle_taken(parcel.key)

    async def _message(self, parcel: Parcel) -> tuple[Cause, Message]:
        """The first cause that a message tells of, and what it says."""
        most = SHOWN_OF_DIGEST if parcel.form == "digest" else SHOWN
        async with self._means.locks.holding(self._name) as db:
            causes = await self._parcels.ends(db, parcel, most)
        if not causes:
            raise ServedElsewhereError(f"another process has settled {parcel.key}")
        occasions = [self._occasion(cause) for cause in causes]
        templates, kind = self._means.templates, self._channel.kind
        match parcel.form:
            case "single":
                message = templates.render(occasions[0], kind)
            case "folded":
                message = templates.render_many(occasions, parcel.count, kind)
            case "digest":
                message = templates.render_digest(occasions, kind, parcel.count)
        return causes[0], message

    def _occasion(self, cause: Cause) -> Occasion:
        record = rows.decode(cause.value)
        if not isinstance(record, Signal | SystemEvent):
            raise ConflictError(f"the ledger holds a {type(record).__name__} as cause {cause.id}")
        return occasion_of(record)

    async def _settle_taken(self, key: str) -> None:
        """Publish and write down that the channel took a message; again until it holds, never sent again."""
        parcel, record, headers = self._taken[key]
        await self._means.publisher.publish(topics.NOTIFICATIONS.name, record, key=record.id, headers=headers)
        await self._means.publisher.flush()
        await self._settle(parcel, OUTCOMES[parcel.form])
        del self._taken[key]

    async def _settle(self, parcel: Parcel, outcome: Outcome) -> None:
        async with self._means.locks.holding(self._name) as db:
            count = await self._parcels.settle(db, parcel, outcome)
        metrics.notifications.NOTIFICATION_CAUSES.labels(self._name, outcome).inc(count)

    async def _failed(self, parcel: Parcel, error: KandleError, *, on_trial: bool) -> None:
        """Count a failure. One on trial is a failure of all that is under way: each would have met it."""
        async with self._means.locks.holding(self._name) as db:
            tried = await self._parcels.under_way(db, self._limits.at_once) if on_trial else [parcel]
            await self._parcels.failed(db, tried)
        for each in tried:
            if each.attempts + 1 >= self._limits.attempts:
                await self._give_up(each, error)

    async def _give_up(self, parcel: Parcel, error: KandleError) -> None:
        """Put all causes of a message aside, acknowledged, then settle it."""
        self._log.warning(
            "a notification was given up",
            message=parcel.key,
            causes=parcel.count,
            attempts=parcel.attempts + 1,
            error=str(error),
        )
        last: Cause | None = None
        while True:
            async with self._means.locks.holding(self._name) as db:
                causes = await self._parcels.after(db, parcel, last, DEAD_LETTERS_AT_ONCE)
            for cause in causes:
                ref = cause.ref
                await self._means.dead_letters.send(
                    ref.topic, ref.partition, cause.offset, cause.key, cause.value, cause.headers, error
                )
            if len(causes) < DEAD_LETTERS_AT_ONCE:
                break
            last = causes[-1]
        await self._means.dead_letters.settle()
        await self._settle(parcel, "dead_letter")

    def _note_suspension(self) -> None:
        self._suspended = True

    async def _tell_suspension(self, parcel: Parcel, error: KandleError) -> None:
        """Publish, once, that the channel is suspended: other channels may tell of it."""
        if not self._suspended:
            return
        self._suspended = False
        self._log.warning("messages are suspended, since too many have failed", error=str(error))
        event = suspension_of(self._name, parcel.key, error, self._means.clock.now_us())
        headers = event_headers(event, event.source)
        await self._means.publisher.publish(
            topics.SYSTEM_EVENTS.name, event, key=event.source, headers=headers
        )
