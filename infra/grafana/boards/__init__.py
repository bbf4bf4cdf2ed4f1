"""What each dashboard shows."""

from typing import Final

from infra.grafana.boards.feeds import FEEDS
from infra.grafana.boards.health import HEALTH
from infra.grafana.boards.kafka import KAFKA
from infra.grafana.boards.market import MARKET
from infra.grafana.boards.pipeline import PIPELINE
from infra.grafana.boards.postgres import POSTGRES
from infra.grafana.boards.sinks import SINKS
from infra.grafana.dashboard import Dashboard

DASHBOARDS: Final[tuple[Dashboard, ...]] = (HEALTH, MARKET, PIPELINE, FEEDS, SINKS, KAFKA, POSTGRES)
