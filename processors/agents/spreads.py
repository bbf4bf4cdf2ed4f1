"""The agent of venue prices: rules that compare venues; it runs only where the settings name such rules.

Prices and time marks in; signals, and marks under a source of their own, out to the topic of the signals.
"""

from __future__ import annotations

from faust.types import TP

from infra.kafka.dead_letters import DeadLetters
from infra.kafka.publisher import Publisher
from infra.kafka.record_batches import RawRecords
from infra.kafka.tally import Age
from infra.logging import get_logger
from infra.settings import Settings
from processors.agents.refusals import refuse, refuse_undecoded
from processors.agents.signal_headers import signal_headers
from processors.spreads.book import SpreadBook
from processors.spreads.plan import SpreadPlan
from schemas import rows
from schemas.columns import ColumnReader, Columns
from schemas.errors import ValidationError
from schemas.identity import market_key
from schemas.records import TimeMark, VenuePrice
from schemas.registry import ENTRIES
from schemas.topics import SIGNALS, VENUE_PRICES

_TAKEN = (VenuePrice, TimeMark)

log = get_logger(__name__)


class SpreadStep:
    """Folds the prices of a partition into signals; see `partitions.Step`.

    Args:
        settings: Which rules, and where.
        publisher: For signals, marks and dead letters.
    """

    name = "spreads"
    source = VENUE_PRICES

    def __init__(self, settings: Settings, publisher: Publisher) -> None:
        self._plan = SpreadPlan.of(settings)
        self.parameters = self._plan.digest
        self._publisher = publisher
        self._letters = DeadLetters(publisher, f"process-{self.name}")
        self._reader = ColumnReader(
            [entry for entry in ENTRIES if entry.record in _TAKEN], interned=("venue", "symbol", "interval")
        )

    @property
    def topic(self) -> str:
        """Name of the topic that is read."""
        return self.source.name

    def create(self, tp: TP) -> SpreadBook:
        """The state before the first record."""
        return SpreadBook(self._plan)

    async def fold(self, state: SpreadBook, tp: TP, records: RawRecords) -> bool:
        """Take records in; publish the signals that are due at marks, and marks after them."""
        columns = self._reader.read(records.data, records.value_start, records.value_length)
        await refuse_undecoded(self._letters, tp, records, columns)
        prices = dict(zip(columns.rows(VenuePrice).tolist(), _prices(columns), strict=True))
        given_up = state.counts.given_up
        for row in sorted([*prices, *columns.rows(TimeMark).tolist()]):
            if row in prices:
                state.take_price(prices[row])
                continue
            mark = rows.decode(columns.value(row))
            assert isinstance(mark, TimeMark)
            try:
                signals, forwarded = state.take_mark(mark)
            except ValidationError as error:
                await refuse(self._letters, tp, records, row, error)
                continue
            for signal in signals:
                key = market_key(signal.venue, signal.symbol)
                age, headers = Age("signal", signal.event_time), signal_headers(signal)
                await self._publisher.publish(SIGNALS.name, signal, key, tp.partition, headers, age=age)
            if forwarded is not None:
                await self._publisher.publish(SIGNALS.name, forwarded, partition=tp.partition)
        if state.counts.given_up > given_up:
            log.warning(
                "prices waited for a venue that does not come on, the oldest were given up",
                partition=tp.partition,
                prices=state.counts.given_up - given_up,
            )
        return bool(columns.column(TimeMark, "final").any())


def _prices(columns: Columns) -> list[VenuePrice]:
    """The prices of a batch, in order."""
    texts = []
    for name in ("venue", "symbol", "interval"):
        known = columns.reader.dictionaries[name].keys
        texts.append([known[code] for code in columns.dictionary(VenuePrice, name).tolist()])
    names = ("open_time", "close_time", "price", "revision", "complete")
    numbers = [columns.column(VenuePrice, name).tolist() for name in names]
    return [VenuePrice(*fields) for fields in zip(*texts, *numbers, strict=True)]
