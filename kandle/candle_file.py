"""Candles from a file: CSV with a header or JSON lines, under the names that exports usually give them."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise
from math import isfinite
from typing import IO, Any, Final, TextIO

import msgspec

from kandle.text_files import text_of
from kandle.times import format_time, parse_time
from schemas.errors import ValidationError

ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "time": (
        *("time", "opentime", "timestamp", "datetime", "date", "timeopen", "ts", "unix", "unixtime"),
        *("t", "starttime", "start", "begin", "closetime", ""),
    ),
    "open": ("open", "openprice", "o", "first"),
    "high": ("high", "highprice", "h", "max"),
    "low": ("low", "lowprice", "l", "min"),
    "close": ("close", "closeprice", "c", "last", "closelast", "price"),
    "volume": ("volume", "vol", "v", "basevolume", "volumebase", "amount", "quantity"),
}
"""Names of columns, lower case without blanks and punctuation, the best first; an index may have none."""

_EXPECTED: Final = "a header, for example time,open,high,low,close,volume"
_MISSING: Final = frozenset(("", "null", "nan", "none"))
_DELIMITERS: Final = ",;\t|"


class CandleFileError(ValidationError):
    """A file, or a line of it, cannot be read as candles; the user can mend it."""

    code = "CANDLE_FILE"
    exit_code = 2


class FileCandle:
    """A candle of a file, as an indicator sees it; asked for what the file does not hold, it raises."""

    __slots__ = ("close", "high", "line", "low", "open", "open_time", "volume", "where")

    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    def __init__(self, where: str, line: int) -> None:
        self.where = where
        self.line = line

    def __getattr__(self, name: str) -> float:
        """Called for what has no value.

        Raises:
            CandleFileError: The field is not in the file, or empty at this line.
        """
        if name not in ALIASES:
            raise AttributeError(name)
        raise CandleFileError(
            f"{self.where}, line {self.line}: no {name}, which the indicator needs; "
            f"a column of it is named, for example, {', '.join(ALIASES[name][:3])}"
        )


Row = tuple[int, Sequence[Any]]
"""The line of a row in its file, and its values; the first row is the header."""


def read_candles(file: IO[bytes], name: str) -> Sequence[FileCandle]:
    """The candles of a file, in order of time. May block.

    Args:
        file: Of bytes; need not be seekable.
        name: Of the file, for messages.

    Raises:
        CandleFileError: There is no header or no time, or a line is no candle, or times neither rise nor
            fall throughout.
    """
    try:
        with text_of(file) as text:
            return candles_of(_rows(text, name), name)
    except (EOFError, OSError, UnicodeDecodeError, csv.Error) as error:
        raise CandleFileError(f"{name} cannot be read: {error}") from None


def candles_of(rows: Iterator[Row], name: str) -> Sequence[FileCandle]:
    """The candles of rows under a header, in order of time.

    Raises:
        CandleFileError: As `read_candles`.
    """
    found = list(_candles(rows, name))
    if len(found) > 1 and found[0].open_time > found[-1].open_time:  # newest first, as many exports are
        found.reverse()
    for before, after in pairwise(found):
        if before.open_time >= after.open_time:
            at = max(before, after, key=lambda candle: candle.line)
            other = before if at is after else after
            relation = "the same as" if before.open_time == after.open_time else "out of order with"
            raise CandleFileError(
                f"{name}, line {at.line}: time {format_time(at.open_time)} is {relation} that of line "
                f"{other.line}; a file holds the candles of one series, sorted by time"
            )
    return found


def has_candles(header: Sequence[str]) -> bool:
    """Whether names of columns are those of candles, not of trades: prices of several kinds."""
    plain = {_plain(title) for title in header} | {_plain(title.rpartition(".")[2]) for title in header}
    return all(plain & set(ALIASES[name]) for name in ("open", "high", "low"))


def _candles(rows: Iterator[Row], name: str) -> Iterator[FileCandle]:
    _, header = next(rows, (0, None))
    if header is None:
        raise CandleFileError(f"{name} is empty; expected {_EXPECTED}")
    places = _places([str(title) for title in header], name)
    for line, row in rows:
        if len(row) != len(header):
            raise CandleFileError(
                f"{name}, line {line}: expected {len(header)} values as in the header, got {len(row)}"
            )
        candle = FileCandle(name, line)
        try:
            candle.open_time = parse_time(str(row[places["time"]]))
            format_time(candle.open_time)
            for field, place in places.items():
                if field != "time" and str(row[place]).lower() not in _MISSING:
                    setattr(candle, field, _number(field, row[place]))
        except ValueError as error:
            raise CandleFileError(f"{name}, line {line}: {error}") from None
        yield candle


def _rows(text: TextIO, name: str) -> Iterator[tuple[int, Sequence[Any]]]:
    """The header, then the rows, each with its line."""
    skipped, first = 0, text.readline()
    while first and not first.strip():
        skipped, first = skipped + 1, text.readline()
    if first.lstrip().startswith("{"):
        yield from _objects(chain((first,), text), name, skipped)
        return
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(chain((first,), text), delimiter=delimiter, skipinitialspace=True)
    for row in reader:
        if any(cell.strip() for cell in row):
            yield skipped + reader.line_num, [cell.strip() for cell in row]


def _objects(lines: Iterator[str], name: str, skipped: int) -> Iterator[tuple[int, Sequence[Any]]]:
    # Numbers with a point stay texts: a time in fractions of a second keeps all its digits.
    decoder = msgspec.json.Decoder(dict[str, Any], float_hook=str)
    header: list[str] | None = None
    for number, line in enumerate(lines, skipped + 1):
        if line.isspace():
            continue
        try:
            row = decoder.decode(line)
        except msgspec.MsgspecError as error:
            raise CandleFileError(f"{name}, line {number}: expected a JSON object: {error}") from None
        if header is None:
            header = list(row)
            yield number, header
        yield number, [row.get(key) for key in header]


def _places(header: Sequence[str], name: str) -> dict[str, int]:
    """Where each field stands; names may have a prefix, as `AAPL.Close`, volumes a unit, as `Volume BTC`."""
    plain: dict[str, int] = {}
    for place, title in reversed(list(enumerate(header))):
        if _plain(title).startswith("volume"):
            plain["volume"] = place
    for place, title in reversed(list(enumerate(header))):
        plain[_plain(title.rpartition(".")[2])] = place
    for place, title in reversed(list(enumerate(header))):
        plain[_plain(title)] = place
    found: dict[str, int] = {}
    for field, aliases in ALIASES.items():
        known = [plain[alias] for alias in aliases if alias in plain]
        if known:
            found[field] = known[0]
    if "time" not in found:
        raise CandleFileError(
            f"{name}, header: no column for the time among {', '.join(header)}; expected {_EXPECTED}"
        )
    return found


def _plain(title: str) -> str:
    return "".join(letter for letter in title.lower() if letter.isalnum())


def _number(field: str, cell: Any) -> float:
    try:
        value = float(cell)
    except (TypeError, ValueError):
        value = float("nan")
    if not isfinite(value):
        raise ValueError(f"{field} is a number, got {cell!r}")
    if field == "volume" and value < 0.0:
        raise ValueError(f"volume is 0 or more, got {cell!r}")
    return value
