"""The monitor: checks what is registered side by side, each within its time."""

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Final

from infra.clock import Clock, SystemClock
from infra.health.report import Report, report_of
from infra.health.results import Check, Result, State, Verdict
from infra.health.service import Notice, Service
from infra.secrets import MASK
from schemas.errors import ConfigurationError

TIMEOUT_S: Final = 10.0


class HealthMonitor:
    """Services by name. Use from one event loop; one round at a time.

    Args:
        timeout_s: A check that has not answered by then is an error.
        clock: Tells when a check began.
        elapsed_s: A clock that never goes back, s, for response times.
    """

    def __init__(
        self,
        timeout_s: float = TIMEOUT_S,
        clock: Clock | None = None,
        elapsed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeout_s = timeout_s
        self._clock = clock or SystemClock()
        self._elapsed_s = elapsed_s
        self._services: dict[str, Service] = {}

    def register(self, name: str, check: Check, critical: bool = True) -> None:
        """Watch a service from the next round on.

        Raises:
            ConfigurationError: There is one of this name.
        """
        if name in self._services:
            raise ConfigurationError(f"a service {name!r} is registered already: names are unique")
        self._services[name] = Service(name, check, critical)

    def unregister(self, name: str) -> None:
        """Watch a service no more; its results are forgotten. One that is not there is none."""
        self._services.pop(name, None)

    @property
    def services(self) -> Collection[Service]:
        """All services, in the order of their registration."""
        return self._services.values()

    def service(self, name: str) -> Service | None:
        """The service of this name, or None."""
        return self._services.get(name)

    async def round(self, states: Collection[State] | None = None) -> list[Notice]:
        """Check the services once, all at the same time.

        Args:
            states: Only those in these states; None: all.

        Returns:
            What is to be told, service by service.
        """
        chosen = [each for each in self._services.values() if states is None or each.state in states]
        results = await asyncio.gather(*(self._result(each.check) for each in chosen))
        return [notice for each, result in zip(chosen, results, strict=True) for notice in each.take(result)]

    def report(self) -> Report:
        """How the services stand together."""
        return report_of({name: (each.state, each.critical) for name, each in self._services.items()})

    async def _result(self, check: Check) -> Result:
        began_us, began_s = self._clock.now_us(), self._elapsed_s()
        state: State
        try:
            async with asyncio.timeout(self._timeout_s) as limit:
                found = await check()
            state = found.state
        except Exception as error:
            # Whatever it is that a check raises: the service is not known to work.
            late = isinstance(error, TimeoutError) and limit.expired()
            words = f"no answer within {self._timeout_s:g} s" if late else _words(error)
            state, found = "error", Verdict("unknown", words)
        took_s = max(self._elapsed_s() - began_s, 0.0)
        # Results go to the page, to REST, into events; what libraries raise may hold an address.
        return Result(began_us, state, round(took_s, 6), MASK.masked(found.message), found.details)


def _words(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
