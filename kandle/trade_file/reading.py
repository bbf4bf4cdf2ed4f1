"""Reads a file of trades in portions: CSV with a header or JSON lines, plain or gzipped."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any, Final

import msgspec
import numpy as np

from kandle.text_files import text_of
from kandle.trade_file.errors import TradeFileError
from kandle.trade_file.fields import find_fields
from kandle.trade_file.values import (
    Floats,
    Ints,
    Value,
    ids_of,
    prices_of,
    sides_of,
    sides_of_makers,
    sides_of_types,
    sizes_of,
    texts_of,
    times_of,
)

PORTION: Final = 50_000
"""Lines that are converted at once."""
LONGEST_LINE: Final = 1 << 20

_DELIMITERS: Final = ",;\t|"


@dataclass(frozen=True, slots=True)
class TradePart:
    """Some trades, in the order of the file.

    Attributes:
        lines: Where each stands, from 1.
        times: Microseconds since the epoch.
        prices: Above 0.
        sizes: 0 or more.
        sides: Aggressor, 1: buy, 2: sell, 0: not known.
        ids: Numbers, -1: none; or texts, empty: none.
        symbols: None where the file has none.
        venues: Likewise.
    """

    lines: Ints
    times: Ints
    prices: Floats
    sizes: Floats
    sides: Ints
    ids: Ints | list[str]
    symbols: list[str] | None
    venues: list[str] | None


BadLine = Callable[[int, str], None]


def read_trades(file: IO[bytes], name: str, on_bad: BadLine) -> Iterator[TradePart]:
    """The trades of a file.

    Args:
        file: Of bytes; need not be seekable.
        name: Of the file, for messages.
        on_bad: Called with the number of a line that is no trade, and why; it raises, or the line is left
            out.

    Raises:
        TradeFileError: The file has no header or not the fields that a trade needs, or is damaged.
    """
    try:
        with text_of(file) as text:
            yield from _Reader(name, on_bad).parts(text)
    except (EOFError, OSError, UnicodeDecodeError, csv.Error) as error:
        raise TradeFileError(f"{name} cannot be read: {error}") from None


class _Reader:
    def __init__(self, name: str, on_bad: BadLine) -> None:
        self._name, self._on_bad = name, on_bad

    def parts(self, text: IO[str]) -> Iterator[TradePart]:
        number, first = 0, ""
        while not first.strip():
            first = text.readline(LONGEST_LINE)
            number += 1
            if not first:
                return
        if first.lstrip().startswith("{"):
            return (yield from self._json(text, first, number))
        if first.lstrip().startswith("["):
            raise TradeFileError(f"{self._name}: expected one JSON object a line, got a list")
        delimiter = max(_DELIMITERS, key=first.count)
        header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter))]
        try:
            fields = find_fields(header)
        except TradeFileError as error:
            raise TradeFileError(f"{self._name}, header: {error}") from None
        places = {field: header.index(name) for field, name in fields.items()}
        rows = csv.reader(text, delimiter=delimiter)
        while portion := list(islice(rows, PORTION)):
            lines = list(range(number + 1, number + 1 + len(portion)))
            number += len(portion)
            yield from self._convert(
                [(line, row) for line, row in zip(lines, portion, strict=True) if any(map(str.strip, row))],
                lambda chosen: _columns_of_lists(chosen, places, len(header)),
            )

    def _json(self, text: IO[str], first: str, number: int) -> Iterator[TradePart]:
        # Numbers with a point stay texts: a time in fractions of a second keeps all its digits.
        decoder = msgspec.json.Decoder(float_hook=str)
        portion = [first, *islice(text, PORTION)]
        while portion:
            lines = [(number + at, line) for at, line in enumerate(portion) if not line.isspace()]
            number += len(portion)
            yield from self._convert(lines, lambda chosen: _columns_of_objects(chosen, decoder))
            portion = list(islice(text, PORTION))

    def _convert(
        self, rows: Sequence[tuple[int, Any]], columns_of: Callable[[list[Any]], dict[str, list[Value]]]
    ) -> Iterator[TradePart]:
        """Trades of some rows; where one is bad, the others in parts before and after it."""
        if not rows:
            return
        try:
            columns = columns_of([row for _, row in rows])
            part = part_of([line for line, _ in rows], columns)
        except (ValueError, TradeFileError) as error:
            if len(rows) == 1:
                self._on_bad(rows[0][0], str(error))
                return
            middle = len(rows) // 2
            yield from self._convert(rows[:middle], columns_of)
            yield from self._convert(rows[middle:], columns_of)
        else:
            yield part


def part_of(lines: Sequence[int], columns: Mapping[str, Sequence[Value]]) -> TradePart:
    """Trades of columns by field.

    Raises:
        ValueError: A value does not fit.
    """
    count = len(lines)
    sides = np.zeros(count, np.int64)
    if "side" in columns:
        sides = sides_of(columns["side"])
    elif "maker" in columns:
        sides = sides_of_makers(columns["maker"])
    elif "type" in columns:
        sides = sides_of_types(columns["type"])
    return TradePart(
        np.array(lines, np.int64),
        times_of(columns["time"]),
        prices_of(columns["price"]),
        sizes_of(columns["size"]),
        sides,
        ids_of(columns["id"]) if "id" in columns else np.full(count, -1, np.int64),
        texts_of(columns["symbol"]) if "symbol" in columns else None,
        texts_of(columns["venue"]) if "venue" in columns else None,
    )


def _columns_of_lists(
    rows: Sequence[Sequence[str]], places: Mapping[str, int], width: int
) -> dict[str, list[Value]]:
    wrong = next((row for row in rows if len(row) != width), None)
    if wrong is not None:
        raise ValueError(f"expected {width} values as in the header, got {len(wrong)}")
    return {field: [row[place] for row in rows] for field, place in places.items()}


def _columns_of_objects(lines: Sequence[str], decoder: msgspec.json.Decoder[Any]) -> dict[str, list[Value]]:
    try:
        rows = [decoder.decode(line) for line in lines]
    except msgspec.DecodeError as error:
        raise ValueError(f"no JSON: {error}") from None
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("expected a JSON object")
    fields = find_fields(dict.fromkeys(name for row in rows for name in row))
    return {field: [row.get(name) for row in rows] for field, name in fields.items()}
