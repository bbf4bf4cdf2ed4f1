"""What settings name is there: checked before anything is started, not minutes later by a stage."""

import psycopg

from infra.settings import Settings
from processors.candle_rules import CandleRules
from processors.series_plan import SeriesPlan
from schemas.errors import ConfigurationError


def check(settings: Settings) -> None:
    """Make, and drop, what the stages will make of these settings.

    Raises:
        ConfigurationError: An interval, indicator, rule, plug-in, channel or address is not as it should be.
    """
    chosen = settings.processors
    CandleRules.of(chosen.intervals, grace_ms=chosen.grace_ms, hold_s=chosen.hold_s)
    SeriesPlan.of_settings(chosen)
    url = settings.database.url
    if url is not None:
        try:
            psycopg.conninfo.conninfo_to_dict(url.get_secret_value())
        except psycopg.ProgrammingError as error:
            raise ConfigurationError(f"DATABASE_URL is no PostgreSQL URL: {error}") from error
    if settings.notifications.rules:
        # Loads a hundred kinds of channels: only for those who have any.
        from sinks.notifications.routing import Routing

        Routing(settings.notifications.rules)
