"""Records that an agent cannot use, to the dead letters one by one, each with its cause."""

from __future__ import annotations

from faust.types import TP

from infra.kafka.dead_letters import DeadLetters
from infra.kafka.record_batches import RawRecords
from schemas.columns import Columns
from schemas.errors import DecodeError
from schemas.registry import BY_ID
from schemas.row_status import RowStatus

_ID = slice(1, 5)


def reason_of(columns: Columns, row: int, topic: str) -> str:
    """Why a value could not be used, in words."""
    status = RowStatus(int(columns.status[row]))
    if status is RowStatus.UNKNOWN_SCHEMA:
        known = BY_ID.get(int.from_bytes((columns.value(row) or b"")[_ID], "big"))
        if known is not None:
            return f"a {known.record.__name__} does not belong into {topic}"
    return status.reason


async def refuse_undecoded(letters: DeadLetters, tp: TP, records: RawRecords, columns: Columns) -> None:
    """Send every record whose value is bad, or of a type that the reader does not know.

    Raises:
        DeadLetterRefused: The dead letter topic does not take it.
    """
    for row in columns.bad.tolist():
        reason = reason_of(columns, row, tp.topic)
        await refuse(letters, tp, records, row, DecodeError(reason))


async def refuse(letters: DeadLetters, tp: TP, records: RawRecords, row: int, error: Exception) -> None:
    """Send one record with its cause.

    Raises:
        DeadLetterRefused: The dead letter topic does not take it.
    """
    try:
        headers = records.headers(row)
    except DecodeError:
        headers = []
    await letters.send(
        tp.topic,
        tp.partition,
        int(records.offsets[row]),
        records.key(row),
        records.value(row),
        headers,
        error=error,
    )
