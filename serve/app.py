"""The application: routes, middleware, and what they share while it runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib import metadata
from typing import Any, Final

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute

from infra.logging import get_logger
from infra.metrics.stages import count_error
from infra.probes import READINESS
from infra.settings import Settings
from infra.tasks import in_background
from serve.access import Access
from serve.api import dead_letters, documentation, health, market, operations, probes, stream
from serve.api.parameters import known_parameters
from serve.broker_watch import BrokerWatch
from serve.brokers import Brokers
from serve.health import routes as health_services
from serve.health.watch import HealthWatch
from serve.hub.feeds import Feeds
from serve.hub.hub import Hub
from serve.hub.snapshots import Snapshots
from serve.hub.tail import Tail
from serve.hub.websocket import WebSocketEndpoint
from serve.methods import Methods
from serve.page_files import mount_page
from serve.pipeline import Pipeline
from serve.problems import Problem, answer_problems
from serve.registry import routes
from serve.requests import Requests
from serve.services import Services
from serve.store import Store
from sinks.database_watch import watch_database

SUMMARY: Final = "Markets as streams: what is stored, what comes, and how the pipeline stands."

log = get_logger(__name__)


def make_app(settings: Settings) -> FastAPI:
    """An application that reads the Kafka and the database of the settings while it runs.

    Args:
        settings: In force; both servers must be named.
    """
    app = FastAPI(
        title="Kandle",
        summary=SUMMARY,
        version=metadata.version("kandle"),
        lifespan=partial(_running, settings),
        # FastAPI's own pages load their scripts from another host.
        docs_url=None,
        redoc_url=None,
        middleware=[Middleware(Requests), Middleware(Access, settings=settings.serve), Middleware(Methods)],
    )
    answer_problems(app)
    in_full = [Depends(known_parameters)]
    for asked in (market, operations, dead_letters, health_services, stream):
        app.include_router(asked.router, dependencies=in_full)
    for asked_by_machines in (health, probes, documentation):
        app.include_router(asked_by_machines.router)
    app.include_router(routes.router)
    app.add_exception_handler(routes.RegistryError, routes.answer_error)
    app.router.routes.append(WebSocketRoute("/ws", WebSocketEndpoint()))
    mount_page(app)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def _running(settings: Settings, app: FastAPI) -> AsyncIterator[None]:
    """What the routes share, and what goes on beside them, for as long as the application runs."""
    store, brokers = Store(settings.database, settings.serve), Brokers(settings)
    hub, feeds = Hub(settings.serve), Feeds()
    tail = Tail(settings.kafka, brokers, hub, feeds)
    watch = HealthWatch(settings, store, brokers, feeds)
    app.state.services = Services(
        settings,
        store,
        brokers,
        hub,
        feeds,
        tail,
        Snapshots(hub, store),
        Pipeline(store, brokers, feeds),
        watch,
    )
    beside = {
        "tail": tail.run(),
        "sweep": hub.sweep(),
        "health": watch.run(),
        "database": watch_database(settings.database, READINESS),
        "brokers": BrokerWatch(settings.kafka, brokers).run(),
    }
    try:
        async with in_background(beside, _tell_failure):
            yield
    finally:
        await brokers.close()
        await watch.close()
        await store.close()


def _tell_failure(part: str, error: BaseException) -> None:
    """Without this part the server goes on, but nobody would know."""
    log.error("a part of the server has failed, start it again", part=part, exc_info=error)
    count_error("serve", error)


def _described(app: FastAPI) -> dict[str, Any]:
    """The API's description, with the shape of problems, which no route has for its model."""
    if app.openapi_schema is None:
        app.openapi_schema = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes
        )
        app.openapi_schema["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    return app.openapi_schema
