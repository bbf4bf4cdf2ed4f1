"""What the page shows besides trades and quotes, books and figures of the day, unless settings say more."""

from typing import Any, Final

from infra.settings import Settings
from kandle.up.feed import Feed
from producers.markets import exchange_class

CHANNELS: Final = ("books", "tickers")
FLOW: Final = "book_sample(10)"
"""The book that the page's ladder shows, once a second."""


def page_feed(settings: Settings, feed: Feed) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of the producer and of the processors that the page needs; those that were given stay.

    A capture is played as it was recorded.

    Args:
        settings: In force.
        feed: Where the trades come from.
    """
    chosen, computed = settings.producer, settings.processors
    if feed.kind == "capture":
        return {}, {}
    offered = exchange_class(feed.venue, chosen.market).channels_available
    channels = list(chosen.channels)
    fed: dict[str, Any] = {}
    if "channels" not in chosen.model_fields_set:
        channels += [channel for channel in CHANNELS if channel in offered and channel not in channels]
        fed["channels"] = channels
    made = {"flows": [FLOW]} if "books" in channels and "flows" not in computed.model_fields_set else {}
    return fed, made
