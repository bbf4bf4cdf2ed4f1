"""Instrument lists cut down to the instruments that a capture is about: a venue lists megabytes of them."""

from collections.abc import Collection
from typing import Any, Final

import msgspec

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])
_ITEM: Final = msgspec.json.Decoder(dict[str, Any])


def trimmed(body: bytes, names: Collection[str]) -> bytes:
    """An answer without the instruments that are not named; the others stay byte for byte.

    An instrument is an object in a list, at the top or one level below, that has a name as the value of one
    of its fields. What has another form is left as it is.

    Args:
        body: JSON, as a venue answers.
        names: The venue's symbols.
    """
    try:
        if body.lstrip()[:1] == b"[":
            return _cut(body, names)
        parts = _OBJECT.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    cut = {key: msgspec.Raw(_cut(bytes(part), names)) for key, part in parts.items()}
    return msgspec.json.encode(cut)


def _cut(part: bytes, names: Collection[str]) -> bytes:
    if part[:1] != b"[":
        return part
    kept = [item for item in _LIST.decode(part) if _is_named(bytes(item), names)]
    return msgspec.json.encode(kept) if kept else part


def _is_named(item: bytes, names: Collection[str]) -> bool:
    try:
        values = _ITEM.decode(item).values()
    except msgspec.DecodeError:
        return False
    return any(isinstance(value, str) and value in names for value in values)
