"""`kandle dlq`: what stages could not use; look at it, send it back, or drop it."""

import sys
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, TypeVar

import click
import msgspec
import numpy as np

from infra.range_set import RangeSet
from infra.settings import KafkaSettings, load
from kandle.audit import Change, audit
from kandle.dead_letters.letter import DeadLetter, Outcome
from kandle.dead_letters.log import DeadLetterLog, Selection
from kandle.dead_letters.settling import Settling
from kandle.dead_letters.summary import tallies
from kandle.moments import UNITS_S, Since
from kandle.rendering import as_dict, as_line, iso_time
from kandle.servers import reach_kafka
from kandle.venue_calls import moment, table
from schemas import rows
from schemas.errors import DataError

HEX_BYTES: Final = 256
"""Bytes of a value that cannot be decoded which are shown to people; JSON has all of them."""
RANGES: Final = 10_000
"""Ranges of offsets in one entry of the audit, at most: of 41 bytes each, so that a record holds them."""

F = TypeVar("F", bound=Callable[..., Any])


def _filters(command: F) -> F:
    for option in (
        click.option(
            "--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var."
        ),
        click.option("--json", "as_json", is_flag=True, help="One JSON object a line."),
        click.option("--since", type=Since(), help="Put aside since then: a time, or an age as 2h."),
        click.option("--offset", "offsets", type=int, multiple=True, help="Offset in the dead letter topic."),
        click.option("--cause", metavar="GLOB", help="Cause, as '*unknown schema*'; any case."),
        click.option("--topic", "topics", multiple=True, help="Topic, with or without .dlq; default: all."),
    ):
        command = option(command)
    return command


@click.group()
def dlq() -> None:
    """See what stages could not use, send it back, or drop it.

    A record that a stage cannot use goes to the topic of the same name with .dlq, as it was, and headers say
    why. Here is what waits there. What was sent back or dropped is not listed any more, unless --all.
    """


@dlq.command("list")
@_filters
@click.option("--all", "settled", is_flag=True, help="What was sent back or dropped, too.")
def list_(data_dir: str | None, as_json: bool, **chosen: Any) -> None:
    """Count what waits, by topic and cause.

    Example: kandle dlq list --since 1d
    """
    with _kafka(data_dir) as kafka:
        found = tallies(DeadLetterLog(kafka, _selection(**chosen)).letters())
    now_ms = time.time_ns() // 1_000_000
    if as_json:
        for each in found:
            click.echo(
                msgspec.json.encode(
                    {
                        "topic": each.topic,
                        "letters": each.letters,
                        "cause": each.cause,
                        "stage": each.stage,
                        "outcome": each.outcome or "waiting",
                        "oldest": iso_time(each.oldest_ms * 1000),
                        "newest": iso_time(each.newest_ms * 1000),
                        "oldest_age_s": (now_ms - each.oldest_ms) / 1000,
                    }
                )
            )
        return
    if not found:
        click.echo("no dead letters wait" if not chosen["settled"] else "there are no dead letters")
        return
    lines = [
        (
            each.topic,
            str(each.letters),
            _age(now_ms - each.oldest_ms),
            each.stage,
            each.outcome or "waiting",
            _short(each.cause),
        )
        for each in found
    ]
    click.echo(table(("topic", "letters", "oldest", "stage", "state", "cause"), lines))


@dlq.command()
@_filters
@click.option("--all", "settled", is_flag=True, help="What was sent back or dropped, too.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Letters, at most.")
def show(data_dir: str | None, as_json: bool, limit: int, **chosen: Any) -> None:
    """Show dead letters, oldest first: why, from where, and what they hold.

    Example: kandle dlq show --topic market.trades.v1 --cause '*schema*' --limit 5
    """
    with _kafka(data_dir) as kafka:
        letters = DeadLetterLog(kafka, _selection(**chosen)).letters()
        for letter in islice(letters, limit):
            click.echo(msgspec.json.encode(_as_dict(letter)) if as_json else _as_text(letter))


@dlq.command()
@_filters
@click.option("--yes", is_flag=True, help="Without being asked.")
def retry(data_dir: str | None, as_json: bool, yes: bool, **chosen: Any) -> None:
    """Send dead letters back to the topics that they came from, once what refused them is mended.

    Each goes back once, however often this is run or killed: with its key, its value, its headers, in its
    order. A letter that is refused again is a new one.

    Example: kandle dlq retry --topic market.trades.v1 --cause '*unknown schema*'
    """
    _settle("retried", data_dir, as_json, yes, _selection(settled=False, **chosen))


@dlq.command()
@_filters
@click.option("--yes", is_flag=True, help="Without being asked.")
def drop(data_dir: str | None, as_json: bool, yes: bool, **chosen: Any) -> None:
    """Have done with dead letters: they are not listed any more. The log keeps them until their time is over.

    Example: kandle dlq drop --topic market.quotes.v1 --offset 17 --offset 18
    """
    _settle("dropped", data_dir, as_json, yes, _selection(settled=False, **chosen))


def _settle(outcome: Outcome, data_dir: str | None, as_json: bool, yes: bool, selection: Selection) -> None:
    done: dict[tuple[str, int], RangeSet] = {}

    def remember(letters: list[DeadLetter]) -> None:
        for partition, offsets in _offsets(letters).items():
            done.setdefault(partition, RangeSet()).update(offsets)

    with _kafka(data_dir) as kafka:
        log = DeadLetterLog(kafka, selection)
        foreign = 0

        def usable() -> Iterator[DeadLetter]:
            nonlocal foreign
            for letter in log.letters():
                if outcome == "retried" and not letter.can_return:
                    foreign += 1
                else:
                    yield letter

        meant = _offsets(usable())
        if foreign:
            click.echo(
                f"{foreign} came from no topic, as a frame of a venue: they cannot be sent back", err=True
            )
        count = sum(map(len, meant.values()))
        for (topic, _), offsets in meant.items():
            click.echo(f"{topic}: {len(offsets)} to be {outcome}", err=True)
        if not count:
            click.echo("no dead letters wait that are meant", err=True)
        elif yes or _is_meant(f"Shall these {count} be {outcome}?"):
            # Whoever settles now shuts others out, and then reads what they have left.
            settling = Settling(kafka, log.partition_counts, remember)
            waiting = (
                letter
                for letter in log.letters()
                if letter.offset in meant.get((letter.topic, letter.partition), RangeSet())
            )
            try:
                settling.settle(waiting, outcome)
            finally:
                action = "dlq retry" if outcome == "retried" else "dlq drop"
                audit(
                    kafka,
                    *(
                        Change(action, topic, None, {"partition": partition, outcome: ranges})
                        for (topic, partition), offsets in done.items()
                        for ranges in _portions(offsets)
                    ),
                )
        for (topic, partition), offsets in done.items():
            if as_json:
                said = {"topic": topic, "partition": partition, outcome: len(offsets)}
                click.echo(msgspec.json.encode(said))
            else:
                click.echo(f"{topic}: {len(offsets)} {outcome}")


def _is_meant(question: str) -> bool:
    """Ask on stderr alone: what a prompt of click leaves on stdout would stand in front of JSON."""
    while True:
        click.echo(f"{question} [y/N]: ", nl=False, err=True)
        answer = sys.stdin.readline()
        if not answer:
            raise click.Abort
        if (said := answer.strip().lower()) in ("", "n", "no"):
            return False
        if said in ("y", "yes"):
            return True
        click.echo("Error: invalid input", err=True)


def _portions(offsets: RangeSet) -> Iterator[list[tuple[int, int]]]:
    """The ranges, in portions that an entry of the audit can hold."""
    ranges = iter(offsets)
    while portion := list(islice(ranges, RANGES)):
        yield portion


def _offsets(letters: Iterable[DeadLetter]) -> dict[tuple[str, int], RangeSet]:
    """Offsets by topic and partition, of letters in their order."""
    found: dict[tuple[str, int], array[int]] = {}
    for letter in letters:
        found.setdefault((letter.topic, letter.partition), array("q")).append(letter.offset)
    sets = {partition: RangeSet() for partition in found}
    for partition, offsets in found.items():
        # At once: one by one, letters of which others lie in between take a time that grows with the square.
        sets[partition].add_sorted_array(np.frombuffer(offsets, np.int64))
    return sets


@contextmanager
def _kafka(data_dir: str | None) -> Iterator[KafkaSettings]:
    with reach_kafka(load(**({"data_dir": data_dir} if data_dir else {}))) as reached:
        yield reached.kafka


def _selection(
    topics: Iterable[str], cause: str | None, offsets: Iterable[int], since: int | None, settled: bool
) -> Selection:
    if (chosen := frozenset(offsets)) and len(list(topics)) != 1:
        raise click.UsageError("an --offset is one of a topic: say one --topic")
    return Selection(tuple(topics), cause, chosen, since, settled)


def _as_dict(letter: DeadLetter) -> dict[str, Any]:
    return {
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "time": iso_time(letter.time_ms * 1000),
        "state": letter.outcome or "waiting",
        "cause": letter.cause,
        "error": letter.kind,
        "stage": letter.stage,
        "source": {
            "topic": letter.source,
            "partition": letter.source_partition,
            "offset": letter.source_offset,
        },
        "key": _text(letter.key),
        "headers": [[name, _text(value)] for name, value in letter.headers],
        "value_hex": None if letter.value is None else letter.value.hex(),
        "record": _decoded(letter),
    }


def _as_text(letter: DeadLetter) -> str:
    age = _age(time.time_ns() // 1_000_000 - letter.time_ms)
    came = (
        f"{letter.source}/{letter.source_partition}/{letter.source_offset}"
        if letter.can_return
        else "outside"
    )
    lines = [
        f"{letter.name}  {moment(letter.time_ms * 1000)}, {age} ago, {letter.outcome or 'waiting'}",
        f"  cause    {letter.cause} ({letter.kind}, stage {letter.stage})",
        f"  from     {came}",
        f"  key      {_text(letter.key)}",
        *(f"  header   {name} = {_text(value)}" for name, value in letter.headers),
        f"  value    {_value(letter)}",
    ]
    return "\n".join(lines)


def _value(letter: DeadLetter) -> str:
    if letter.value is None:
        return "null"
    try:
        return as_line(rows.decode(letter.value))
    except DataError:
        more = " ..." if len(letter.value) > HEX_BYTES else ""
        return f"{len(letter.value)} bytes: {letter.value[:HEX_BYTES].hex(' ')}{more}"


def _decoded(letter: DeadLetter) -> dict[str, Any] | None:
    try:
        return None if letter.value is None else as_dict(rows.decode(letter.value))
    except DataError:
        return None


def _text(data: bytes | None) -> str | None:
    """Bytes as text, or as hex where they are none."""
    if data is None:
        return None
    text = data.decode("utf-8", "replace")
    return text if text.isprintable() and "\ufffd" not in text else f"0x{data.hex()}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:77]}..."


def _age(elapsed_ms: int) -> str:
    seconds = max(0, elapsed_ms // 1000)
    for unit, size in reversed(UNITS_S.items()):
        if seconds >= 2 * size or size == 1:
            return f"{seconds // size} {unit}"
    raise AssertionError("every age is in seconds at least")
