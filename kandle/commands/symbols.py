"""`kandle symbols`: what the producers feed, changed while they run."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from infra.kafka.admin import Admin
from infra.kafka.publisher import Publisher
from infra.settings import KafkaSettings, Settings, load
from kandle.audit import Change, audit
from kandle.servers import reach_kafka
from kandle.topic_reader import TopicReader
from producers.control import Requests, request_symbols, shard_of
from producers.instruments import Listing, fetch_instruments, is_pattern
from producers.markets import exchange_class
from producers.plugins import load_venues
from producers.shard import addresses_of
from producers.transport import transport_of
from schemas.errors import UnavailableError
from schemas.records import Instrument
from schemas.topics import CONTROL

FLUSH_TIMEOUT_S = 10.0
ASK_TIMEOUT_S = 10.0

F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def symbols() -> None:
    """Add, remove or list the symbols that producers feed, without a restart.

    What is asked for is kept in the control topic: it holds after a restart too, until it is asked otherwise.
    """


def _options(command: F) -> F:
    for option in (
        click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; ./var."),
        click.option("--market", help="Kind of market; default from the settings: spot."),
        click.option("--venue", help="Venue; default from the settings: binance."),
    ):
        command = option(command)
    return command


@symbols.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--unchecked", is_flag=True, help="Do not ask the venue whether it lists them.")
@_options
def add(names: Sequence[str], unchecked: bool, **where: str | None) -> None:
    """Feed these symbols as well; patterns as */USDT are allowed.

    The venue is asked whether it lists them; if it cannot be reached, they are taken as they are, with a
    warning: a producer leaves out what is not listed, and feeds it once it is.

    Example: kandle symbols add SOL/USDT --venue binance
    """
    settings = _settings(symbols=",".join(names), **where)
    if not unchecked:
        _check_listed(settings)
    _request(settings, True)


@symbols.command()
@click.argument("names", nargs=-1, required=True)
@_options
def remove(names: Sequence[str], **where: str | None) -> None:
    """Feed these symbols no longer, whether the settings or a request named them.

    Example: kandle symbols remove SOL/USDT
    """
    _request(_settings(symbols=",".join(names), **where), False)


@symbols.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@_options
def list_(as_json: bool, **where: str | None) -> None:
    """Show which symbols are fed, and by which shard.

    Example: kandle symbols list --json
    """
    settings = _settings(**where)
    market = exchange_class(settings.producer.venue, settings.producer.market)
    with reach_kafka(settings) as reached:
        Admin(reached.kafka).ensure_topics()
        requests = _requests(reached.kafka, market.venue, market.market)
    configured = list(settings.producer.symbols)
    shards = settings.producer.shards
    fed = [
        {
            "symbol": name,
            "shard": None if is_pattern(name) else shard_of(name, shards),
            "from": "settings" if name in configured else "request",
        }
        for name in requests.names(configured)
    ]
    removed = [symbol for symbol, request in requests.newest.items() if not request.wanted]
    if as_json:
        head = {"venue": market.venue, "market": market.market, "shards": shards}
        click.echo(json.dumps({**head, "symbols": fed, "removed": removed}))
        return
    for row in fed:
        place = "all shards" if row["shard"] is None else f"shard {row['shard']}"
        click.echo(f"{row['symbol']:<20} {place:<10}  by {row['from']}")
    for symbol in removed:
        click.echo(f"{symbol:<20} removed")


def _check_listed(settings: Settings) -> None:
    """Ask the venue whether it lists the symbols of the settings.

    Raises:
        ConfigurationError: It does not; the message names near matches.
    """
    market = exchange_class(settings.producer.venue, settings.producer.market)
    transport = transport_of(market, addresses_of(settings), settings.venues.get(market.venue))

    async def listed() -> list[Instrument]:
        making = asyncio.create_task(transport.desk.run(asyncio.Event()))
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                return await fetch_instruments(market, transport.desk, time.time_ns() // 1_000)
        finally:
            making.cancel()
            await asyncio.gather(making, return_exceptions=True)
            await transport.desk.close()

    try:
        found = asyncio.run(listed())
    except (UnavailableError, TimeoutError) as error:
        why = str(error) or f"no answer within {ASK_TIMEOUT_S:g} s"
        click.echo(f"warning: whether {market.venue} lists these is not known: {why}", err=True)
        return
    Listing(found, market.venue).choose(settings.producer.symbols)


def _requests(kafka: KafkaSettings, venue: str, market: str) -> Requests:
    """What was asked for so far."""
    found = Requests(venue, market)
    with TopicReader(kafka, CONTROL.name, marks=False) as reader:
        for message in reader.present(reader.low):
            found.take(message.value())
    return found


def _request(settings: Settings, wanted: bool) -> None:
    chosen = settings.producer
    market = exchange_class(chosen.venue, chosen.market)

    async def write() -> None:
        publisher = Publisher(reached.kafka, client_id="kandle-symbols")
        try:
            now = time.time_ns() // 1_000
            await request_symbols(
                publisher, market.venue, market.market, chosen.symbols, wanted, partitions, now
            )
            await publisher.flush(FLUSH_TIMEOUT_S)
        finally:
            await publisher.close(timeout_s=FLUSH_TIMEOUT_S)

    with reach_kafka(settings) as reached:
        Admin(reached.kafka).ensure_topics()
        partitions = reached.kafka.partitions
        before = _requests(reached.kafka, market.venue, market.market).newest
        asyncio.run(write())
        action, after = ("symbols add" if wanted else "symbols remove"), {"wanted": wanted}
        audit(
            reached.kafka,
            *(
                Change(action, f"{market.venue} {market.market} {name}", before.get(name), after)
                for name in chosen.symbols
            ),
        )
    verb = "will be fed" if wanted else "will be fed no longer"
    click.echo(f"{', '.join(chosen.symbols)} of {market.venue} {market.market} {verb}")


def _settings(data_dir: str | None = None, **producer: str | None) -> Settings:
    """Settings in force, with what the command line says of the producer."""
    given = {name: value for name, value in producer.items() if value is not None}
    settings = load(**({"data_dir": data_dir} if data_dir else {}), **({"producer": given} if given else {}))
    load_venues(settings.producer.plugins)
    return settings
