"""The replay itself: from a source to the topics of a namespace, exactly once through any interruption."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from backtest.replay.choice import SymbolChoice
from backtest.replay.flow import Flow
from backtest.replay.headers import HeaderWriter
from backtest.replay.pace import Pace, Turn
from backtest.replay.plan import Plan
from backtest.replay.source import MARKET, REFERENCE, REPLAYED, Partition, Portion, Source
from backtest.replay.standing import Standing, find_standing, log_bounds
from backtest.replay.together import together
from infra.kafka.admin import Admin
from infra.kafka.outgoing_records import OutgoingRecords
from infra.kafka.publisher import Publisher
from infra.settings import KafkaSettings
from schemas.errors import ConflictError
from schemas.namespace import Namespace

FLUSH_TIMEOUT_S: Final = 60.0
CLOSED: Final = int(np.iinfo(np.int64).max)
"""Position of the closing mark: nothing comes after it."""

_REFERENCE: Final = tuple(topic.base_name for topic in REFERENCE)
_MARKET: Final = tuple(topic.base_name for topic in MARKET)

Told = Callable[[int], None]
"""Called with the number of records, each time some were handed to Kafka."""


@dataclass(slots=True)
class Outcome:
    """What a replay did.

    Attributes:
        records: Records that were written, by base name of the topic, closing marks included.
        held: Records that were there before, of an interrupted run.
        seconds: From the first look at the topics to the last acknowledgement.
        is_complete: Whether it came to its end; else it was stopped and can go on.
    """

    records: Counter[str] = field(default_factory=Counter)
    held: int = 0
    seconds: float = 0.0
    is_complete: bool = False


class Replay:
    """Publishes what a source holds of a period.

    Args:
        kafka: Where the topics are made and written.
        source: Where the records come from.
        plan: Which replay it is; `plan.source` is the source's identity.
        namespace: Of the topics.
        pace: Its clock and controls.
        told: Is told of what was handed over.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        source: Source,
        plan: Plan,
        namespace: Namespace,
        pace: Pace,
        told: Told = lambda _: None,
    ) -> None:
        self._kafka = kafka.model_copy(update={"partitions": source.partition_count})
        self._source = source
        self._plan = plan
        self._namespace = namespace
        self._pace = pace
        self._told = told
        self._headers = HeaderWriter(plan.replay_id)
        self._partitions = [tp for tp in source.partitions if tp.topic in plan.topics]
        self.outcome = Outcome()

    async def run(self, stop: asyncio.Event) -> Outcome:
        """Replay what is not replayed yet, until the end or until `stop` is set.

        Raises:
            ConflictError: The topics hold another replay, or somebody else writes into them.
            UnavailableError: Kafka or the source is away.
            KandleError: The source is damaged or has changed.
        """
        began = time.monotonic()
        names = {tp.topic for tp in self._partitions}
        topics = [one.in_namespace(self._namespace) for one in REPLAYED if one.base_name in names]
        await asyncio.to_thread(lambda: Admin(self._kafka).ensure_topics(topics))
        stood = await find_standing(self._kafka, self._namespace, self._partitions, self._plan.replay_id)
        self.outcome.held = sum(one.end for one in stood.values())
        publisher = Publisher(self._kafka, client_id="kandle-replay")
        try:
            finished = await _unless(stop, self._publish_all(publisher, stood))
            await publisher.flush(FLUSH_TIMEOUT_S)
            self._count(publisher)
            self.outcome.seconds = time.monotonic() - began
            if finished:
                await self._check(stood)
        finally:
            await publisher.close()
        self.outcome.is_complete = finished
        return self.outcome

    async def _publish_all(self, publisher: Publisher, stood: Mapping[Partition, Standing]) -> None:
        after = {tp: one.position for tp, one in stood.items()}
        market = [tp for tp in self._partitions if tp.topic in _MARKET]
        open_ = [tp for tp in market if after[tp] != CLOSED]
        if market and not open_:
            return
        await self._publish(publisher, self._flow(_REFERENCE, after), is_paced=False)
        await publisher.flush(FLUSH_TIMEOUT_S)
        await self._publish(publisher, self._flow(_MARKET, after), is_paced=True)
        for tp in open_:
            closing = Portion.of(tp, CLOSED, [(0, self._plan.replay_id.encode(), self._plan.closing_mark())])
            await self._send(publisher, closing)

    def _flow(self, topics: Collection[str], after: Mapping[Partition, int]) -> Flow:
        wanted = [name for name in topics if name in self._plan.topics]
        streams = self._source.streams(wanted, self._plan.period, after) if wanted else []
        choice = None if self._plan.symbols is None else SymbolChoice(self._plan.symbols)
        return Flow(streams, self._plan.period.until, choice)

    async def _publish(self, publisher: Publisher, flow: Flow, *, is_paced: bool) -> None:
        merge = flow.merge
        try:
            while await flow.fill():
                due = merge.next_due
                if due is None:
                    continue
                turn = await self._pace.turn(due) if is_paced else Turn()
                portions = merge.take(turn.through, turn.count)
                await together(self._send(publisher, portion) for portion in portions)
                count = sum(map(len, portions))
                if is_paced and merge.newest_due is not None:
                    self._pace.went(count, merge.newest_due)
                self._told(count)
        finally:
            await flow.close()

    async def _send(self, publisher: Publisher, portion: Portion) -> None:
        records = OutgoingRecords(portion.keys, portion.values, self._headers.write(portion))
        topic, number = portion.partition
        await publisher.publish_columns(self._namespace.name_of(topic), number, records, kind=topic)

    def _count(self, publisher: Publisher) -> None:
        for topic in sorted({tp.topic for tp in self._partitions}):
            self.outcome.records[topic] = publisher.acknowledged(self._namespace.name_of(topic))

    async def _check(self, stood: Mapping[Partition, Standing]) -> None:
        """See that what was written stands once, and nothing besides.

        Raises:
            ConflictError: The topics hold more or less.
        """
        bounds = await asyncio.to_thread(
            lambda: log_bounds(Admin(self._kafka), self._namespace, self._partitions)
        )
        for topic, count in self.outcome.records.items():
            expected = count + sum(one.end for tp, one in stood.items() if tp.topic == topic)
            found = sum(end for tp, (_, end) in bounds.items() if tp.topic == topic)
            if found != expected:
                raise ConflictError(
                    f"{self._namespace.name_of(topic)} holds {found} records, {expected} were to be there: "
                    "another process writes into it. Stop that one, remove all (kandle replay --drop "
                    f"{self._namespace.prefix}) and replay again"
                )


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do some work; cut it off when `stop` is set. Whether it was finished."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        finished = working.done()
        if not finished:
            working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        return finished
    finally:
        stopping.cancel()
        working.cancel()
