"""What tests of channels send, and how they learn that it failed."""

from __future__ import annotations

import pytest

from infra.settings import NotificationSettings
from schemas.errors import KandleError
from sinks.notifications.channel import Channel
from sinks.notifications.message import Message

OPEN = NotificationSettings(allow_private=True)
MESSAGE = Message(None, "BTC/USDT long", "cross_up says long\nfast: 1.5", "<p>cross_up says <b>long</b></p>")


async def error_of_sending(channel: Channel, timeout_s: float = 5) -> KandleError:
    with pytest.raises(KandleError) as caught:
        await channel.send(MESSAGE, "key", timeout_s)
    return caught.value
