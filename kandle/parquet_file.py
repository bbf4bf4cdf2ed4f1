"""Candles and trades from Parquet, under the names that CSV files have for them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from infra.extras import missing
from kandle.candle_file import CandleFileError, FileCandle, Row, candles_of
from kandle.trade_file.errors import TradeFileError
from kandle.trade_file.fields import find_fields
from kandle.trade_file.reading import TradePart, part_of

if TYPE_CHECKING:
    from pyarrow import ChunkedArray, Table  # type: ignore[import-untyped]

MAGIC: Final = b"PAR1"
"""A Parquet file begins with it."""


def columns_in(path: Path) -> list[str]:
    """The names of the columns of a file.

    Raises:
        ConfigurationError: pyarrow is not installed.
        CandleFileError: It is no Parquet file.
    """
    import_pyarrow()
    import pyarrow as pa
    from pyarrow import parquet

    try:
        found: list[str] = parquet.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise CandleFileError(f"{path} is no Parquet file: {error}") from None
    return found


def parquet_candles(path: Path) -> Sequence[FileCandle]:
    """The candles of a file, in order of time. Blocks.

    Raises:
        CandleFileError: As `read_candles`; lines are counted from the header, which is the first.
    """
    table = _table(path)
    columns = [list(map(str, _times(column).to_pylist())) for column in table.columns]
    return candles_of(_rows(table.column_names, columns), str(path))


def parquet_trades(path: Path) -> TradePart:
    """The trades of a file. Blocks.

    Raises:
        TradeFileError: A field is missing, or a value is none.
    """
    import pyarrow as pa

    table = _table(path)
    try:
        fields = find_fields(table.column_names)
        columns = {}
        for field, name in fields.items():
            column = _times(table.column(name))
            columns[field] = (
                column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
            ).to_pylist()
        return part_of(range(1, table.num_rows + 1), columns)
    except (ValueError, TradeFileError) as error:
        raise TradeFileError(f"{path}: {error}") from None


def import_pyarrow() -> None:
    """See that pyarrow is there.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise missing("Parquet", "pyarrow", "archive") from None


def _table(path: Path) -> "Table":
    columns_in(path)
    from pyarrow import parquet

    return parquet.read_table(path)


def _times(column: "ChunkedArray") -> "ChunkedArray":
    """Times and days as microseconds; other columns as they are."""
    import pyarrow as pa

    if pa.types.is_date(column.type):
        return column.cast(pa.timestamp("us"))
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return column


def _rows(header: Sequence[str], columns: Sequence[Sequence[Any]]) -> Iterator[Row]:
    yield 1, list(header)
    yield from enumerate(zip(*columns, strict=True), 2)
