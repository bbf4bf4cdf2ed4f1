"""The store in Redis or Valkey: one transaction for changes and positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from infra.extras import missing
from infra.settings import CacheSettings
from schemas.errors import ConfigurationError, UnavailableError
from sinks.cache import names
from sinks.cache.changes import (
    Append,
    Change,
    Emit,
    Level,
    SetFields,
    SetLevels,
    SetList,
    SetText,
    level_member,
    level_of,
)

if TYPE_CHECKING:
    from redis.asyncio import Redis

PASSING = (
    "BUSY",
    "EXECABORT",
    "LOADING",
    "MASTERDOWN",
    "OOM",
    "READONLY",
    "TRYAGAIN",
    "MISCONF",
    "NOREPLICAS",
)
"""What Redis says that waiting, or more room, may mend."""


def connect(settings: CacheSettings) -> RedisStore:
    """A store at the configured address; nothing is sent yet.

    Raises:
        ConfigurationError: No address is configured, it is none, or the package is not installed.
    """
    if settings.url is None:
        raise ConfigurationError("no Redis is configured: set KANDLE_CACHE__URL, as redis://localhost:6379/0")
    try:
        from redis.asyncio import Redis
    except ImportError as error:
        raise missing("the cache", "redis", "cache") from error
    try:
        client = Redis.from_url(
            settings.url.get_secret_value(),
            decode_responses=True,
            socket_timeout=settings.timeout_s,
            socket_connect_timeout=settings.timeout_s,
            health_check_interval=30,
        )
    except ValueError as error:
        raise ConfigurationError(f"cache.url is no address of a Redis: {error}") from error
    return RedisStore(client)


class RedisStore:
    """A store of hot data.

    Args:
        client: Decodes answers.
    """

    def __init__(self, client: Redis) -> None:
        self._client: Any = client

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def fields(self, key: str) -> dict[str, str]:
        """A hash."""
        found: dict[str, str] = await self._client.hgetall(key)
        return found

    async def items(self, key: str) -> list[str]:
        """A list."""
        found: list[str] = await self._client.lrange(key, 0, -1)
        return found

    async def levels(self, key: str) -> list[Level]:
        """One side of a book, by ascending price."""
        return [level_of(member) for member in await self._client.zrange(key, 0, -1)]

    async def texts(self, keys: Sequence[str]) -> list[str | None]:
        """Several texts at once."""
        found: list[str | None] = await self._client.mget(keys) if keys else []
        return found

    async def members(self, key: str) -> set[str]:
        """A set."""
        found: set[str] = await self._client.smembers(key)
        return found

    async def subscribe(self, user: str, symbol: str) -> bool:
        """Note that a user follows a symbol; false if that was noted already."""
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.sadd(names.subscribers(symbol), user)
            pipe.sadd(names.subscriptions(user), symbol)
            return any(await pipe.execute())

    async def unsubscribe(self, user: str, symbol: str) -> bool:
        """Note that a user no longer follows a symbol; false if none was noted."""
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.srem(names.subscribers(symbol), user)
            pipe.srem(names.subscriptions(user), symbol)
            return any(await pipe.execute())

    async def move(
        self, changes: Sequence[Change], expected: Mapping[str, str | None], positions: Mapping[str, str]
    ) -> bool:
        """Make changes and set positions, if the positions have the expected values."""
        from redis.exceptions import WatchError

        async with self._client.pipeline(transaction=True) as pipe:
            await pipe.watch(*expected)
            if await pipe.mget(list(expected)) != list(expected.values()):
                return False
            pipe.multi()
            for change in changes:
                _queue(pipe, change)
            pipe.mset(dict(positions))
            try:
                await pipe.execute()
            except WatchError:
                return False
        return True


def _queue(pipe: Any, change: Change) -> None:
    match change:
        case SetFields(key, fields, ttl_s):
            pipe.hset(key, mapping=dict(fields))
            pipe.expire(key, int(ttl_s))
        case SetList(key, items, ttl_s):
            pipe.delete(key)
            if items:
                pipe.rpush(key, *items)
                pipe.expire(key, int(ttl_s))
        case Append(key, item, most, ttl_s):
            pipe.rpush(key, item)
            pipe.ltrim(key, -most, -1)
            pipe.expire(key, int(ttl_s))
        case SetLevels(key, levels, ttl_s):
            pipe.delete(key)
            if levels:
                pipe.zadd(key, {level_member(level): level[0] for level in levels})
                pipe.expire(key, int(ttl_s))
        case SetText(key, value, ttl_s):
            pipe.set(key, value, ex=int(ttl_s))
        case Emit(stream, fields, channels, most):
            if stream:
                pipe.xadd(stream, dict(fields), maxlen=most, approximate=True)
            for channel in channels:
                pipe.publish(channel, fields["data"])


def failure(error: Exception) -> Exception:
    """An error of the client as one of ours: passing, wrong settings, or itself."""
    from redis import exceptions

    if isinstance(error, exceptions.AuthenticationError | exceptions.NoPermissionError):
        return ConfigurationError(f"Redis refuses us, see cache.url: {error}")
    if isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError | OSError):
        return UnavailableError(f"Redis does not answer: {error}")
    if isinstance(error, exceptions.ResponseError) and str(error).startswith(PASSING):
        return UnavailableError(f"Redis cannot take this now: {error}")
    return error
