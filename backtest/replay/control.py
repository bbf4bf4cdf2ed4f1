"""Controls of a running replay: what may be asked of it, and the socket by which another process asks.

The socket lies beside the replay's logs, and is its user's alone. A question is a line of words, the answer a
line of JSON: the state, or an error.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from backtest.replay.pace import MAX, Pace
from schemas.errors import ConfigurationError, ConflictError, KandleError, UnavailableError
from schemas.records import Micros

SOCKET: Final = "control.sock"
LONGEST_PATH: Final = 100
"""Bytes of a socket's path that every system takes."""
TIMEOUT_S: Final = 5.0
ACTIONS: Final = "pause, resume, step [N], speed N|max, seek TIME, status, stop"


class Controls:
    """Does what is asked of a replay.

    Args:
        pace: Of the replay.
        stop: Set to end it, so that it can go on later.
        state: What it is at, for the answers.
        time_of: Reads a time, µs; raises `ValueError`.
    """

    def __init__(
        self,
        pace: Pace,
        stop: asyncio.Event,
        state: Callable[[], Mapping[str, Any]],
        time_of: Callable[[str], Micros],
    ) -> None:
        self._pace = pace
        self._stop = stop
        self._state = state
        self._time_of = time_of

    def do(self, words: Sequence[str]) -> Mapping[str, Any]:
        """Do one thing; the state afterwards.

        Raises:
            ConfigurationError: It is none of `ACTIONS`, or its value does not fit.
            ConflictError: It would mean to go back.
        """
        match list(words):
            case ["pause"]:
                self._pace.pause()
            case ["resume"]:
                self._pace.resume()
            case ["step"]:
                self._pace.step()
            case ["step", count] if count.isdecimal():
                self._pace.step(int(count))
            case ["speed", speed]:
                self._pace.set_speed(speed_of(speed))
            case ["seek", time]:
                try:
                    goal = self._time_of(time)
                except ValueError as error:
                    raise ConfigurationError(str(error)) from None
                self._pace.seek(goal)
            case ["stop"]:
                self._stop.set()
            case ["status"]:
                pass
            case _:
                raise ConfigurationError(f"a replay can be told: {ACTIONS}; got {' '.join(words)!r}")
        return self._state()


def speed_of(text: str) -> float:
    """A speed as it is written: a number, or max.

    Raises:
        ConfigurationError: It is neither, or not positive.
    """
    if text == "max":
        return MAX
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < MAX:
        raise ConfigurationError(f"the speed is a positive number or max, got {text!r}")
    return speed


@asynccontextmanager
async def listening(folder: Path, controls: Controls) -> AsyncIterator[None]:
    """Answer other processes while the block runs.

    Args:
        folder: Of the replay's namespace, held by this process.
        controls: What does it.

    Where the folder's path is too long for a socket, nobody is answered.
    """
    try:
        path = _path(folder)
    except ConfigurationError:
        yield
        return
    path.unlink(missing_ok=True)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ValueError):
            words = (await reader.readline()).decode("utf-8", "replace").split()
            try:
                told = dict(controls.do(words))
            except KandleError as error:
                told = {"error": str(error), "exit_code": error.exit_code}
            writer.write(json.dumps(told).encode() + b"\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(answer, path)
    os.chmod(path, 0o600)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


def ask(folder: Path, words: Sequence[str]) -> dict[str, Any]:
    """Ask the replay of a namespace for something; blocks for its answer.

    Raises:
        UnavailableError: None runs there.
        ConfigurationError: It does not know what is asked.
        ConflictError: It does not do what is asked.
    """
    path = _path(folder)
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(TIMEOUT_S)
            link.connect(str(path))
            link.sendall(" ".join(words).encode() + b"\n")
            with link.makefile("rb") as lines:
                found: dict[str, Any] = json.loads(lines.readline())
    except (OSError, ValueError) as error:
        raise UnavailableError(
            f"no replay answers in {folder} ({error}): is the data directory the right one?"
        ) from None
    if "error" in found:
        kind = ConfigurationError if found.get("exit_code") == ConfigurationError.exit_code else ConflictError
        raise kind(found["error"])
    return found


def _path(folder: Path) -> Path:
    path = folder / SOCKET
    if len(os.fsencode(path)) > LONGEST_PATH:
        relative = Path(os.path.relpath(path))
        if len(os.fsencode(relative)) > LONGEST_PATH:
            raise ConfigurationError(
                f"the path {path} is too long for a socket: use a data directory with a shorter one"
            )
        return relative
    return path
