"""The agents of flows: quotes, or order books, to values; they run only where the settings ask for flows.

Records, time marks and gaps in; values, and the same marks under a source of their own, out to the topic of
the indicators. Samples of books go to a topic of their own, with the marks as they are: there is no other way
into it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

from faust.types import TP

from infra.kafka.dead_letters import DeadLetters
from infra.kafka.publisher import Publisher
from infra.kafka.record_batches import RawRecords
from infra.settings import Settings
from processors.agents.refusals import refuse, refuse_undecoded
from processors.agents.writers import Message, indicator_bytes
from processors.flows.books import BookFlows
from processors.flows.plan import FlowPlan
from processors.flows.quotes import QuoteFlows
from processors.flows.values import FlowFold
from schemas import rows
from schemas.branches import Branch, forwarded
from schemas.columns import ColumnReader
from schemas.errors import ValidationError
from schemas.identity import market_key
from schemas.key_table import KeyTable
from schemas.records import BookUpdate, Gap, IndicatorValue, Quote, Record, TimeMark
from schemas.registry import ENTRIES
from schemas.topics import BOOK_SAMPLES, BOOKS, INDICATORS, QUOTES, Topic

BAD_KEY = "the key is not 'venue:symbol'"


S = TypeVar("S", QuoteFlows, BookFlows)


class FlowStep(ABC, Generic[S]):
    """Folds the records of one topic's partitions into flow values; see `partitions.Step`.

    Attributes:
        source: The topic that is read.
        record: What stands in it besides marks and gaps.
        branch: Whose marks these are in the topic of the indicators.

    Args:
        settings: Which flows, and of which markets.
        publisher: For values, marks and dead letters.
    """

    name: str
    source: ClassVar[Topic]
    record: ClassVar[type[Record]]
    branch: ClassVar[Branch]

    def __init__(self, settings: Settings, publisher: Publisher) -> None:
        self.plan = FlowPlan.of(settings.processors.flows, self.source)
        self.parameters = self.plan.digest
        self._publisher = publisher
        self._letters = DeadLetters(publisher, f"process-{self.name}")
        taken = (self.record, TimeMark, Gap)
        self._reader = ColumnReader([entry for entry in ENTRIES if entry.record in taken])
        self._keys = KeyTable()

    @property
    def topic(self) -> str:
        """Name of the topic that is read."""
        return self.source.name

    @abstractmethod
    def create(self, tp: TP) -> S:
        """The state before the first record."""

    async def fold(self, state: S, tp: TP, records: RawRecords) -> bool:
        """Take records in; publish the values that are due at marks, and each mark after them."""
        columns = self._reader.read(records.data, records.value_start, records.value_length)
        key_ids = self._keys.intern(records.data, records.key_start, records.key_length)
        folded = state.fold(columns, self._keys.keys, key_ids)
        await refuse_undecoded(self._letters, tp, records, columns)
        for row in folded.refused:
            await refuse(self._letters, tp, records, row, ValidationError(BAD_KEY))
        messages: list[Message] = []
        for mark, values in folded.sampled:
            messages += map(_message, values)
            messages.append((None, rows.encode(forwarded(mark, self.branch))))
        await self._publisher.publish_batch(
            INDICATORS.name, messages, kind=IndicatorValue.__name__, partition=tp.partition
        )
        await self._publish_books(tp, folded)
        return any(mark.final for mark, _ in folded.sampled)

    async def _publish_books(self, tp: TP, folded: FlowFold) -> None:
        """Publish the books that are due at marks, where a step has such."""


class QuoteStep(FlowStep[QuoteFlows]):
    """Quotes to flow values."""

    name = "quotes"
    source = QUOTES
    record = Quote
    branch = "quotes"

    def create(self, tp: TP) -> QuoteFlows:
        """The state before the first record."""
        return QuoteFlows(self.plan)


class BookStep(FlowStep[BookFlows]):
    """Order books to flow values."""

    name = "books"
    source = BOOKS
    record = BookUpdate
    branch = "books"

    def create(self, tp: TP) -> BookFlows:
        """The state before the first record."""
        return BookFlows(self.plan)

    async def _publish_books(self, tp: TP, folded: FlowFold) -> None:
        if not self.plan.samples_books:
            return
        messages: list[Message] = []
        for (mark, _), books in zip(folded.sampled, folded.books, strict=True):
            messages += ((market_key(book.venue, book.symbol).encode(), rows.encode(book)) for book in books)
            messages.append((None, rows.encode(mark)))
        await self._publisher.publish_batch(
            BOOK_SAMPLES.name, messages, kind=BookUpdate.__name__, partition=tp.partition
        )


def _message(value: IndicatorValue) -> Message:
    return market_key(value.venue, value.symbol).encode(), indicator_bytes(value)
