"""Faults at work: what becomes of each frame and each request. Pure but for a clock."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from producers.exchange import Channel
from producers.simulator.faults import SHUTDOWN_S, Fault, FrameFault, HttpFault, RequestFault

SLOW_S: Final = 0.02
"""Pause before each frame of a slow market, s."""

Ending: TypeAlias = Literal["mute", "no_pong", "disconnect"]


class Send(NamedTuple):
    """Send data of a stream to its subscribers; `cut` in the middle where that is the fault."""

    stream: str
    data: bytes
    cut: bool = False


class Oversize(NamedTuple):
    """Send a frame that is larger than any client takes to the subscribers of a stream."""

    stream: str


class Break(NamedTuple):
    """Make an end of all connections that there are, in one of three ways."""

    how: Ending


class Shutdown(NamedTuple):
    """Announce the end of all connections that there are, and close them after so many seconds."""

    after_s: float


class Pause(NamedTuple):
    """Wait, s."""

    pause_s: float


Step: TypeAlias = Send | Oversize | Break | Shutdown | Pause


@dataclass(slots=True)
class _Active:
    """A fault that has begun, and what is left of it."""

    fault: Fault
    left: int
    until_s: float | None = None

    def takes(self, channel: Channel | None, now_s: float) -> bool:
        if self.fault.channel is not None and self.fault.channel != channel:
            return False
        return now_s < self.until_s if self.until_s is not None else self.left > 0

    def is_over(self, now_s: float) -> bool:
        return now_s >= self.until_s if self.until_s is not None else self.left <= 0


class Injection:
    """A plan of faults, carried out once.

    Args:
        faults: The plan.
        clock: Seconds, monotonic.
    """

    def __init__(self, faults: Iterable[Fault] = (), clock: Callable[[], float] = time.monotonic) -> None:
        plan = list(faults)
        self._clock = clock
        self._began_s: float | None = None
        self._planned = [fault for fault in plan if fault.kind in get_args(FrameFault)]
        self._requests = [_Active(f, f.amount) for f in plan if f.kind in get_args(RequestFault)]
        self._http = [_Active(f, f.amount) for f in plan if f.kind in get_args(HttpFault)]
        self._active: list[_Active] = []
        self._held: dict[str, bytes] = {}
        self._unheard = 0
        self.passed = 0
        """Data frames that have passed."""
        self.injected: list[Fault] = []
        """Faults that have taken effect, each once, in their order."""

    @property
    def is_idle(self) -> bool:
        """Whether every frame just passes, now and ever after."""
        return not (self._planned or self._active or self._held or self._unheard)

    @property
    def runs_on(self) -> bool:
        """Whether the market must go on even if nobody listens."""
        return self._unheard > 0

    def frame(self, stream: str, data: bytes, channel: Channel | None) -> Sequence[Step]:
        """What becomes of one data frame of the market."""
        now_s = self._clock()
        steps: list[Step] = []
        for fault in [fault for fault in self._planned if self._is_due(fault, now_s)]:
            self._planned.remove(fault)
            self._begin(fault, stream, now_s, steps)
        self.passed += 1
        self._unheard = max(0, self._unheard - 1)
        self._active = [active for active in self._active if not active.is_over(now_s)]
        active = next((active for active in self._active if active.takes(channel, now_s)), None)
        if active is not None:
            self._alter(active, stream, data, steps)
        else:
            held = self._held.pop(stream, None)
            steps.append(Send(stream, data))
            if held is not None:
                steps.append(Send(stream, held))
        return steps

    def drain(self) -> Sequence[Step]:
        """Frames that were held back and are due now that no more come."""
        self._active.clear()
        held, self._held = self._held, {}
        return [Send(stream, data) for stream, data in held.items()]

    def subscription(self) -> RequestFault | None:
        """What becomes of a subscription, other than that it is accepted."""
        match self._take(self._requests):
            case "wrong_ack":
                return "wrong_ack"
            case "no_ack":
                return "no_ack"
            case _:
                return None

    def http(self) -> str | None:
        """The status that a REST request is answered with instead, or `html`."""
        return self._take(self._http)

    def _take(self, waiting: list[_Active]) -> str | None:
        now_s = self._clock()
        for active in waiting:
            if active.left > 0 and self._is_due(active.fault, now_s):
                if active.left == active.fault.amount:
                    self.injected.append(active.fault)
                active.left -= 1
                return active.fault.kind
        return None

    def _is_due(self, fault: Fault, now_s: float) -> bool:
        if fault.at_s is None:
            return self.passed >= fault.at
        if self._began_s is None:
            self._began_s = now_s
        return now_s - self._began_s >= fault.at_s

    def _begin(self, fault: Fault, stream: str, now_s: float, steps: list[Step]) -> None:
        self.injected.append(fault)
        match fault.kind:
            case "mute" | "no_pong" | "disconnect":
                # What was held back belongs to connections that are gone.
                self._held.clear()
                steps.append(Break(fault.kind))
                self._unheard = fault.amount
            case "shutdown":
                steps.append(Shutdown(SHUTDOWN_S if fault.amount_s is None else fault.amount_s))
            case "oversize":
                steps.append(Oversize(stream))
                self._unheard = fault.amount
            case _:
                until_s = None if fault.amount_s is None else now_s + fault.amount_s
                self._active.append(_Active(fault, fault.amount, until_s))

    def _alter(self, active: _Active, stream: str, data: bytes, steps: list[Step]) -> None:
        match active.fault.kind:
            case "reorder":
                held = self._held.pop(stream, None)
                if held is None:
                    self._held[stream] = data
                    return
                steps += (Send(stream, data), Send(stream, held))
            case "duplicate":
                steps += (Send(stream, data), Send(stream, data))
            case "malformed":
                steps.append(Send(stream, data, cut=True))
            case "slow":
                steps += (Pause(SLOW_S), Send(stream, data))
        active.left -= 1
