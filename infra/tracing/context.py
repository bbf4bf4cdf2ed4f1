"""Where a span stands: trace id and span id, and the header that carries both (W3C Trace Context).

A span's id may be chosen at random, or follow from its parent and from what it is about. Whatever is written
to Kafka for a second time, after a crash, takes the second way: then its header is the same as well.

The header: https://www.w3.org/TR/trace-context/#traceparent-header
"""

import re
import secrets
from hashlib import blake2b
from typing import Final, NamedTuple, Self

HEADER: Final = "traceparent"
CORRELATION: Final = "correlation_id"
"""The header that names what a chain of events goes back to, across traces."""

_SAMPLED: Final = 0x01
_FORM: Final = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)


class SpanContext(NamedTuple):
    """A span, as others refer to it.

    Attributes:
        trace_id: 16 bytes.
        span_id: 8 bytes.
        sampled: Whether spans of the trace are recorded.
    """

    trace_id: bytes
    span_id: bytes
    sampled: bool = True

    @classmethod
    def root(cls) -> Self:
        """The first span of a new trace."""
        return cls(secrets.token_bytes(16), secrets.token_bytes(8))

    @classmethod
    def read(cls, header: bytes | None) -> Self | None:
        """What a header says; None where there is none, or not a valid one."""
        found = None if header is None else _FORM.fullmatch(header)
        if found is None or (found[1] == b"00" and found[5]):
            return None
        trace_id, span_id = bytes.fromhex(found[2].decode()), bytes.fromhex(found[3].decode())
        return cls(trace_id, span_id, bool(int(found[4], 16) & _SAMPLED))

    @property
    def traceparent(self) -> str:
        """The header's value."""
        return f"00-{self.trace_id.hex()}-{self.span_id.hex()}-{'01' if self.sampled else '00'}"

    def child(self, about: str) -> "SpanContext":
        """A span below this one, the same for the same `about`: name it after what it is about."""
        span_id = blake2b(about.encode(), digest_size=8, key=self.trace_id + self.span_id).digest()
        return SpanContext(self.trace_id, span_id, self.sampled)

    def child_at(self, about: str, topic: str, partition: int, offset: int) -> "SpanContext":
        """One of several below this one: values and signals of a candle have one publishing span."""
        return self.child(f"{about} {topic}/{partition}/{offset}")

    def fresh(self) -> "SpanContext":
        """A span below this one with an id of chance."""
        return SpanContext(self.trace_id, secrets.token_bytes(8), self.sampled)
