"""One text of SQL for every namespace: written for the schemas `kandle` and `public`, rendered for another.

All statements and migrations name their tables `kandle.<table>`. In a namespace the cursors that `cursors`
and `async_cursors` give put the namespace's schema in the place of `kandle` as they send a statement;
parameters and the bytes of COPY are left as they are. Without a namespace they are psycopg's own cursors.
A session in a namespace also finds its tables and views by their bare names first (`search_path`).
"""

from __future__ import annotations

import hashlib
import re
from functools import cache, lru_cache
from typing import Any, Final, Literal

import psycopg
from psycopg import sql
from psycopg.abc import Query

from schemas.namespace import LIVE, Namespace, current

SET_SEARCH_PATH: Final = "SELECT set_config('search_path', %s, false)"
_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_]*")
_NAMES: Final = {
    # As a value, as a name in a cast, in front of a table or function, after SCHEMA.
    name: re.compile(
        rf"(?P<cast>'{name}'(?=::regnamespace))|'(?P<value>{name})'"
        rf"|(?<![\w.\"])(?P<front>\"{name}\"|{name})\.(?=[\w\"%{{'])"
        rf"|(?<=\bSCHEMA )(?P<clause>(?:IF NOT EXISTS )?){name}\b"
        rf"|(?<=, )(?P<next>{name})(?= TO )"
    )
    for name in ("kandle", "public")
}


def quoted(schema: str) -> str:
    """The name of a schema as SQL wants it."""
    return schema if _PLAIN.fullmatch(schema) else f'"{schema}"'


def search_path(namespace: Namespace) -> str:
    """Where a session of a namespace looks for bare names."""
    return f"{quoted(namespace.schema)}, public"


@lru_cache(maxsize=1024)
def rendered(text: str, namespace: Namespace) -> str:
    """A statement for the tables of a namespace."""
    return text if namespace == LIVE else _with(text, "kandle", namespace.schema)


def rendered_file(text: str, namespace: Namespace) -> str:
    """A migration for the tables and views of a namespace."""
    if namespace == LIVE:
        return text
    return _with(_with(text, "kandle", namespace.schema), "public", namespace.views_schema)


def _with(text: str, name: Literal["kandle", "public"], schema: str) -> str:
    def replaced(found: re.Match[str]) -> str:
        if found["cast"]:
            return f"'{quoted(schema)}'"
        if found["value"]:
            return f"'{schema}'"
        if found["front"]:
            return f"{quoted(schema)}."
        return (found["clause"] or "") + quoted(schema)

    return _NAMES[name].sub(replaced, text)


def _sent(query: Query, cursor: Any, namespace: Namespace) -> bytes:
    if isinstance(query, sql.Composable):
        text = query.as_string(cursor.connection)
    elif isinstance(query, bytes):
        text = query.decode()
    else:
        text = str(query)
    return rendered(text, namespace).encode()


@cache
def cursors(namespace: Namespace) -> type[psycopg.Cursor[Any]]:
    """The cursors of connections to a namespace's tables."""
    if namespace == LIVE:
        return psycopg.Cursor

    class Cursor(psycopg.Cursor[Any]):
        def execute(self, query: Query, *arguments: Any, **options: Any) -> Any:
            return super().execute(_sent(query, self, namespace), *arguments, **options)

        def executemany(self, query: Query, *arguments: Any, **options: Any) -> None:
            super().executemany(_sent(query, self, namespace), *arguments, **options)

        def copy(self, statement: Query, *arguments: Any, **options: Any) -> Any:
            return super().copy(_sent(statement, self, namespace), *arguments, **options)

    return Cursor


@cache
def async_cursors(namespace: Namespace) -> type[psycopg.AsyncCursor[Any]]:
    """The same for asynchronous connections."""
    if namespace == LIVE:
        return psycopg.AsyncCursor

    class AsyncCursor(psycopg.AsyncCursor[Any]):
        async def execute(self, query: Query, *arguments: Any, **options: Any) -> Any:
            return await super().execute(_sent(query, self, namespace), *arguments, **options)

        async def executemany(self, query: Query, *arguments: Any, **options: Any) -> None:
            await super().executemany(_sent(query, self, namespace), *arguments, **options)

        def copy(self, statement: Query, *arguments: Any, **options: Any) -> Any:
            return super().copy(_sent(statement, self, namespace), *arguments, **options)

    return AsyncCursor


def lock_key(key: int) -> int:
    """The key of an advisory lock that one process of each namespace may hold: a bigint."""
    prefix = current().prefix
    if not prefix:
        return key
    digest = hashlib.sha256(f"{key}/{prefix}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True, byteorder="big")
