"""`kandle cache`: ask for hot data, in Redis or straight from the topics; note who follows what."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import click

from infra.settings import Settings, load
from kandle.audit import Change, audit
from kandle.servers import reach_kafka
from schemas import topics
from schemas.errors import ConfigurationError
from schemas.namespace import LIVE, current
from schemas.topics import Topic
from sinks.cache import names
from sinks.cache.answers import Answers
from sinks.cache.memory import filled
from sinks.cache.redis_store import RedisStore, connect, failure

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


@click.group()
def cache() -> None:
    """The newest of every market: tickers, candles, books, indicators, signals.

    With cache.url set the answer comes from Redis, where `kandle sink --only cache` keeps it; without, from
    the topics. A MARKET is a symbol as BTC/USDT, or venue:symbol.
    """


def _asking(command: F) -> F:
    for option in (
        click.option(
            "--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var."
        ),
        click.argument("market"),
    ):
        command = option(command)
    return command


@cache.command()
@_asking
def ticker(market: str, data_dir: str | None) -> None:
    """Price, volume, change and time of a market.

    Example: kandle cache ticker BTC/USDT
    """
    _show(data_dir, [topics.TICKERS, topics.TRADES], lambda answers: answers.ticker(market))


@cache.command()
@click.option("--interval", default="1m", show_default=True, help="Interval of the candles.")
@_asking
def candles(market: str, interval: str, data_dir: str | None) -> None:
    """Closed candles, oldest first: time in ms, open, high, low, close, volume.

    Example: kandle cache candles BTC/USDT --interval 1s
    """
    _show(data_dir, [topics.CANDLES], lambda answers: answers.candles(market, interval))


@cache.command()
@_asking
def book(market: str, data_dir: str | None) -> None:
    """The best levels of a market's order book, best first.

    Example: kandle cache book binance:BTC/USDT
    """

    async def levels(answers: Answers) -> dict[str, Any]:
        found = await answers.book(market)
        return {"bids": found.bids, "asks": found.asks} if found.bids or found.asks else {}

    _show(data_dir, [topics.BOOKS], levels)


@cache.command()
@click.option("--interval", default="1m", show_default=True, help="Interval of the candles.")
@_asking
def indicators(market: str, interval: str, data_dir: str | None) -> None:
    """The newest values of a market's indicators.

    Example: kandle cache indicators BTC/USDT --interval 1m
    """
    _show(data_dir, [topics.INDICATORS], lambda answers: answers.indicators(market, interval))


@cache.command()
@_asking
def signals(market: str, data_dir: str | None) -> None:
    """The last signals of a market, oldest first.

    Example: kandle cache signals BTC/USDT
    """
    _show(data_dir, [topics.SIGNALS], lambda answers: answers.signals(market))


@cache.command()
@click.argument("user")
@click.argument("symbol")
def subscribe(user: str, symbol: str) -> None:
    """Let a USER follow a SYMBOL: what changes is published on user:USER, if cache.publish is set.

    Example: kandle cache subscribe alice BTC/USDT
    """
    _note(user, symbol, wanted=True)


@cache.command()
@click.argument("user")
@click.argument("symbol")
def unsubscribe(user: str, symbol: str) -> None:
    """Let a USER no longer follow a SYMBOL.

    Example: kandle cache unsubscribe alice BTC/USDT
    """
    _note(user, symbol, wanted=False)


@cache.command()
@click.argument("user")
def subscriptions(user: str) -> None:
    """The symbols that a USER follows.

    Example: kandle cache subscriptions alice
    """
    found = _with_redis(load(), lambda store: store.members(names.subscriptions(user)))
    click.echo(json.dumps(sorted(found)))


def _note(user: str, symbol: str, *, wanted: bool) -> None:
    if not user.strip() or "/" not in symbol:
        raise ConfigurationError(f"a user and a symbol as BTC/USDT are wanted; got {user!r} and {symbol!r}")
    settings = load()

    async def note(store: RedisStore) -> bool:
        change = store.subscribe if wanted else store.unsubscribe
        return await change(user, symbol)

    with reach_kafka(settings) as reached:
        changed = _with_redis(settings, note)
        if changed:
            action = "cache subscribe" if wanted else "cache unsubscribe"
            audit(reached.kafka, Change(action, user, None if wanted else symbol, symbol if wanted else None))
    told = "follows" if wanted else "does not follow"
    click.echo(f"{user} {told} {symbol}" if changed else f"nothing to do: {user} {told} {symbol}")


def _show(data_dir: str | None, sources: Sequence[Topic], ask: Callable[[Answers], Awaitable[Any]]) -> None:
    settings = load(**({"data_dir": data_dir} if data_dir else {}))
    if settings.cache.url is not None and current() == LIVE:
        found = _with_redis(settings, lambda store: ask(Answers(store)))
    else:
        with reach_kafka(settings) as reached:
            found = asyncio.run(
                _from_topics(settings.model_copy(update={"kafka": reached.kafka}), sources, ask)
            )
    if not found:
        raise click.ClickException("nothing is known of this market, or no longer")
    click.echo(json.dumps(found))


async def _from_topics(
    settings: Settings, sources: Sequence[Topic], ask: Callable[[Answers], Awaitable[T]]
) -> T:
    return await ask(Answers(await filled(settings, sources)))


def _with_redis(settings: Settings, ask: Callable[[RedisStore], Awaitable[T]]) -> T:
    if current() != LIVE:
        raise ConfigurationError(f"the cache holds what is live, nothing of the namespace {current()}")

    async def asked() -> T:
        store = connect(settings.cache)
        try:
            return await ask(store)
        except Exception as error:
            raise failure(error) from error
        finally:
            await store.close()

    return asyncio.run(asked())
