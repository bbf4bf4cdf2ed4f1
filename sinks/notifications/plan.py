"""What of the waiting causes is told now, and in which messages. Pure: the same ledger, the same plan.

The first few causes of a rule and type within a window of event time are told singly, at once. What comes
beyond them waits for the window's end and is told in one message, with its count. What is late goes into a
digest. When a channel could not take messages for a while, all that has waited goes into one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from infra.settings import ChannelLimits

Form: TypeAlias = Literal["single", "folded", "digest"]
SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Group:
    """Causes that wait: of one rule and type, within one window of event time, none of them late.

    Attributes:
        rule: Name of the rule in the settings.
        type: As `Occasion.type`.
        start_us: Where the window begins, µs since the epoch.
        waiting: How many there are.
        told: How many of the same window were told singly before.
    """

    rule: str
    type: str
    start_us: int
    waiting: int
    told: int


@dataclass(frozen=True, slots=True)
class Part:
    """Causes of one group: the oldest `most` of them, or all."""

    group: Group
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """Messages to make.

    Attributes:
        form: Of the messages; singles are one for each cause, the others one for all.
        parts: What they tell.
        late: Whether all that is late is told as well.
        most: Singles: messages at most, the oldest first.
    """

    form: Form
    parts: tuple[Part, ...] = ()
    late: bool = False
    most: int | None = None


def window_us(limits: ChannelLimits) -> int:
    """Length of a window of folding, µs."""
    return max(1, round(limits.fold_window_s * SECOND_US))


def plan(
    groups: Sequence[Group],
    late: bool,
    now_us: int,
    limits: ChannelLimits,
    *,
    together: bool,
    ended: bool,
    room: int,
) -> list[Claim]:
    """The messages to make now.

    Args:
        groups: What waits, oldest windows first.
        late: Whether a digest is due of what was too old, or held until quiet hours were over.
        now_us: The time, µs since the epoch.
        limits: Of the channel.
        together: Whether all of it goes into one message, since the channel could not take any for a while.
        ended: Whether no window is waited for, since a feed has ended.
        room: Messages at most.
    """
    if room < 1:
        return []
    window = window_us(limits)
    singles: list[Part] = []
    storms: list[Group] = []
    for group in groups:
        left = group.waiting if not limits.fold_over else max(0, limits.fold_over - group.told)
        # A cause ahead of the clock by more than a window waits for no end: it may be hours, or years, away.
        over = ended or not group.start_us - window <= now_us < group.start_us + window
        if left >= group.waiting:
            singles.append(Part(group))
        elif over:
            storms.append(group)
        elif left:
            singles.append(Part(group, left))
    if together:
        return _together(singles, storms, late=late)
    claims = [Claim("digest", late=True)] if late else []
    claims += [_folded([Part(group)]) for group in storms]
    del claims[room:]
    if singles and len(claims) < room:
        claims.append(Claim("single", tuple(singles), most=room - len(claims)))
    return claims


def _together(singles: Sequence[Part], storms: Sequence[Group], *, late: bool) -> list[Claim]:
    parts = [*singles, *(Part(group) for group in storms)]
    kinds = {(part.group.rule, part.group.type) for part in parts}
    if not parts and not late:
        return []
    if late or len(kinds) > 1:
        return [Claim("digest", tuple(parts), late=late)]
    return [_folded(parts)]


def _folded(parts: Sequence[Part]) -> Claim:
    """One message for all, which is a single if there is but one cause."""
    count = sum(part.group.waiting if part.most is None else part.most for part in parts)
    return Claim("folded", tuple(parts)) if count > 1 else Claim("single", tuple(parts), most=1)
