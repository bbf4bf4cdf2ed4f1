"""What waits in a dead letter topic, by cause."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kandle.dead_letters.letter import DeadLetter, Outcome

CAUSES: Final = 50
"""Causes that are told apart in a topic; what comes after is `other causes`."""


@dataclass(slots=True)
class Tally:
    """Letters of one topic that were put aside for one cause; texts that differ in numbers are one cause.

    Attributes:
        topic: The dead letter topic.
        cause: The first letter's cause.
        stage: Who put it aside.
        outcome: What became of them; None while they wait.
        letters: How many.
        oldest_ms: When the first was put aside, ms since 1970.
        newest_ms: When the last was.
    """

    topic: str
    cause: str
    stage: str
    outcome: Outcome | None
    letters: int
    oldest_ms: int
    newest_ms: int


def tallies(letters: Iterable[DeadLetter]) -> list[Tally]:
    """Letters by topic, outcome, stage and cause; the most frequent cause of a topic first."""
    found: dict[tuple[str, ...], Tally] = {}
    causes: dict[str, int] = {}
    for letter in letters:
        cause = re.sub(r"\d+", "#", letter.cause)
        key = (letter.topic, letter.outcome or "", letter.stage, cause)
        if key not in found and causes.get(letter.topic, 0) >= CAUSES:
            key, cause = (letter.topic, letter.outcome or "", "", ""), "other causes"
        tally = found.get(key)
        if tally is None:
            causes[letter.topic] = causes.get(letter.topic, 0) + 1
            said = cause if cause == "other causes" else letter.cause
            tally = found[key] = Tally(
                letter.topic, said, key[2], letter.outcome, 0, letter.time_ms, letter.time_ms
            )
        tally.letters += 1
        tally.oldest_ms = min(tally.oldest_ms, letter.time_ms)
        tally.newest_ms = max(tally.newest_ms, letter.time_ms)
    return sorted(found.values(), key=lambda tally: (tally.topic, -tally.letters, tally.cause))
