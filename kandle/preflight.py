"""What settings name is there: checked before anything is started, not minutes later by a stage."""

import psycopg

from infra.settings import Settings
from processors.bars.plan import BarPlan
from processors.candles.rules import CandleRules
from processors.flows.plan import FlowPlan
from processors.series.plan import SeriesPlan
from processors.spreads.plan import SpreadPlan
from schemas.errors import ConfigurationError
from schemas.topics import QUOTES


def check(settings: Settings) -> None:
    """Make, and drop, what the stages will make of these settings.

    Raises:
        ConfigurationError: What a worker, a feed's history, a channel or an address is to be is wrong.
    """
    check_processors(settings)
    url = settings.database.url
    if url is not None:
        try:
            psycopg.conninfo.conninfo_to_dict(url.get_secret_value())
        except psycopg.ProgrammingError as error:
            raise ConfigurationError(f"DATABASE_URL is no PostgreSQL URL: {error}") from error
    if settings.producer.history:
        from producers import history

        history.parse(settings.producer.history)
    chosen = settings.notifications
    if chosen.rules or chosen.channels or chosen.templates:
        # Loads a hundred kinds of channels: only for those who have any.
        from sinks.notifications.message import Templates
        from sinks.notifications.routing import Routing

        Routing(chosen)
        Templates(chosen.templates, chosen.sender)


def check_processors(settings: Settings) -> None:
    """The part of `check` that concerns a worker.

    Raises:
        ConfigurationError: An interval, indicator, rule, plug-in, bar or flow is not as it should be.
    """
    chosen = settings.processors
    CandleRules.of_settings(chosen)
    BarPlan.of_settings(chosen)
    SeriesPlan.of_settings(chosen)
    SpreadPlan.of(settings)
    FlowPlan.of(chosen.flows, QUOTES)
