"""Where `kandle up` says what happens: a picture in a terminal, lines elsewhere."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console, RenderableType
from rich.live import Live

from kandle.up.view import Picture, Step, line, render, render_start

LINE_EVERY_S: Final = 10.0
REFRESH_S: Final = 0.25


class Screen(Protocol):
    """What a run tells its user; none of it blocks."""

    def say(self, text: str) -> None:
        """Tell something that stays to be read."""
        ...

    def step(self, name: str) -> AbstractContextManager[None]:
        """Around the start of something; when it is left without an error, that is ready."""
        ...

    def show(self, picture: Picture) -> None:
        """Show how everything stands; called once a second."""
        ...


class TerminalScreen:
    """A picture that is drawn anew, below what was said; leaving the context removes it.

    It is drawn from the event loop alone, in which the context is entered: with a thread beside it, what is
    said while the picture grows may leave a piece of the old one.
    """

    def __init__(self, console: Console) -> None:
        self._steps: list[Step] = []
        self._picture: Picture | None = None
        self._live = Live(
            console=console,
            get_renderable=self._render,
            auto_refresh=False,
            transient=True,
            vertical_overflow="crop",
        )

    def __enter__(self) -> Self:
        self._live.start()
        self._tick()
        return self

    def _tick(self) -> None:
        self._live.refresh()
        self._next = asyncio.get_running_loop().call_later(REFRESH_S, self._tick)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._next.cancel()
        self._live.stop()

    def say(self, text: str) -> None:
        """Print it above the picture."""
        self._live.console.print(text, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Show it with the time that it takes."""
        step = Step(name, time.monotonic())
        self._steps.append(step)
        yield
        step.ready_at = time.monotonic()

    def show(self, picture: Picture) -> None:
        """Replace the picture."""
        self._picture = picture

    def _render(self) -> RenderableType:
        return render_start(self._steps) if self._picture is None else render(self._picture)


class LineScreen:
    """A line for each thing that is said or ready, and one for the whole now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last_s = 0.0

    def say(self, text: str) -> None:
        """Print it."""
        self._console.print(text, soft_wrap=True, highlight=False)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Say when it is ready."""
        began = time.monotonic()
        yield
        self.say(f"{name} ready after {time.monotonic() - began:.1f} s")

    def show(self, picture: Picture) -> None:
        """Print it in one line, unless the last one is too young."""
        if picture.elapsed_s - self._last_s >= LINE_EVERY_S:
            self._last_s = picture.elapsed_s
            self.say(line(picture))
