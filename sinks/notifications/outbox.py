"""The ledger of notifications: what waits for which channel, and in which message it is told.

A row is made for each cause and channel before the cause's offset moves; making it again does nothing. Each
channel then takes its rows at its own pace: a failing one never delays another. A message is written down,
with all the causes that it tells of, before its first attempt; `parcels` is for what comes then.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from infra.kafka.dead_letters import RETRY_HEADER, Headers
from infra.settings import ChannelLimits, QuietHours
from schemas.records import Severity
from sinks.database import Connection
from sinks.notifications.parcels import write_headers
from sinks.notifications.plan import SECOND_US, Claim, Group, window_us
from sinks.positions import PartitionRef

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST: Final = dt.datetime(1, 1, 1, tzinfo=dt.UTC)

_QUEUE: Final = """
INSERT INTO kandle.notifications AS n (cause_id, channel, rule, type, severity, topic_id, partition,
    kafka_offset, key, value, event_time, headers)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::integer[],
    %s::integer[], %s::bigint[], %s::bytea[], %s::bytea[], %s::timestamptz[], %s::bytea[])
ON CONFLICT (cause_id, channel) DO UPDATE SET outcome = 'pending', rule = excluded.rule,
    topic_id = excluded.topic_id, partition = excluded.partition, kafka_offset = excluded.kafka_offset,
    key = excluded.key, value = excluded.value, headers = excluded.headers, attempts = 0, due = NULL,
    message = NULL, form = NULL, queued = now(), settled = NULL
WHERE n.outcome = 'dead_letter' AND CASE
    WHEN n.topic_id = excluded.topic_id AND n.partition = excluded.partition
        THEN n.kafka_offset < excluded.kafka_offset
    ELSE excluded.cause_id = ANY(%s::text[]) END
"""
_KEEP_QUIET: Final = """
UPDATE kandle.notifications SET outcome = %(outcome)s, due = %(until)s,
    settled = CASE %(outcome)s WHEN 'suppressed' THEN clock_timestamp() END
WHERE channel = %(channel)s AND message IS NULL
    AND (outcome = 'pending' OR outcome = 'held' AND due <= %(now)s)
    AND (%(rule)s::text IS NULL OR rule = %(rule)s) AND (severity <> 'error' OR NOT %(errors_pass)s)
"""
_HELD_IS_DUE: Final = """
SELECT EXISTS (SELECT FROM kandle.notifications WHERE channel = %(channel)s AND message IS NULL
    AND outcome = 'held' AND due <= %(now)s)
"""
_FIRST_LATE: Final = """
SELECT queued <= now() - %(window)s * interval '1 microsecond' FROM kandle.notifications
WHERE channel = %(channel)s AND message IS NULL AND outcome = 'pending' AND event_time < %(cutoff)s
ORDER BY event_time, cause_id LIMIT 1
"""
_GROUPS: Final = """
WITH waiting AS (
    SELECT rule, type, count(*) AS causes,
        floor(extract(epoch FROM event_time) * 1000000 / %(window)s)::bigint * %(window)s AS start
    FROM kandle.notifications
    WHERE channel = %(channel)s AND message IS NULL AND outcome = 'pending' AND event_time >= %(cutoff)s
    GROUP BY rule, type, start ORDER BY start, rule, type LIMIT %(most)s)
SELECT w.rule, w.type, w.start, w.causes, (SELECT count(*) FROM (
    SELECT FROM kandle.notifications t WHERE t.channel = %(channel)s AND t.outcome = 'sent'
        AND t.rule = w.rule AND t.type = w.type
        AND t.event_time >= timestamptz 'epoch' + w.start * interval '1 microsecond'
        AND t.event_time < timestamptz 'epoch' + (w.start + %(window)s) * interval '1 microsecond'
    LIMIT %(enough_told)s) told)
FROM waiting w ORDER BY w.start, w.rule, w.type
"""
_CLAIM: Final = """
WITH chosen AS (
    SELECT n.cause_id, n.event_time FROM unnest(%(rules)s::text[], %(types)s::text[],
        %(starts)s::timestamptz[], %(ends)s::timestamptz[], %(mosts)s::bigint[])
        AS p(rule, type, start, stop, most)
    CROSS JOIN LATERAL (SELECT cause_id, event_time FROM kandle.notifications
        WHERE channel = %(channel)s AND message IS NULL AND outcome = 'pending' AND rule = p.rule
            AND type = p.type AND event_time >= greatest(p.start, %(cutoff)s) AND event_time < p.stop
        ORDER BY event_time, cause_id LIMIT p.most) n
    UNION ALL
    SELECT cause_id, event_time FROM kandle.notifications
    WHERE %(late)s AND channel = %(channel)s AND message IS NULL
        AND (outcome = 'held' AND due <= %(now)s OR outcome = 'pending' AND event_time < %(cutoff)s)),
picked AS (SELECT * FROM chosen ORDER BY event_time, cause_id LIMIT %(most)s)
UPDATE kandle.notifications n SET outcome = 'pending', form = %(form)s, message =
    CASE %(form)s WHEN 'single' THEN n.cause_id
    ELSE %(form)s || '/' || (SELECT cause_id FROM picked ORDER BY event_time, cause_id LIMIT 1) END
FROM picked WHERE n.channel = %(channel)s AND n.cause_id = picked.cause_id
"""
# In two parts here and below, for two indexes: the rest of the ledger is never looked through.
_ANY_PENDING: Final = """
SELECT EXISTS (SELECT FROM kandle.notifications
        WHERE outcome = 'pending' AND message IS NULL AND channel = ANY(%(channels)s))
    OR EXISTS (SELECT FROM kandle.notifications
        WHERE outcome = 'pending' AND message IS NOT NULL AND channel = ANY(%(channels)s))
"""
_STRANDED: Final = """
SELECT channel, count(*) FROM (
    SELECT channel FROM kandle.notifications WHERE outcome IN ('pending', 'held') AND message IS NULL
    UNION ALL
    SELECT channel FROM kandle.notifications WHERE outcome = 'pending' AND message IS NOT NULL) waiting
WHERE channel <> ALL(%s) GROUP BY channel ORDER BY channel
"""
GROUPS_MOST: Final = 1_000
"""Windows looked at together: bounds memory when a long backlog is told without a limit of age."""
CAUSES_MOST: Final = 20_000
"""Of one message: bounds the time for which the ledger is busy with one channel."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A cause that a channel is to be told of.

    Attributes:
        cause_id: Id of the signal or event.
        channel: Name of the channel.
        rule: Name of the rule that chose it.
        type: As `Occasion.type`.
        severity: Of the cause.
        ref: Partition of the cause.
        offset: Offset of the cause.
        key: The cause's key in the topic.
        value: The cause's value in the topic.
        event_time: Of the cause, microseconds since 1970.
        headers: The cause's headers in the topic.
    """

    cause_id: str
    channel: str
    rule: str
    type: str
    severity: Severity
    ref: PartitionRef
    offset: int
    key: bytes | None
    value: bytes
    event_time: int
    headers: Headers = ()

    @property
    def is_retried(self) -> bool:
        """Whether it was a dead letter that was sent back."""
        return any(name == RETRY_HEADER for name, _ in self.headers)

    @property
    def row(self) -> tuple[Any, ...]:
        """As the ledger holds it."""
        return (
            self.cause_id,
            self.channel,
            self.rule,
            self.type,
            self.severity,
            self.ref.topic_id,
            self.ref.partition,
            self.offset,
            self.key,
            self.value,
            _time(self.event_time),
            write_headers(self.headers),
        )


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for a channel.

    Attributes:
        groups: What is not late, oldest first.
        late: Whether a digest is due: quiet hours are over, or something was too old when it came, a window
            of folding ago. What comes in that time, in a replay all of it, goes into the same digest.
    """

    groups: list[Group]
    late: bool


async def queue(db: Connection, entries: Sequence[Queued]) -> None:
    """Make rows that do not exist yet.

    A cause that was given up and comes again waits once more: further on in its partition, or, sent back by
    `kandle dlq retry`, wherever else it stands, since its topic may have been made again or have more
    partitions by now. What was told stays told.
    """
    # Of several the first one, but one that was sent back before others, which would not be heard.
    chosen = {(entry.cause_id, entry.channel): entry for entry in reversed(entries)}
    chosen |= {(entry.cause_id, entry.channel): entry for entry in reversed(entries) if entry.is_retried}
    if chosen:
        queued = [chosen[identity] for identity in sorted(chosen)]
        columns = [list(column) for column in zip(*(entry.row for entry in queued), strict=True)]
        await db.execute(_QUEUE, [*columns, [entry.cause_id for entry in queued if entry.is_retried]])


async def keep_quiet(
    db: Connection, channel: str, quiet: QuietHours, now_us: int, until_us: int, rule: str | None = None
) -> int:
    """Hold, or drop, what quiet hours concern that are on; returns how many rows.

    Args:
        db: The connection that has the channel.
        channel: Name of the channel.
        quiet: What to do, and with what.
        now_us: The time, µs since the epoch.
        until_us: When the quiet hours end.
        rule: The rule whose they are; None: the channel's.
    """
    cursor = await db.execute(
        _KEEP_QUIET,
        {
            "channel": channel,
            "outcome": "held" if quiet.mode == "hold" else "suppressed",
            "now": _time(now_us),
            "until": _time(until_us),
            "rule": rule,
            "errors_pass": quiet.errors_pass,
        },
    )
    return cursor.rowcount


async def backlog(
    db: Connection, channel: str, now_us: int, limits: ChannelLimits, *, ended: bool
) -> Backlog:
    """What waits for a channel and is in no message yet.

    Args:
        db: The connection that has the channel.
        channel: Its name.
        now_us: The time, µs since the epoch.
        limits: Of the channel.
        ended: Whether what is late waits for no company, since a feed has ended.
    """
    moment = _moment(channel, now_us, limits)
    figures = {"window": window_us(limits), "enough_told": limits.fold_over, "most": GROUPS_MOST}
    cursor = await db.execute(_HELD_IS_DUE, moment)
    held = await cursor.fetchone()
    cursor = await db.execute(_FIRST_LATE, moment | figures)
    old = await cursor.fetchone()
    # Rows of a window that were told are counted as far as it matters.
    cursor = await db.execute(_GROUPS, moment | figures)
    groups = [Group(rule, type_, start, causes, told) async for rule, type_, start, causes, told in cursor]
    return Backlog(groups, bool(held and held[0]) or (old is not None and (ended or old[0])))


async def claim(db: Connection, channel: str, chosen: Claim, now_us: int, limits: ChannelLimits) -> None:
    """Write down messages, before their first attempt: from now on they are under way."""
    parts, window = chosen.parts, window_us(limits)
    await db.execute(
        _CLAIM,
        _moment(channel, now_us, limits)
        | {
            "rules": [part.group.rule for part in parts],
            "types": [part.group.type for part in parts],
            "starts": [_time(part.group.start_us) for part in parts],
            "ends": [_time(part.group.start_us + window) for part in parts],
            "mosts": [part.most for part in parts],
            "late": chosen.late,
            "most": chosen.most or CAUSES_MOST,
            "form": chosen.form,
        },
    )


async def is_empty(db: Connection, channels: Sequence[str]) -> bool:
    """Whether nothing is to be told to these channels now; what quiet hours hold is not."""
    cursor = await db.execute(_ANY_PENDING, {"channels": list(channels)})
    row = await cursor.fetchone()
    return row is not None and not row[0]


async def stranded(db: Connection, channels: Sequence[str]) -> dict[str, int]:
    """How many causes wait for channels other than these, by channel: nobody will tell of them."""
    cursor = await db.execute(_STRANDED, (list(channels),))
    return {channel: count async for channel, count in cursor}


def _time(us: int) -> dt.datetime:
    return _EPOCH + dt.timedelta(microseconds=us)


def _moment(channel: str, now_us: int, limits: ChannelLimits) -> dict[str, Any]:
    cutoff = _time(now_us - round(limits.max_age_s * SECOND_US)) if limits.max_age_s else _FIRST
    return {"channel": channel, "now": _time(now_us), "cutoff": cutoff}
