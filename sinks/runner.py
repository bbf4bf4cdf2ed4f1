"""Topics to one destination: take, decode, refuse, store with the positions, again until it holds.

While a portion is stored the next one is fetched and decoded. So transactions grow when the database is slow,
or much is coming in, and shrink when little is.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
from aiokafka import TopicPartition

from infra import metrics, tracing
from infra.backoff import FullJitter
from infra.kafka.admin import Admin
from infra.kafka.dead_letters import DeadLetters
from infra.kafka.reader import PositionGoneError
from infra.kafka.record_batches import read_records
from infra.logging import get_logger
from infra.metrics.stages import count_error
from infra.probes import READINESS
from infra.settings import Settings
from infra.tasks import until_one_ends
from schemas.columns import ColumnReader
from schemas.errors import KandleError, UnavailableError
from sinks.destination import Destination, Log, MovedError
from sinks.intake import Intake, Taken, group_of
from sinks.portion import Portion, Slice, refuse_undecodable
from sinks.positions import PositionLostError

INTERNED: Final = ("venue", "symbol", "interval", "source", "instance")
"""Texts with few values, of which the sinks want codes."""
PORTION_BYTES: Final = 16 * 1024 * 1024
"""Of one transaction, as Kafka holds them: rows may be long."""
SHOW_POSITIONS_EVERY_S: Final = 1.0
STOP_S: Final = 8.0
"""For what is stored at the end: who stops a process waits 10 s."""
RETRY_CAP_S: Final = 5.0
"""Longest pause between attempts: a database that is back is noticed within it."""

log = get_logger(__name__)


class _GivenUpError(Exception):
    """Storing has failed, and there is no time for another attempt."""


class Runner:
    """Feeds one destination, for ever.

    Args:
        settings: Where Kafka and the database are, and the size of portions.
        destination: Where to.
        dead_letters: For what is refused.
    """

    def __init__(self, settings: Settings, destination: Destination, dead_letters: DeadLetters) -> None:
        self._settings = settings
        self._destination = destination
        self._dead_letters = dead_letters
        self._topics = {topic.name: topic for topic in destination.topics}
        self._group = group = group_of(destination.name)
        self._tracer = tracing.current()
        self._intake = Intake(settings.kafka, self._topics, group, settings.sink.instance_id)
        self._columns = ColumnReader(interned=INTERNED)
        self._admin = Admin(settings.kafka)
        self._store_s = 0.0
        self._backoff = FullJitter(0.1, RETRY_CAP_S)
        self._blocked = metrics.sinks.SINK_BLOCKED.labels(destination.name)
        self._stage = f"sink-{destination.name}"
        self._stands_by = False
        self._stop = asyncio.Event()
        self._log = log.bind(sink=destination.name)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; what is being stored then is finished first.

        Raises:
            TopicReplacedError: A topic was deleted and made again.
            PositionLostError: The log no longer holds the stored offset.
            CorruptLogError: A record batch arrived damaged.
            DeadLetterRefused: A bad record could not be put aside.
            KandleError: Anything else that waiting does not mend.
        """
        metrics.stages.READY.labels(self._stage).set(0)
        self._blocked.set(0)
        READINESS.expect(self._stage)
        self._stop = stop
        await self._intake.start()
        try:
            await until_one_ends(
                {
                    f"{self._destination.name}-fetch": self._fetch(),
                    f"{self._destination.name}-store": self._store_all(stop),
                    f"{self._destination.name}-positions": self._show_positions(),
                }
            )
        except KandleError as error:
            self._blocked.set(1)
            count_error(self._stage, error)
            READINESS.set(self._stage, f"it has stopped ({error.code}), see the log")
            metrics.stages.READY.labels(self._stage).set(0)
            self._log.error("the sink stops, nothing was skipped", code=error.code, error=str(error))
            raise
        finally:
            await self._intake.stop()
            await self._destination.close()

    async def _fetch(self) -> None:
        try:
            await self._intake.run()
        except PositionGoneError as error:
            raise PositionLostError(
                f"{error}. To see what is lost and accept it: "
                f"kandle sink accept --sink {self._destination.name}"
            ) from error

    async def _store_all(self, stop: asyncio.Event) -> None:
        stopping = asyncio.create_task(stop.wait())
        upcoming = asyncio.create_task(self._next_portion())
        try:
            while True:
                await asyncio.wait({stopping, upcoming}, return_when=asyncio.FIRST_COMPLETED)
                if stop.is_set():
                    await self._store_gathered(upcoming)
                    return
                portion = upcoming.result()
                if self._intake.unready():
                    await self._make_ready()
                upcoming = asyncio.create_task(self._next_portion())
                if portion.slices:
                    async with self._intake.storing:
                        await self._store(portion)
        except _GivenUpError:
            self._log.info("stopping; what could not be stored is read again by the next")
        finally:
            for task in (stopping, upcoming):
                task.cancel()
            await asyncio.gather(stopping, upcoming, return_exceptions=True)

    async def _store_gathered(self, upcoming: asyncio.Task[Portion]) -> None:
        """At the end: what waits for company longer than a moment is stored without."""
        if self._destination.pace is None:
            return
        self._intake.hurry()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                portion = await upcoming
                if portion.slices and not self._intake.unready():
                    async with self._intake.storing:
                        await self._store(portion)

    async def _next_portion(self) -> Portion:
        pace = self._destination.pace
        if pace is not None:
            taken = await self._intake.take(pace.max_rows, pace.linger_s, pace.max_bytes)
        else:
            # Waiting for company pays while it is short beside the transaction that it may save.
            linger_s = min(self._settings.sink.flush_ms / 1000, 2 * self._store_s)
            taken = await self._intake.take(self._settings.sink.max_rows, linger_s, PORTION_BYTES)
        self._measure(taken)
        return await asyncio.to_thread(self._decode, taken)

    def _measure(self, taken: list[Taken]) -> None:
        batches = [batch for part in taken for batch in part.batches]
        if batches:
            size = sum(map(len, batches))
            metrics.stages.BYTES_FETCHED.labels(self._stage).inc(size)
            metrics.stages.BATCH_BYTES.labels(self._stage).observe(size)
            metrics.stages.BATCH_RECORDS.labels(self._stage).observe(sum(batch.count for batch in batches))

    def _decode(self, taken: list[Taken]) -> Portion:
        slices = []
        for part in taken:
            records = read_records(part.batches, part.position)
            records.raise_if_corrupt(part.ref.topic, part.ref.partition)
            columns = self._columns.read(records.data, records.value_start, records.value_length)
            slice_ = Slice(
                ref=part.ref,
                epoch=part.epoch,
                expected=part.position,
                next_offset=part.next_offset,
                records=records,
                columns=columns,
                good=np.ones(len(columns), np.bool_),
            )
            refuse_undecodable(slice_, self._topics[part.ref.topic].records)
            self._destination.inspect(slice_)
            slice_.unsent.sort()
            slices.append(slice_)
        return Portion(sorted(slices, key=lambda slice_: slice_.ref))

    async def _store(self, portion: Portion) -> None:
        """Store a portion, however long it takes, or leave it to the sink that has taken its partitions."""
        while True:
            portion.slices = [s for s in portion.slices if self._intake.is_current(s.ref, s.epoch)]
            if not portion.slices:
                return
            began, began_ns = time.perf_counter(), time.time_ns()
            try:
                await self._send_dead_letters(portion)
                await self._destination.store(portion)
            except MovedError:
                self._log.info("another sink has stored these records; reading on from where it got to")
                self._intake.hold_all()
                return
            except Exception as error:
                await self._wait(error)
                metrics.sinks.COMMIT_RETRIES.labels(self._destination.name).inc()
                portion.uncertain = True
                continue
            self._trace(portion, began_ns)
            self._stored_again()
            self._store_s = time.perf_counter() - began
            metrics.sinks.COMMIT_SECONDS.labels(self._destination.name).observe(self._store_s)
            metrics.sinks.LAST_COMMIT.labels(self._destination.name).set_to_current_time()
            for slice_ in portion.slices:
                self._intake.stored(slice_.ref, slice_.epoch, slice_.next_offset)
            return

    def _trace(self, portion: Portion, began_ns: int) -> None:
        """Take spans of the sampled records that were stored just now."""
        if self._tracer is None:
            return
        name = self._destination.name
        for slice_ in portion.slices:
            self._tracer.put_batch(
                "notify" if name == "notifications" else "store",
                slice_.records,
                (slice_.ref.topic, slice_.ref.partition),
                began_ns,
                f"sink {name}",
                {"messaging.consumer.group.name": self._group, "kandle.batch.records": len(slice_.records)},
                by_place=True,
            )

    async def _send_dead_letters(self, portion: Portion) -> None:
        """Put the refused records aside, acknowledged, before any offset moves."""
        if portion.dead_letters_sent:
            return
        for slice_ in portion.slices:
            while slice_.unsent:
                row, reason = slice_.unsent[0]
                await self._dead_letters.send(
                    slice_.ref.topic,
                    slice_.ref.partition,
                    int(slice_.records.offsets[row]),
                    slice_.records.key(row),
                    slice_.columns.value(row),
                    slice_.records.headers(row),
                    reason=reason,
                )
                slice_.unsent.pop(0)
        await self._dead_letters.settle()
        portion.dead_letters_sent = True

    async def _make_ready(self) -> None:
        """Ask the destination where the assigned partitions begin, and let them be read."""
        placed: set[TopicPartition] = set()
        while unready := self._intake.unready():
            try:
                await self._place(unready)
            except Exception as error:
                await self._wait(error)
            else:
                placed |= unready.keys()
                self._stored_again()
        if placed:
            self._log.info("ready", partitions=len(placed))
        metrics.stages.READY.labels(self._stage).set(1)

    async def _place(self, unready: Mapping[TopicPartition, int]) -> None:
        topics = sorted({partition.topic for partition in unready})
        kafka_ids = await asyncio.to_thread(self._admin.topic_ids, topics)
        logs = await asyncio.to_thread(self._logs, kafka_ids, unready)
        places = await self._destination.place(logs)
        # Who had them before may have stored since what came since.
        overtaken = [tp for tp in unready if places[tp].offset > logs[tp].end]
        if overtaken:
            logs |= await asyncio.to_thread(self._logs, kafka_ids, overtaken)
        for tp, epoch in unready.items():
            offset, held = places[tp].offset, logs[tp]
            if not held.first <= offset <= held.end:
                raise PositionLostError(
                    f"{self._destination.name} has stored {tp.topic}, partition {tp.partition}, up to offset "
                    f"{offset}; the log holds {held.first} to {held.end}. Records are missing: raise the "
                    "topic's retention, or bring the log back; or see what is lost and accept it: "
                    f"kandle sink accept --sink {self._destination.name} --topic {tp.topic}"
                )
            await self._intake.ready(tp, epoch, places[tp].ref, offset)

    def _logs(
        self, kafka_ids: Mapping[str, str], partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, Log]:
        ranges = self._admin.log_ranges([(tp.topic, tp.partition) for tp in partitions])
        return {TopicPartition(*tp): Log(kafka_ids[tp[0]], *held) for tp, held in ranges.items()}

    async def _wait(self, error: Exception) -> None:
        """Pause before the next attempt, if one can help.

        Raises:
            Exception: The error, if waiting does not mend it.
            _GivenUpError: We are told to stop.
        """
        if not (isinstance(error, UnavailableError) or self._destination.is_passing(error)):
            raise error
        known = error if isinstance(error, KandleError) else UnavailableError()
        count_error(self._stage, known)
        delay_s = self._backoff.next_delay_s()
        self._blocked.set(1)
        # What a driver says may name hosts and users, and whoever asks for readiness needs no token.
        READINESS.set(self._stage, f"it cannot store ({known.code}), see the log")
        say = self._log.warning if self._backoff.attempts == 1 else self._log.info
        say("storing has failed and is tried again", error=str(error).strip(), attempt=self._backoff.attempts)
        await self._destination.recover(error)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._stop.wait()
        if self._stop.is_set():
            raise _GivenUpError

    def _stored_again(self) -> None:
        self._backoff.reset()
        self._blocked.set(0)
        READINESS.set(self._stage)

    def _look_for_partitions(self) -> None:
        """Without any, since others have them all, the sink is ready: it handles whatever comes to it."""
        stands_by = self._intake.stands_by
        if stands_by and not self._stands_by:
            self._log.info("standing by, others have all partitions")
            self._stored_again()
            metrics.stages.READY.labels(self._stage).set(1)
        self._stands_by = stands_by

    async def _show_positions(self) -> None:
        pace = self._destination.pace
        while True:
            await asyncio.sleep(SHOW_POSITIONS_EVERY_S)
            self._look_for_partitions()
            for topic, age_s in self._intake.behind_s(0.0 if pace is None else pace.linger_s).items():
                metrics.stages.LAG_SECONDS.labels(self._stage, topic).set(age_s)
            metrics.stages.QUEUE_DEPTH.labels(self._stage).set(self._intake.rows)
            try:
                lag = await self._intake.show_positions()
            except UnavailableError as error:
                self._log.debug("the offsets for displays could not be committed", error=str(error))
                continue
            for topic, records in lag.items():
                metrics.stages.LAG_RECORDS.labels(self._stage, topic).set(records)
