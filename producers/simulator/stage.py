"""The stage `simulate`: a capture played back, or a seeded market, on a port of this machine."""

import asyncio

from infra.logging import get_logger
from infra.probes import READINESS
from infra.settings import Settings
from producers.simulator.faults import parse_fault
from producers.simulator.market import SeededMarket
from producers.simulator.playback import Playback
from producers.simulator.server import SimulatorServer, serve_until

logger = get_logger(__name__)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set; a playback that has ended goes on telling new clients so.

    Raises:
        CaptureError: The capture cannot be used.
        ConfigurationError: A fault is not written as one.
        ResourceError: The port is taken.
    """
    chosen = settings.simulator
    faults = [parse_fault(text) for text in chosen.faults]
    market: Playback | SeededMarket
    if chosen.capture is not None:
        given = "symbols" in chosen.model_fields_set
        market = await asyncio.to_thread(
            Playback, chosen.capture, chosen.speed, chosen.symbols if given else None, chosen.rewind
        )
    else:
        market = await asyncio.to_thread(
            SeededMarket, chosen.symbols, chosen.seed, chosen.trades_per_second, settings.data_dir
        )
    server = SimulatorServer(market, chosen.port, faults)
    await server.start()
    READINESS.set("listening")
    logger.info(
        "the simulated exchange listens",
        websocket_url=server.websocket_url,
        rest_url=server.rest_url,
        what=str(chosen.capture) if chosen.capture else "a seeded market",
        faults=chosen.faults,
    )
    await serve_until(server, stop, asyncio.create_task(market.play(server)))
