"""A small TCP proxy on loopback that cuts connections when told."""

from __future__ import annotations

import asyncio
import contextlib
import urllib.parse
from collections.abc import AsyncIterator


class TcpProxy:
    """Passes bytes between clients and a server.

    Attributes:
        url: The server's URL, with the proxy's address.
        cuts: Connections cut so far.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server_host, self._server_port = host, port
        self._word: bytes | None = None
        self._cut = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self.url = ""
        self.cuts = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def before(cls, url: str, port: int = 0) -> AsyncIterator[TcpProxy]:
        """A proxy before the server of a URL, on a port of its own or a given one."""
        parts = urllib.parse.urlsplit(url)
        proxy = cls(parts.hostname or "127.0.0.1", parts.port or 5432)
        server = await asyncio.start_server(proxy._serve, "127.0.0.1", port)
        port = server.sockets[0].getsockname()[1]
        user = parts.netloc.rpartition("@")[0]
        proxy.url = parts._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()
        try:
            yield proxy
        finally:
            server.close()
            async with asyncio.timeout(10):  # its clients have gone
                while proxy._connections:
                    await asyncio.sleep(0.01)

    async def cut_after_answer_to(self, word: bytes) -> None:
        """Cut the next connection whose client sends `word`: the server gets it, its answer is lost.

        Returns once that has happened.
        """
        self._word, self._cut = word, asyncio.Event()
        async with asyncio.timeout(30):
            await self._cut.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._pass_on(reader, writer)
        finally:
            await _close(writer)
            self._connections.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(self._server_host, self._server_port)
        cut = asyncio.Event()

        async def up() -> None:
            while data := await reader.read(65536):
                if self._word is not None and self._word in data:
                    self._word = None
                    cut.set()
                server_writer.write(data)
                await server_writer.drain()

        async def down() -> None:
            while data := await server_reader.read(65536):
                if cut.is_set():
                    self.cuts += 1
                    self._cut.set()
                    return
                writer.write(data)
                await writer.drain()

        tasks = [asyncio.create_task(up()), asyncio.create_task(down())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await _close(server_writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
