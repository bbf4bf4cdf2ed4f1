"""Records to bytes and back, one at a time: Avro in the Confluent wire format.

A value is a zero byte, the schema id as four big-endian bytes, then the Avro body. fastavro is the judge of
both ways: `encoders` writes its bytes faster in the usual case, `columns` reads whole batches without an
object a record, and both must agree with it.
"""

import io
import struct
from typing import Any

import fastavro
import msgspec

from schemas.encoders import UNUSUAL, encoder_of
from schemas.errors import DecodeError, ValidationError
from schemas.records import Record
from schemas.registry import BY_ID, BY_RECORD

MAGIC = 0
HEADER = struct.Struct(">bI")
"""Magic byte and schema id."""

_HEADERS = {record: HEADER.pack(MAGIC, entry.schema_id) for record, entry in BY_RECORD.items()}
_SCHEMAS: dict[type[Record], Any] = {record: entry.parsed for record, entry in BY_RECORD.items()}


_ENCODERS = {
    record: encoder
    for record, entry in BY_RECORD.items()
    if (encoder := encoder_of(entry.definition, _HEADERS[record])) is not None
}


def encode(record: Record) -> bytes:
    """The value of a Kafka record.

    Raises:
        ValidationError: A field does not fit its schema, or the type is not of the contract.
    """
    try:
        return _ENCODERS[type(record)](record)
    except UNUSUAL:
        return encode_by_reference(record)


def encode_by_reference(record: Record) -> bytes:
    """What `encode` gives, by fastavro alone: six times slower.

    Raises:
        ValidationError: A field does not fit its schema, or the type is not of the contract.
    """
    kind = type(record)
    header = _HEADERS.get(kind)
    if header is None:
        raise ValidationError(f"{kind.__name__} is not a record of the contract")
    buffer = io.BytesIO()
    buffer.write(header)
    try:
        fastavro.schemaless_writer(buffer, _SCHEMAS[kind], msgspec.structs.asdict(record))
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise ValidationError(f"{kind.__name__} does not fit its schema: {error}; got {record}") from error
    return buffer.getvalue()


def decode(value: bytes | None) -> Record:
    """The record in the value of a Kafka record.

    Raises:
        DecodeError: Null, wrong magic byte, unknown schema id, cut, or bytes left over.
    """
    if value is None:
        raise DecodeError("the value is null; expected a record")
    if len(value) < HEADER.size:
        raise DecodeError(f"expected at least {HEADER.size} bytes of header, got {len(value)}")
    magic, schema_id = HEADER.unpack_from(value)
    if magic != MAGIC:
        raise DecodeError(f"expected the magic byte {MAGIC}, got {magic}")
    entry = BY_ID.get(schema_id)
    if entry is None:
        raise DecodeError(f"schema id {schema_id} is not of the contract; known: {sorted(BY_ID)}")
    body = io.BytesIO(value)
    body.seek(HEADER.size)
    try:
        fields: Any = fastavro.schemaless_reader(body, entry.parsed, None)
    except (EOFError, IndexError, KeyError, ValueError, OverflowError, MemoryError) as error:
        reason = str(error) or type(error).__name__
        raise DecodeError(f"the body is no {entry.record.__name__}: {reason}") from error
    if body.tell() != len(value):
        extra = len(value) - body.tell()
        raise DecodeError(f"{extra} bytes are left over after a {entry.record.__name__}")
    return entry.record(**fields)
