"""An HTTP server on loopback that answers what a test tells it, good or bad."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

CLOSE_TIMEOUT_S = 5.0


@dataclass
class Reply:
    """An answer.

    Attributes:
        body: As sent, after any encoding.
        status: HTTP status.
        headers: Besides the length.
        portion_bytes: Sent at once; all by default.
        pause_s: Before each portion, s.
        cut: The connection ends without the last byte.
    """

    body: bytes = b"{}"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    portion_bytes: int | None = None
    pause_s: float = 0.0
    cut: bool = False


class RestServer:
    """Answers requests by a function of the path, which a test may replace at any time.

    Attributes:
        answer: Path and query -> reply.
        requests: Paths in order of arrival, with the monotonic time of it, s.
        heads: The head of each request.
        bodies: What came with each, perhaps nothing.
        connections: Accepted since the start.
        most_under_way: Requests answered at the same time, at most.
    """

    def __init__(self, answer: Callable[[str], Reply] = lambda _: Reply()) -> None:
        self.answer = answer
        self.requests: list[tuple[str, float]] = []
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.most_under_way = 0
        self._under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["RestServer"]:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield self
        finally:
            self._server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._converse(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ", 2)[1]
        length = re.search(r"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
        self.bodies.append(await reader.readexactly(int(length[1])) if length else b"")
        self.heads.append(head)
        self.requests.append((path, time.monotonic()))
        self._under_way += 1
        self.most_under_way = max(self.most_under_way, self._under_way)
        try:
            return await self._reply(writer, self.answer(path))
        finally:
            self._under_way -= 1

    async def _reply(self, writer: asyncio.StreamWriter, reply: Reply) -> bool:
        headers = {"Content-Type": "application/json", **reply.headers}
        lines = [f"HTTP/1.1 {reply.status} X", f"Content-Length: {len(reply.body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        size = reply.portion_bytes or max(1, len(reply.body))
        for start in range(0, len(reply.body), size):
            await asyncio.sleep(reply.pause_s)
            last = start + size >= len(reply.body)
            writer.write(reply.body[start : start + size][: -1 if reply.cut and last else None])
            await writer.drain()
        return not reply.cut
