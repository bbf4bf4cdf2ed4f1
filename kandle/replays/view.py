"""A replay as people watch it: a bar that moves with event time; without a terminal, a line now and then."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import time
import tty
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import click

from backtest.replay.control import Controls
from backtest.replay.pace import MAX, Pace
from kandle.times import format_time
from schemas.errors import KandleError
from schemas.records import Micros

TERMINAL_EVERY_S: Final = 0.2
LINES_EVERY_S: Final = 10.0
RATE_OVER_S: Final = 5.0
WIDTH: Final = 24
SECOND_US: Final = 1_000_000
KEYS_TOLD: Final = "space pause, s step, n next time, + - speed, m max, q stop"
_FASTER: Final = 2.0


class ReplayView:
    """What a replay is at, and its display on standard error.

    Args:
        pace: Of the replay.
        times: First and last event time, µs; None: not known.
        clock: Monotonic time, s.
    """

    def __init__(
        self, pace: Pace, times: tuple[Micros, Micros] | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pace = pace
        self._times = times
        self._clock = clock
        self._records = 0
        self._recent: deque[tuple[float, int, Micros]] = deque()
        self._told = ""
        self._notice = ""

    def took(self, records: int) -> None:
        """Count records that were handed over."""
        self._records += records

    def notice(self, text: str) -> None:
        """Show a text until the next one."""
        self._notice = text

    def state(self) -> dict[str, Any]:
        """What the replay is at; for programs."""
        now, newest = self._clock(), self._pace.newest_us
        if newest is not None:
            self._recent.append((now, self._records, newest))
        while len(self._recent) > 2 and self._recent[0][0] < now - RATE_OVER_S:
            self._recent.popleft()
        passed_s, records, event_us = self._passed()
        return {
            "speed": "max" if self._pace.speed == MAX else self._pace.speed,
            "paused": self._pace.is_paused,
            "time": None if newest is None else format_time(newest),
            "records": self._records,
            "records_per_s": round(records / passed_s) if passed_s else 0,
            "part": self._part(newest),
            "left_s": self._left_s(newest, event_us / passed_s if passed_s else 0.0),
        }

    def _passed(self) -> tuple[float, int, Micros]:
        if len(self._recent) < 2:
            return 0.0, 0, 0
        (since_s, before, earlier), (now, after, later) = self._recent[0], self._recent[-1]
        return now - since_s, after - before, later - earlier

    def _part(self, newest: Micros | None) -> float | None:
        if self._times is None or newest is None:
            return None
        first, last = self._times
        return round(min(max((newest - first) / max(last - first, 1), 0.0), 1.0), 4)

    def _left_s(self, newest: Micros | None, event_us_per_s: float) -> float | None:
        if self._times is None or newest is None or self._pace.is_paused:
            return None
        rate = event_us_per_s if self._pace.speed == MAX else self._pace.speed * SECOND_US
        return round(max(self._times[1] - newest, 0) / rate, 1) if rate > 0 else None

    def line(self) -> str:
        """What the replay is at; for people."""
        state = self.state()
        speed = "max" if state["speed"] == "max" else f"{state['speed']:g}x"
        parts = [
            (state["time"] or "beginning"),
            "paused" if state["paused"] else speed,
            f"{state['records']:,} records",
            f"{state['records_per_s']:,}/s",
        ]
        if state["left_s"] is not None:
            parts.append(f"{_length(state['left_s'])} left")
        if self._notice:
            parts.append(self._notice)
        told = ", ".join(parts)
        if state["part"] is None:
            return told
        full = round(WIDTH * state["part"])
        return f"[{'#' * full}{'.' * (WIDTH - full)}] {100 * state['part']:.0f} % {told}"

    async def show(self) -> None:
        """Show it until cancelled."""
        is_terminal = sys.stderr.isatty()
        try:
            while True:
                await asyncio.sleep(TERMINAL_EVERY_S if is_terminal else LINES_EVERY_S)
                if not is_terminal:
                    click.echo(f"kandle: {self.line()}", err=True)
                    continue
                room = os.get_terminal_size(sys.stderr.fileno()).columns - 1
                line = self.line()[:room]
                click.echo(f"\r{line.ljust(len(self._told))}", nl=False, err=True)
                self._told = line
        finally:
            if self._told:
                click.echo(f"\r{' ' * len(self._told)}\r", nl=False, err=True)


@contextmanager
def keys(controls: Controls, view: ReplayView, pace: Pace) -> Iterator[None]:
    """Do what is typed while the block runs, if somebody can type; within a running event loop."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        yield
        return
    loop, number = asyncio.get_running_loop(), sys.stdin.fileno()
    before = termios.tcgetattr(number)

    def typed() -> None:
        for key in os.read(number, 64).decode("utf-8", "replace"):
            words = words_of(key, pace)
            if words is None:
                view.notice(KEYS_TOLD)
                continue
            try:
                controls.do(words)
            except KandleError as error:
                view.notice(str(error))
            else:
                view.notice("")

    tty.setcbreak(number)
    loop.add_reader(number, typed)
    view.notice(KEYS_TOLD)
    try:
        yield
    finally:
        loop.remove_reader(number)
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def words_of(key: str, pace: Pace) -> Sequence[str] | None:
    """What a key means; None: nothing."""
    if key in "+-" and pace.speed == MAX:
        return None
    return {
        " ": ("resume",) if pace.is_paused else ("pause",),
        "s": ("step", "1"),
        "n": ("step",),
        "+": ("speed", repr(pace.speed * _FASTER)),
        "-": ("speed", repr(pace.speed / _FASTER)),
        "m": ("speed", "max"),
        "1": ("speed", "1"),
        "q": ("stop",),
    }.get(key)


def _length(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
