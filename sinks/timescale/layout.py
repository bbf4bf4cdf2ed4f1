"""Whether tables hold their records: a field added to a record needs a column, and so a migration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from schemas.errors import ConflictError
from sinks.database import Connection
from sinks.timescale.row_tables import RowTable
from sinks.timescale.table import Table

AnyTable = Table | RowTable[Any]


class Found(NamedTuple):
    """A column as the database has it; `is_needed` where a row without it is refused."""

    type: str
    is_needed: bool


async def check_layout(db: Connection, tables: Sequence[AnyTable]) -> None:
    """Compare the fields of records, the columns that we write, and those of the database.

    Raises:
        ConflictError: They differ; names table, field and what to do, for all that was found.
    """
    cursor = await db.execute(
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull AND NOT a.atthasdef "
        "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
        "WHERE c.relnamespace = 'kandle'::regnamespace AND c.relname = ANY(%s) "
        "AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity = '' AND a.attgenerated = ''",
        ([table.name for table in tables],),
    )
    stored: dict[str, dict[str, Found]] = {table.name: {} for table in tables}
    async for table, column, kind, is_needed in cursor:
        stored[table][column] = Found(kind, is_needed)
    faults = [fault for table in tables for fault in _faults(table, stored[table.name])]
    if faults:
        raise ConflictError("the tables do not fit the records. " + ". ".join(faults))


def _faults(table: AnyTable, stored: Mapping[str, Found]) -> Iterable[str]:
    yield from field_faults(table)
    for column in table.cells:
        found = stored.get(column.name)
        fields = " and ".join(column.fields)
        if found is None:
            yield (
                f"kandle.{table.name} has no column {column.name} for field {fields} of {_record(table)}: "
                f"add it by a new file in sinks/migrations (ALTER TABLE kandle.{table.name} ADD COLUMN "
                f"{column.name} {column.type}), with a comment"
            )
        elif found.type != column.type:
            yield (
                f"kandle.{table.name}.{column.name} is of type {found.type}, but field {fields} of "
                f"{_record(table)} needs {column.type}: change it by a new file in sinks/migrations"
            )
    own = {column.name for column in table.cells}
    for name, column_found in stored.items():
        if name not in own and column_found.is_needed:
            yield (
                f"kandle.{table.name}.{name} must not be null and no field of {_record(table)} fills it: "
                "give it a default or drop it, or run the version that made it"
            )


def field_faults(table: AnyTable) -> list[str]:
    """What a table leaves unsaid of the fields of its record, and what it says of none."""
    fields = table.record.__struct_fields__
    held = {name for column in table.cells for name in column.fields}
    unsaid = [name for name in fields if name not in held and name not in table.left_out]
    strange = sorted((held | table.left_out.keys()) - set(fields))
    return [
        *(
            f"kandle.{table.name} has no place for field {name} of {_record(table)}: add a column by a new "
            f"file in sinks/migrations and name it where the table is declared, or say there why not"
            for name in unsaid
        ),
        *(
            f"kandle.{table.name} wants field {name}, which {_record(table)} does not have: mend the table"
            for name in strange
        ),
    ]


def _record(table: AnyTable) -> str:
    return table.record.__name__
