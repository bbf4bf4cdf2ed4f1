"""The archive as a source: columns straight from Parquet, of the hours and row groups that can hold them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from backtest.sources.asked import Asked, Found, Kind
from backtest.sources.collection import Collection
from backtest.sources.rows import NONE, CandleRows, FundingRows, Ints, QuoteRows, TradeRows
from infra.settings import Settings
from schemas.errors import ConfigurationError
from schemas.identity import split_key
from schemas.records import BookUpdate, Candle, DerivativeTicker, Gap, Instrument, Quote, Record, Trade
from schemas.topics import BOOKS, CANDLES, DERIVATIVES, INSTRUMENTS, QUOTES, TRADES, Topic
from sinks.archive.store import Store, open_store

if TYPE_CHECKING:
    from pyarrow import Table  # type: ignore[import-untyped]

HOUR_US: Final = 3_600_000_000
THREADS: Final = 4
"""Files at once: what reads them works without the interpreter."""
_PARTS: Final[dict[Kind, tuple[Topic, type[Record]]]] = {
    "candles": (CANDLES, Candle),
    "trades": (TRADES, Trade),
    "quotes": (QUOTES, Quote),
    "books": (BOOKS, BookUpdate),
    "funding": (DERIVATIVES, DerivativeTicker),
}
_COLUMNS: Final[dict[type[Record], tuple[str, ...]]] = {
    Candle: (*("open_time", "interval", "open", "high", "low", "close", "volume", "revision"),),
    Trade: ("event_time", "price", "size", "side", "sequence"),
    Quote: ("event_time", "receive_time", "bid", "bid_size", "ask", "ask_size", "sequence"),
    DerivativeTicker: ("event_time", "receive_time", "funding_rate", "next_funding_time", "mark_price"),
}
_WORDS: Final = ("venue", "symbol", "side", "interval", "status", "kind")


def read_archive(settings: Settings, asked: Asked) -> Found:
    """What the archive that the settings name holds. Blocks.

    Raises:
        ConfigurationError: It does not hold what is asked for, or pyarrow is not installed.
        UnavailableError: The store does not answer.
    """
    return _Reading(open_store(settings), asked).run()


class _Reading:
    def __init__(self, store: Store, asked: Asked) -> None:
        self._store, self._asked = store, asked
        self._collection = Collection(asked)
        self._ids: dict[str, int] = {}

    def run(self) -> Found:
        held = self._store.folders("")
        parts = [_PARTS[kind] for kind in sorted(self._asked.kinds)]
        missing = [topic.name for topic, _ in parts if topic.name not in held and topic is not DERIVATIVES]
        if missing:
            raise ConfigurationError(
                f"the archive at {self._store.url} does not hold {', '.join(missing)}; it holds "
                f"{', '.join(held) or 'nothing yet'}"
            )
        with ThreadPoolExecutor(THREADS, "parquet") as threads:
            for topic, record in parts:
                for file in threads.map(
                    lambda path, of=record: self._tables(path, of), self._paths(topic, record)
                ):
                    for market, table in file:
                        self._add(market, record, table)
                self._collection.add_gaps(self._records(topic, Gap))
            self._collection.add_instruments(self._records(INSTRUMENTS, Instrument, always=True))
        return self._collection.found()

    def _paths(self, topic: Topic, record: type[Record], *, always: bool = False) -> list[str]:
        """Files of the hours that are asked for, in the order of the log."""
        root = f"{topic.name}/record={_name(record)}"
        found = []
        for day in self._store.folders(root):
            if not always and not self._overlaps(day, 24):
                continue
            for hour in self._store.folders(f"{root}/{day}"):
                if always or self._overlaps(f"{day}/{hour}", 1):
                    found += [path for path, _ in self._store.files(f"{root}/{day}/{hour}")]
        files = [path for path in found if path.endswith(".parquet")]
        return sorted(files, key=lambda path: path.rpartition("/")[2])

    def _overlaps(self, folder: str, hours: int) -> bool:
        """Whether a folder, as date=2024-08-09/hour=13, can hold rows of the time that is asked for."""
        day, _, hour = folder.partition("/")
        began = dt.datetime.fromisoformat(day.removeprefix("date=")).replace(tzinfo=dt.UTC)
        start = int(began.timestamp()) * 1_000_000 + int(hour.removeprefix("hour=") or 0) * HOUR_US
        return self._asked.since < start + hours * HOUR_US and start < self._asked.until

    def _tables(self, path: str, record: type[Record]) -> list[tuple[str, Table]]:
        """Rows of a file, by market."""
        import pyarrow as pa
        from pyarrow import parquet

        data = self._store.get(path)
        if data is None:
            return []  # was moved meanwhile: an archive that is being cleared
        metadata = parquet.read_metadata(pa.BufferReader(data))
        words = [name for name in _WORDS if name in metadata.schema.names]
        file = parquet.ParquetFile(pa.BufferReader(data), metadata=metadata, read_dictionary=words)
        names = [*_COLUMNS[record], "venue", "symbol"] if record in _COLUMNS else _fields(file)
        found = []
        for market in self._asked.markets:
            venue, symbol = split_key(market)
            groups = [
                number
                for number in range(file.num_row_groups)
                if _may_hold(file.metadata.row_group(number), {"venue": venue, "symbol": symbol})
            ]
            if not groups:
                continue
            table = _of_market(file.read_row_groups(groups, names), venue, symbol)
            if record is Trade and table.column("sequence").null_count:
                ids = file.read_row_groups(groups, ["trade_id", "venue", "symbol"])
                table = table.append_column("trade_id", _of_market(ids, venue, symbol).column("trade_id"))
            if table.num_rows:
                found.append((market, table))
        return found

    def _add(self, market: str, record: type[Record], table: Table) -> None:
        if record is BookUpdate:
            self._collection.add_books(_objects(table, BookUpdate))
        elif record is Trade:
            columns = [_numbers(table, name) for name in ("event_time", "price", "size")]
            columns += [_sides(table), _numbers(table, "sequence", NONE), self._codes(table)]
            self._collection.add(market, TradeRows(*columns))
        elif record is Quote:
            columns = [_first_of(table, "event_time", "receive_time")]
            columns += [_numbers(table, name, np.nan) for name in ("bid", "bid_size", "ask", "ask_size")]
            columns.append(_numbers(table, "sequence", NONE))
            self._collection.add(market, QuoteRows(*columns))
        elif record is Candle:
            names = ("open_time", "open", "high", "low", "close", "volume", "revision")
            columns = [_numbers(table, name) for name in names]
            wanted = _codes_of(table, "interval", self._asked.interval.name)
            self._collection.add(market, CandleRows(*columns).take(wanted))
        elif record is DerivativeTicker:
            columns = [_first_of(table, "event_time", "receive_time")]
            columns += [_numbers(table, "funding_rate", np.nan), _numbers(table, "next_funding_time", 0)]
            columns.append(_numbers(table, "mark_price", np.nan))
            self._collection.add(market, FundingRows(*columns))

    def _codes(self, table: Table) -> Ints:
        found = np.full(table.num_rows, NONE, np.int64)
        if "trade_id" in table.column_names:
            unnumbered = np.flatnonzero(np.asarray(table.column("sequence").is_null()))
            texts = table.column("trade_id").take(unnumbered).to_pylist()
            found[unnumbered] = [self._ids.setdefault(text, len(self._ids)) for text in texts]
        return found

    def _records(self, topic: Topic, record: type[Any], *, always: bool = False) -> Iterator[Any]:
        """Records of a topic that are few."""
        for path in self._paths(topic, record, always=always):
            for _, table in self._tables(path, record):
                yield from _objects(table, record)


def _name(record: type[Record]) -> str:
    from sinks.archive.fields import name_of

    return name_of(record)


def _fields(file: Any) -> list[str]:
    return [name for name in file.schema_arrow.names if not name.startswith("kafka_")]


def _may_hold(group: Any, texts: dict[str, str]) -> bool:
    """Whether a row group can hold rows with these texts, by the bounds that the file tells."""
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema in texts and column.statistics is not None and column.statistics.has_min_max:
            bounds = column.statistics
            if not bounds.min <= texts[column.path_in_schema] <= bounds.max:
                return False
    return True


def _of_market(table: Table, venue: str, symbol: str) -> Table:
    chosen = _codes_of(table, "venue", venue) & _codes_of(table, "symbol", symbol)
    return table if chosen.all() else table.filter(chosen)


def _codes_of(table: Table, name: str, text: str) -> Any:
    """Which rows have a text in a column of words."""
    coded = table.column(name).unify_dictionaries().combine_chunks()
    words: Sequence[str] = coded.dictionary.to_pylist()
    return np.asarray(coded.indices) == (words.index(text) if text in words else NONE)


def _sides(table: Table) -> Any:
    coded = table.column("side").unify_dictionaries().combine_chunks()
    signs = [{"buy": 1, "sell": -1}.get(word, 0) for word in coded.dictionary.to_pylist()]
    return np.array(signs, np.int8)[np.asarray(coded.indices)]


def _numbers(table: Table, name: str, none: float = 0) -> Any:
    import pyarrow as pa

    column = table.column(name)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    values = column.fill_null(none).to_numpy() if column.null_count else column.to_numpy()
    # What stands in Arrow's own memory is read-only, which compiled kernels refuse.
    return values if values.flags.writeable else values.copy()


def _first_of(table: Table, name: str, other: str) -> Any:
    return np.where(np.asarray(table.column(name).is_null()), _numbers(table, other), _numbers(table, name))


def _objects(table: Table, record: type[Any]) -> Iterable[Any]:
    import pyarrow as pa

    names = [name for name in record.__struct_fields__ if name in table.column_names]
    columns = []
    for name in names:
        column = table.column(name)
        columns.append(
            (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()
        )
    for values in zip(*columns, strict=True):
        yield record(**dict(zip(names, values, strict=True)))
