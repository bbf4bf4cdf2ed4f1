"""`kandle replay`: the past, published once more, at any speed, beside the live run."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from backtest.replay.control import ACTIONS, ask, speed_of
from backtest.replay.isolation import local_state, named
from backtest.replay.source import Period
from infra import logging
from infra.settings import LoggingSettings, Settings, load
from kandle.audit import Change, audit
from kandle.moments import Moment, Names
from kandle.replays.source import FORMS, source_of, topics_of
from kandle.servers import reach_kafka, reach_servers
from schemas.namespace import Namespace

if TYPE_CHECKING:
    from kandle.replays.run import Asked

INTERRUPTED: Final = 130
HOST = "127.0.0.1"
"""A past is served to this machine, unless told otherwise."""


@click.command()
@click.argument("words", nargs=-1, metavar="SOURCE")
@click.option("--from", "since", type=Moment(), help="Event times from here on; default: all.")
@click.option("--to", "until", type=Moment(), help="Event times before this one; default: all.")
@click.option(
    "--speed", default="max", show_default=True, metavar="N|max", help="Times the pace of the past."
)
@click.option("--into", metavar="PREFIX", help="Of the names of its topics, groups and tables.")
@click.option("--symbols", type=Names(), help="These alone, as BTC/USDT or binance:BTC/USDT; default: all.")
@click.option("--topics", help="These alone, as trades,quotes; default: all input topics.")
@click.option("--only-publish", is_flag=True, help="Write the topics; compute and store nothing.")
@click.option("--notify", is_flag=True, help="Send notifications of what the replay finds.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="That compute.")
@click.option("--paused", is_flag=True, help="Begin in a pause: for steps, or a seek.")
@click.option("--serve", is_flag=True, help="Publish nothing: let clients read it as from an exchange.")
@click.option(
    "--venue-format", metavar="MARKET", help="--serve as binance, gateio-futures ...; default: our own form."
)
@click.option("--host", default=HOST, show_default=True, help="Where --serve listens.")
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="Of --serve; 0 takes a free one.")
@click.option("--rewind", is_flag=True, help="--serve a client that comes back from the beginning.")
@click.option("--once", is_flag=True, help="End --serve with the past.")
@click.option("--control", metavar="PREFIX", help=f"Tell a running replay: {ACTIONS}.")
@click.option("--compare", metavar="PREFIX", help="Compare what a replay has made with the live run.")
@click.option("--drop", metavar="PREFIX", help="Remove all topics, groups and tables of a prefix.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object with what was done.")
@click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var.")
def replay(words: Sequence[str], **given: Any) -> None:
    """Publish what SOURCE holds of a period into topics named PREFIX.<topic>, in its order, and compute anew.

    SOURCE is topics[:PREFIX], archive[:PATH or URL], database[:PREFIX] or the path of a capture. Input topics
    are published; workers and a sink of the prefix's own derive the rest and store it in a schema of its own.
    Stopped or killed, the same command goes on where it stood, and the result is the same at every speed.

    On a terminal: space pauses, s steps by a record, n to the next time, + and - change the speed, m is max,
    q stops. From elsewhere: --control.

    \b
    Examples:
      kandle replay topics --from 2026-01-31T12:00Z --to 2026-01-31T13:00Z --into r1
      kandle replay archive --speed 10 --into r2
      kandle replay day.capture.gz --into r3 --only-publish --json
      kandle replay day.capture.gz --serve --venue-format binance --port 9443 --speed 10
      kandle replay --control r2 pause
      kandle replay --control r2 seek 2026-01-31T12:30Z
      kandle replay --compare r1
      kandle replay --drop r1
    """  # noqa: D301 - click asks for this control character
    settings = load(**({"data_dir": given["data_dir"]} if given["data_dir"] else {}))
    logging.configure(LoggingSettings(level="warning", format="human"), "replay")
    if given["control"]:
        _control(settings, given["control"], words)
        return
    if given["drop"] is not None or given["compare"] is not None:
        _keep_house(settings, words, given)
        return
    if len(words) != 1 or bool(given["into"]) == given["serve"]:
        raise click.UsageError(
            "say what and where: kandle replay SOURCE --into PREFIX, or kandle replay SOURCE --serve; "
            f"SOURCE is {FORMS}"
        )
    if given["since"] is not None and given["until"] is not None and given["since"] >= given["until"]:
        raise click.BadParameter("it is not after --from", param_hint="--to")
    if given["serve"]:
        _serve(settings, words[0], given)
        return
    found = _publish(settings, words[0], given)
    _tell(found, as_json=given["as_json"])
    if found["interrupted"]:
        sys.exit(INTERRUPTED)


def _publish(settings: Settings, name: str, given: dict[str, Any]) -> dict[str, Any]:
    from kandle.replays.run import Asked

    speed, into = speed_of(given["speed"]), named(given["into"])
    period = Period(given["since"], given["until"])
    with _reached(settings, name, only_publish=given["only_publish"]) as reached:
        source = source_of(name, reached, period)
        asked = Asked(
            into=into,
            period=period,
            topics=topics_of(given["topics"], source),
            symbols=given["symbols"] or None,
            speed=speed,
            is_paused=given["paused"],
            only_publish=given["only_publish"],
            notify=given["notify"],
            workers=given["workers"],
        )
        found = asyncio.run(_until_stopped(asked, source, reached))
        audit(reached.kafka, Change("replay", into.prefix, after=found))
    return found


def _serve(settings: Settings, source: str, given: dict[str, Any]) -> None:
    from kandle.replays.serving import Serving, serve_replay

    asked = Serving(
        source=source,
        period=Period(given["since"], given["until"]),
        symbols=given["symbols"] or None,
        speed=speed_of(given["speed"]),
        venue_format=given["venue_format"],
        host=given["host"],
        port=given["port"],
        rewind=given["rewind"],
        once=given["once"],
    )
    serve_replay(asked, settings)


@contextmanager
def _reached(settings: Settings, source: str, *, only_publish: bool) -> Iterator[Settings]:
    """The servers that are needed; what is not read from may be made."""
    if only_publish and not source.startswith("database"):
        with reach_kafka(settings, may_make=not source.startswith("topics")) as found:
            yield settings.model_copy(update={"kafka": found.kafka})
        return
    with reach_servers(settings, may_make=not source.startswith(("topics", "database"))) as reached:
        yield reached


async def _until_stopped(asked: Asked, source: Any, settings: Settings) -> dict[str, Any]:
    from kandle.replays.run import run_replay

    stop, signals = asyncio.Event(), []

    def stopped(number: int) -> None:
        signals.append(number)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped, number)
    found = await run_replay(asked, source, settings, stop)
    return found | {"interrupted": bool(signals) and not found["complete"]}


def _control(settings: Settings, prefix: str, words: Sequence[str]) -> None:
    if not words:
        raise click.UsageError(f"say what: {ACTIONS}")
    click.echo(json.dumps(ask(local_state(settings.data_dir, Namespace(prefix)), words)))


def _keep_house(settings: Settings, words: Sequence[str], given: dict[str, Any]) -> None:
    from kandle.replays.namespace import compare, drop
    from kandle.verification.stored import Range

    if words or given["into"] or (given["drop"] is not None and given["compare"] is not None):
        raise click.UsageError("--drop PREFIX and --compare PREFIX each stand alone: no SOURCE, no --into")
    if given["drop"] is not None:
        drop(settings, given["drop"], as_json=given["as_json"])
        return
    symbols = frozenset(_symbol(name) for name in given["symbols"] or ())
    range_ = Range(given["since"], given["until"], symbols)
    if not compare(settings, given["compare"], range_, as_json=given["as_json"]):
        sys.exit(1)


def _symbol(name: str) -> str:
    """BTC/USDT of itself and of binance:BTC/USDT; a symbol may have a colon of its own, behind the slash."""
    front, _, rest = name.partition(":")
    return (name if "/" in front else rest).upper()


def _tell(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found))
    else:
        for name, count in found["records"].items():
            click.echo(f"{found['prefix']}.{name}: {count:,} records published")
        if found["held_before"]:
            click.echo(f"{found['held_before']:,} records were there before")
        for name, count in (found["stored"] or {}).items():
            click.echo(f"{name}: {count:,} rows stored in the schema of {found['prefix']}")
        rate = f"{found['records_per_s']:,} records/s"
        click.echo(f"replay {found['replay_id']} took {found['seconds']:.1f} s; published at {rate}")
    if not found["complete"]:
        click.echo("kandle: it was stopped; to go on: " + shlex.join(["kandle", *sys.argv[1:]]), err=True)
    elif not found["records"] and not found["held_before"]:
        click.echo("kandle: nothing was published: the source holds nothing of what was asked for", err=True)
