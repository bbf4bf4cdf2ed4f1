"""`kandle serve`: the page, REST, WebSocket and the schema registry."""

import asyncio
import signal
from typing import Any

import click

from infra import logging, tracing
from infra.probes import READINESS
from infra.settings import Settings, load
from kandle.process_probes import start_probes, watch_kafka
from kandle.servers import reach_servers


@click.command()
@click.option(
    "--host", help="Address to listen on; beyond this machine a token is needed. Default 127.0.0.1."
)
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one. Default 8765.")
@click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var.")
def serve(host: str | None, port: int | None, data_dir: str | None) -> None:
    """Serve the page, the API and a schema registry over topics and database.

    Without a token (setting serve.token) only this machine is answered.

    \b
    Examples:
      kandle serve
      KANDLE_SERVE__TOKEN=... kandle serve --host 0.0.0.0
      curl 'http://127.0.0.1:8765/api/v1/candles?venue=binance&symbol=BTC/USDT&interval=1m&limit=5'
    """  # noqa: D301 - click asks for this control character
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    overrides: dict[str, Any] = {"serve": given} if given else {}
    settings = load(**overrides, **({"data_dir": data_dir} if data_dir else {}))
    from serve.server import address_of, bind

    listening = bind(settings.serve)
    logging.configure(settings.logging, "serve")
    start_probes("serve", settings)
    tracing.configure(settings.tracing, "serve")
    with reach_servers(settings) as reached:
        watch_kafka(reached)
        logging.get_logger(__name__).info("listening", url=address_of(listening))
        asyncio.run(_run(reached, listening))


async def _run(settings: Settings, listening: Any) -> None:
    from serve.server import run

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    beating = asyncio.create_task(READINESS.beat())
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await run(settings, listening, stop)
    finally:
        beating.cancel()
