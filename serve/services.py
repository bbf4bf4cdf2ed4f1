"""What the routes of one process share."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from infra.settings import Settings
from serve.brokers import Brokers
from serve.health.watch import HealthWatch
from serve.hub.feeds import Feeds
from serve.hub.hub import Hub
from serve.hub.snapshots import Snapshots
from serve.hub.tail import Tail
from serve.pipeline import Pipeline
from serve.store import Store


@dataclass(frozen=True, slots=True)
class Services:
    """Made when the application starts, closed when it ends."""

    settings: Settings
    store: Store
    brokers: Brokers
    hub: Hub
    feeds: Feeds
    tail: Tail
    snapshots: Snapshots
    pipeline: Pipeline
    health: HealthWatch


def services_of(connection: HTTPConnection) -> Services:
    """Those of the application that a request came to."""
    found: Services = connection.app.state.services
    return found


Shared = Annotated[Services, Depends(services_of)]
