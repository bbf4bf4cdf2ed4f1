"""What becomes of a value in a batch, in words."""

from enum import IntEnum

from schemas import kernels


class RowStatus(IntEnum):
    """The status of one value; 0 is good, anything else goes to the dead letters."""

    OK = kernels.OK
    NULL_VALUE = kernels.NULL_VALUE
    NO_PREFIX = kernels.NO_PREFIX
    WRONG_MAGIC = kernels.WRONG_MAGIC
    UNKNOWN_SCHEMA = kernels.UNKNOWN_SCHEMA
    TRUNCATED = kernels.TRUNCATED
    TRAILING_BYTES = kernels.TRAILING_BYTES
    BAD_VARINT = kernels.BAD_VARINT
    INT_RANGE = kernels.INT_RANGE
    BAD_BOOLEAN = kernels.BAD_BOOLEAN
    BAD_UNION = kernels.BAD_UNION
    BAD_ENUM = kernels.BAD_ENUM
    BAD_LENGTH = kernels.BAD_LENGTH
    BAD_UTF8 = kernels.BAD_UTF8
    OUTSIDE = kernels.OUTSIDE

    @property
    def reason(self) -> str:
        """The status in words, for dead letters and logs."""
        return _REASONS[self]


_REASONS = {
    RowStatus.OK: "decoded",
    RowStatus.NULL_VALUE: "the value is null; expected a record",
    RowStatus.NO_PREFIX: "the value is shorter than the 5 bytes of magic byte and schema id",
    RowStatus.WRONG_MAGIC: "the first byte is not 0, so it is not in the Confluent wire format",
    RowStatus.UNKNOWN_SCHEMA: "the schema id is not of the contract",
    RowStatus.TRUNCATED: "the body ends in the middle of a field",
    RowStatus.TRAILING_BYTES: "bytes are left over after the record",
    RowStatus.BAD_VARINT: "a whole number has more than 64 bits",
    RowStatus.INT_RANGE: "an int does not fit 32 bits",
    RowStatus.BAD_BOOLEAN: "a boolean is neither 0 nor 1",
    RowStatus.BAD_UNION: "a union has no branch of that index",
    RowStatus.BAD_ENUM: "an enum has no symbol of that index",
    RowStatus.BAD_LENGTH: "a length or a count is negative or contradicts its block",
    RowStatus.BAD_UTF8: "a string is not valid UTF-8",
    RowStatus.OUTSIDE: "the span of the value lies outside of the data",
}
