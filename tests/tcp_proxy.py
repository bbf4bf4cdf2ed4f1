"""A small TCP proxy on loopback that cuts, holds, slows down and resets connections when told."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import urllib.parse
from collections.abc import AsyncIterator

CHUNK = 65536
Chunks = asyncio.Queue[tuple[float, bytes]]


class TcpProxy:
    """Passes bytes between clients and a server.

    Attributes:
        url: The server's URL, or its `host:port`, with the proxy's address.
        cuts: Connections cut so far.
        resets: Connections reset so far.
        accepted: Connections that clients have made so far.
        latency_s: What is passed on arrives so much later, in each direction.
        refuses: Whether new connections are closed at once.
        link: While it is clear, nothing is passed on, and nobody is told: the link is half open.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server_host, self._server_port = host, port
        self._word: bytes | None = None
        self._cut = asyncio.Event()
        self._last_word: bytes | None = None
        self._held = asyncio.Event()
        self._rewritten: tuple[bytes, bytes] | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = ""
        self.cuts = 0
        self.resets = 0
        self.accepted = 0
        self.latency_s = 0.0
        self.refuses = False
        self.link = asyncio.Event()
        self.link.set()

    @classmethod
    @contextlib.asynccontextmanager
    async def before(cls, url: str, at: int = 0) -> AsyncIterator[TcpProxy]:
        """A proxy before the server of a URL, at a port of ours, or at any."""
        parts = urllib.parse.urlsplit(url)
        async with cls(parts.hostname or "127.0.0.1", parts.port or 5432)._serving(at) as (proxy, port):
            user = parts.netloc.rpartition("@")[0]
            proxy.url = parts._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()
            yield proxy

    @classmethod
    @contextlib.asynccontextmanager
    async def before_kafka(cls, server: str) -> AsyncIterator[TcpProxy]:
        """A proxy before a broker; where its answers name its own address, the proxy's goes to clients."""
        host, _, number = server.rpartition(":")
        async with cls(host, int(number))._serving() as (proxy, port):
            name = host.encode()
            proxy._rewritten = (name + struct.pack(">i", int(number)), name + struct.pack(">i", port))
            proxy.url = f"{host}:{port}"
            yield proxy

    @contextlib.asynccontextmanager
    async def _serving(self, at: int = 0) -> AsyncIterator[tuple[TcpProxy, int]]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", at)
        try:
            yield self, server.sockets[0].getsockname()[1]
        finally:
            self.link.set()
            server.close()
            # Its clients have gone, but for those of librdkafka, which close when they are collected.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    while self._connections:
                        await asyncio.sleep(0.01)
            left = list(self._connections)
            for connection in left:
                connection.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def cut_after_answer_to(self, word: bytes) -> None:
        """Cut the next connection whose client sends `word`: the server gets it, its answer is lost.

        Returns once that has happened.
        """
        self._word, self._cut = word, asyncio.Event()
        async with asyncio.timeout(30):
            await self._cut.wait()

    async def hold_after(self, word: bytes) -> None:
        """Pass nothing on of the next connection whose client sends `word` beyond that word.

        Returns once that has happened.
        """
        self._last_word, self._held = word, asyncio.Event()
        async with asyncio.timeout(30):
            await self._held.wait()

    def reset_all(self) -> None:
        """Reset every connection, on both sides."""
        for writer in list(self._writers):
            self.resets += 1
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        self._connections.add(task)
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError):
                await self._pass_on(reader, writer)
        finally:
            await _close(writer)
            self._writers.discard(writer)
            self._connections.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            return
        await self.link.wait()
        server_reader, server_writer = await asyncio.open_connection(self._server_host, self._server_port)
        self._writers.add(server_writer)
        cut = asyncio.Event()
        upward: Chunks = asyncio.Queue(16)
        downward: Chunks = asyncio.Queue(16)

        async def up() -> None:
            while data := await reader.read(CHUNK):
                if self._word is not None and self._word in data:
                    self._word = None
                    cut.set()
                if self._last_word is not None and self._last_word in data:
                    word, self._last_word = self._last_word, None
                    await upward.put((self._due(), data[: data.index(word) + len(word)]))
                    self._held.set()
                    await asyncio.Event().wait()
                await upward.put((self._due(), data))
            await upward.join()

        async def down() -> None:
            while data := await server_reader.read(CHUNK):
                if cut.is_set():
                    self.cuts += 1
                    self._cut.set()
                    return
                if self._rewritten is not None:
                    data = data.replace(*self._rewritten)
                await downward.put((self._due(), data))
            await downward.join()

        tasks = [
            asyncio.create_task(each)
            for each in (up(), down(), self._write(upward, server_writer), self._write(downward, writer))
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._writers.discard(server_writer)
            await _close(server_writer)

    def _due(self) -> float:
        return asyncio.get_running_loop().time() + self.latency_s

    async def _write(self, chunks: Chunks, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await chunks.get()
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            await self.link.wait()
            writer.write(data)
            await writer.drain()
            chunks.task_done()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        async with asyncio.timeout(1):  # who does not read any more does not take what is left, either
            await writer.wait_closed()
    except TimeoutError:
        writer.transport.abort()
    except OSError:
        pass
