"""A webhook that its receiver can trust: CloudEvents, signed as Standard Webhooks says.

`kandle+https://host/path?secret=...` posts a CloudEvent in structured mode to `https://host/path`. Three
headers come with it (https://www.standardwebhooks.com): `webhook-id`, the same for every attempt at one
message; `webhook-timestamp`, seconds since the epoch; `webhook-signature`, `v1,` and the base64 form of the
HMAC-SHA256 of `id.timestamp.body`. A receiver compares the signature, and refuses times that are more than
five minutes away and ids that it knows.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from infra.outbound import AddressRefusedError, OutboundPolicy
from infra.outbound_client import OutboundClient, Resolver, resolve
from infra.secrets import MASK
from schemas.errors import ConfigurationError
from sinks.notifications.channel import Channel, ChannelRefusedError
from sinks.notifications.message import Message
from sinks.notifications.verdict import verdict

SCHEME: Final = "kandle+"
"""What the scheme of a signed webhook begins with; http or https follows."""
KIND: Final = "kandle"
SECRET: Final = "secret"  # noqa: S105 - the name of a parameter
ENCODED: Final = "whsec_"
"""How a secret begins that is written in base64."""
SHORTEST_SECRET: Final = 16
"""Bytes."""
SOURCE: Final = "/kandle/sinks/notifications"
TYPE: Final = "kandle.notification."
"""What the CloudEvents type begins with; the type of the occasion follows."""
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def signature(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: one part a key, so that receivers change to a new one at leisure."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digests = (hmac.digest(key, signed, "sha256") for key in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


class SignedWebhook(Channel):
    """One URL.

    Args:
        url: `kandle+https://...?secret=...`; a secret that is changed is given twice, the new one first.
        policy: Where it may lead.
        clock: Seconds since the epoch.
        resolver: Looks up names.
        tls: Which certificates are trusted.

    Raises:
        ConfigurationError: No secret, too short a one, or no URL.
    """

    def __init__(
        self,
        url: str,
        policy: OutboundPolicy,
        clock: Callable[[], float] = time.time,
        resolver: Resolver = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(KIND, url)
        MASK.hide(url)
        target, secrets = _parted(url)
        self._keys = [_key(secret) for secret in secrets]
        self._clock = clock
        self._client = OutboundClient(target, policy, resolver, tls)

    async def send(self, message: Message, dedup_key: str, timeout_s: float) -> None:
        """As `Channel.send`."""
        message_id = f"msg_{hashlib.sha256(dedup_key.encode()).hexdigest()[:32]}"
        body = _body(message, message_id)
        timestamp = int(self._clock())
        headers = {
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._keys, message_id, timestamp, body),
        }
        try:
            answer = await self._client.post(body, headers, timeout_s)
        except AddressRefusedError as error:
            raise ChannelRefusedError(f"channel {self.name}: {error}") from None
        if not 200 <= answer.status < 300:
            raise verdict(answer.status, answer.headers, answer.body, f"channel {self.name}")


def _body(message: Message, message_id: str) -> bytes:
    """The event; the same bytes for every attempt."""
    newest = max((occasion.event_time for occasion in message.occasions), default=0)
    kind = message.occasions[0].type if message.count == 1 and message.occasions else "many"
    event = {
        "specversion": "1.0",
        "id": message_id,
        "source": SOURCE,
        "type": TYPE + kind,
        "time": _iso(newest),
        "subject": message.subject,
        "datacontenttype": "application/json",
        "data": {
            "subject": message.subject,
            "text": message.text,
            "count": message.count,
            "occasions": [
                {**occasion.words(), "time": _iso(occasion.event_time)} for occasion in message.occasions
            ],
        },
    }
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def _iso(micros: int) -> str:
    return (_EPOCH + dt.timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")


def _parted(url: str) -> tuple[str, list[str]]:
    try:
        parts = urlsplit(url.removeprefix(SCHEME))
    except ValueError:
        raise ConfigurationError(
            f"a signed webhook is written {SCHEME}https://host/path?{SECRET}=..."
        ) from None
    if parts.username is not None:
        raise ConfigurationError("a signed webhook has no user: its signature says who it comes from")
    query = parse_qsl(parts.query, keep_blank_values=True)
    secrets = [value for name, value in query if name == SECRET]
    if not secrets:
        raise ConfigurationError(f"a signed webhook is written {SCHEME}https://host/path?{SECRET}=...")
    kept = urlencode([(name, value) for name, value in query if name != SECRET])
    return urlunsplit(parts._replace(query=kept, fragment="")), secrets


def _key(secret: str) -> bytes:
    key = secret.encode()
    if secret.startswith(ENCODED):
        try:
            # A query turns plus into a space.
            key = base64.b64decode(secret.removeprefix(ENCODED).replace(" ", "+"), validate=True)
        except binascii.Error:
            raise ConfigurationError(f"what follows {ENCODED} in a webhook's secret is base64") from None
    if len(key) < SHORTEST_SECRET:
        raise ConfigurationError(f"the secret of a webhook has {SHORTEST_SECRET} bytes or more")
    return key
