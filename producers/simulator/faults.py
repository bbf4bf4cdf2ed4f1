"""What can go wrong between an exchange and its clients, as values, and as text in settings.

A fault is written `kind@at[:amount][/channel]`: `gap@5000:20` leaves out 20 frames once 5000 have passed,
`gap@5000:20/books` 20 frames of books, `429@0:3` refuses the first three REST requests, `mute@30s` begins 30
seconds after the market did. While a fault holds the market goes on: what was not sent is known to REST.

| kind | what happens | amount |
|---|---|---|
| `gap` | frames are not sent | frames, or seconds |
| `duplicate` | frames are sent twice | frames |
| `reorder` | a frame is sent after the next one of its stream | pairs |
| `malformed` | frames are cut in the middle | frames |
| `oversize` | a frame of more than 16 MB is sent | frames that pass after it unheard |
| `slow` | frames come 20 ms apart | frames |
| `mute` | connections stay open and answer pings, and bring no data any more | frames that pass unheard |
| `no_pong` | connections stay open, and nothing is read or sent any more | frames that pass unheard |
| `disconnect` | connections break without a word (1006) | frames that pass unheard |
| `shutdown` | the venue's notice where it has one; later connections are closed (1001) | seconds until then |
| `wrong_ack` | subscriptions are refused | requests |
| `no_ack` | subscriptions are neither answered nor made | requests |
| `429`, `418`, `500`, `502`, `503`, `504` | REST answers with this status | requests |
| `html` | REST answers with a page of HTML and status 200 | requests |
"""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from producers.exchange import CHANNELS, Channel
from schemas.errors import ConfigurationError

FrameFault: TypeAlias = Literal[
    "gap",
    "duplicate",
    "reorder",
    "malformed",
    "oversize",
    "slow",
    "mute",
    "no_pong",
    "disconnect",
    "shutdown",
]
RequestFault: TypeAlias = Literal["wrong_ack", "no_ack"]
HttpFault: TypeAlias = Literal["429", "418", "500", "502", "503", "504", "html"]
Kind: TypeAlias = FrameFault | RequestFault | HttpFault
KINDS: Final[tuple[Kind, ...]] = (*get_args(FrameFault), *get_args(RequestFault), *get_args(HttpFault))

SHUTDOWN_S: Final = 2.0
"""Between a shutdown notice and the close, unless the fault says otherwise, s."""

_PATTERN: Final = re.compile(
    r"(?P<kind>\w+)@(?P<at>\d+(?:\.\d+)?)(?P<at_s>s?)(?::(?P<amount>\d+(?:\.\d+)?)(?P<amount_s>s?))?"
    r"(?:/(?P<channel>\w+))?"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; see the module's table.

    Attributes:
        kind: What happens.
        at: When: once so many data frames have passed.
        at_s: Instead: so many seconds after the market began.
        amount: How much of it: frames, requests or pairs.
        amount_s: Instead: how long, s.
        channel: Frames of this channel alone; None for all.
    """

    kind: Kind
    at: int = 0
    at_s: float | None = None
    amount: int = 1
    amount_s: float | None = None
    channel: Channel | None = None


def parse_fault(text: str) -> Fault:
    """The fault that a text stands for.

    Raises:
        ConfigurationError: It stands for none; the message says how one is written.
    """
    found = _PATTERN.fullmatch(text.strip())
    kind = next((known for known in KINDS if found is not None and known == found["kind"]), None)
    if found is None or kind is None:
        raise ConfigurationError(
            f"expected a fault such as gap@5000:20, mute@30s or 429@0:3, got {text!r}; "
            f"kinds: {', '.join(KINDS)}"
        )
    named = found["channel"]
    channel = next((known for known in CHANNELS if known == named), None)
    if named is not None and channel is None:
        raise ConfigurationError(f"{text}: there is no channel {named}; channels: {', '.join(CHANNELS)}")
    at, amount = float(found["at"]), float(found["amount"] or 1)
    in_seconds = bool(found["amount_s"])
    amount_s: float | None
    if kind == "shutdown":
        amount_s = amount if found["amount"] else SHUTDOWN_S
    elif in_seconds and kind != "gap":
        raise ConfigurationError(f"{text}: the amount of {kind} is a number, without s")
    else:
        amount_s = amount if in_seconds else None
    if not (found["at_s"] or at.is_integer()) or not (
        in_seconds or kind == "shutdown" or amount.is_integer()
    ):
        raise ConfigurationError(f"{text}: frames and requests are whole numbers")
    return Fault(
        kind,
        at=0 if found["at_s"] else int(at),
        at_s=at if found["at_s"] else None,
        amount=1 if amount_s is not None else int(amount),
        amount_s=amount_s,
        channel=channel,
    )
