"""What clients ask for, read and checked."""

import re
from typing import Any, Final

import msgspec

from schemas.errors import ValidationError
from serve.api.moments import INTERVAL, MEANINGS, SYMBOL, VENUE
from serve.hub.channels import CHANNELS, Subscription

ASKED_LENGTH: Final = 4_096
"""Characters of a client's message that are read."""
ACTIONS: Final = ("subscribe", "unsubscribe")
PATTERNS: Final = {
    name: (pattern, MEANINGS[pattern])
    for name, pattern in (("venue", VENUE), ("symbol", SYMBOL), ("interval", INTERVAL))
}


def subscription_of(asked: dict[str, Any]) -> Subscription:
    """The subscription that a client means.

    Raises:
        ValidationError: The channel is unknown, or a name is missing, of no use or malformed.
    """
    name = asked.get("channel")
    channel = CHANNELS.get(name) if isinstance(name, str) else None
    if channel is None:
        raise ValidationError(f"channel is one of {', '.join(CHANNELS)}; got {name!r:.60}")
    given: dict[str, str] = {}
    for part, (pattern, meaning) in PATTERNS.items():
        value = asked.get(part)
        if value is None:
            if part in channel.needs:
                raise ValidationError(f"{channel.name} needs {part}: {meaning}")
        elif part not in channel.needs and part not in channel.narrowed_by:
            raise ValidationError(f"{channel.name} has no {part}")
        elif not isinstance(value, str) or re.fullmatch(pattern, value) is None:
            raise ValidationError(f"{part} is {meaning}; got {value!r:.60}")
        else:
            given[part] = value
    return Subscription(channel.name, **given)


def question_of(text: str) -> tuple[str, dict[str, Any]]:
    """The action of a message, and the message.

    Raises:
        ValidationError: It is no JSON object, or asks for nothing that is known.
    """
    if len(text) > ASKED_LENGTH:
        raise ValidationError(f"a message has at most {ASKED_LENGTH} characters")
    try:
        asked = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValidationError(f"that is no JSON: {error}") from None
    if not isinstance(asked, dict):
        raise ValidationError('expected an object: {"action": "subscribe", "channel": "trades", ...}')
    action = asked.get("action")
    if not isinstance(action, str) or action not in ACTIONS:
        raise ValidationError(f"action is subscribe or unsubscribe; got {action!r:.60}")
    return action, asked
