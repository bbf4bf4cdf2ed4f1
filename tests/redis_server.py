"""A real Redis or Valkey on this machine, for the time of a test session."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import redis

from infra.embedded.ports import free_ports

PROGRAMS = ("redis-server", "valkey-server")


def program() -> str | None:
    """The server's program, if there is one."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class RedisServer:
    """One server; its data survives a kill, as each change is written to a file first."""

    def __init__(self, executable: str, folder: Path) -> None:
        self._executable = executable
        self._folder = folder
        self.port = free_ports(1)[0]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
        }
        argv = [part for name, value in options.items() for part in (f"--{name}", value)]
        process = subprocess.Popen([self._executable, *argv], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return process
            time.sleep(0.02)
        raise AssertionError("the server does not listen")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.process = self._start()

    def client(self) -> "redis.Redis":
        return redis.Redis.from_url(self.url, decode_responses=True)


@contextlib.contextmanager
def running(executable: str, folder: Path) -> Iterator[RedisServer]:
    server = RedisServer(executable, folder)
    try:
        yield server
    finally:
        server.kill()
